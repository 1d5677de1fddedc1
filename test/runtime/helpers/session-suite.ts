import { describe, expect, test } from "vitest";
import { type CadnnError, createSession, type Session } from "../../../src/runtime/index.ts";
import { expected, n, tinyNet, trappingNet, weights } from "./tiny-net.ts";

export const x = Float32Array.from({ length: n }, (_, i) => i - 20);
export const k = BigInt64Array.of(-7n, 2n ** 31n - 1n);

const x64 = tinyNet();

/** What a test sees of a session; that of a worker is driven by messages. */
export type SessionLike = Pick<
  Session,
  "name" | "inputs" | "backend" | "target" | "threads" | "notes" | "parameters" | "run" | "warmup" | "profile" | "readParameter" | "writeParameter" | "dispose"
>;
export type Create = (source: Uint8Array, options: { threads: number }) => Promise<SessionLike>;

/** What must hold wherever a session runs: in Node, a page, a worker. `shares`: whether memory can be shared here. */
export function sessionSuite(where: string, shares: boolean, create: Create = createSession): void {
  describe.each([1, 2, 3])(`session, %i threads, ${where}`, (threads) => {
    test("describes the net, runs it, and says how many threads it has", async () => {
      const session = await create(x64, { threads });
      expect(session.inputs).toEqual([
        { name: "x", dtype: "float32", shape: [1, n] },
        { name: "k", dtype: "int64", shape: [2] },
      ]);
      expect([session.name, session.backend, session.target, session.threads]).toEqual(["tiny", "wasm", "wasm-x64-plain", shares ? threads : 1]);
      expect(session.notes.filter((note) => note.startsWith("threads"))).toEqual(shares || threads === 1 ? [] : [expect.stringContaining(`threads 1 instead of ${threads}`)]);
      const { y, swapped } = await session.run({ x: { shape: [1, n], data: x }, k });
      expect(y).toEqual({ shape: [1, n], dtype: "float32", data: expected(x, 0) });
      expect(swapped).toEqual({ shape: [2], dtype: "int64", data: BigInt64Array.of(2n ** 31n - 1n, -7n) });
      await session.dispose();
    });

    test("runs in the order of calls, on the feeds as they were when called, and disposes after them", async () => {
      const session = await create(x64, { threads });
      const feed = x.slice();
      const runs = Array.from({ length: 40 }, (_, i) => {
        feed[0] = i;
        return session.run({ x: feed, k });
      });
      const disposed = session.dispose();
      for (const [i, results] of (await Promise.all(runs)).entries()) expect(results.y?.data).toEqual(expected(Float32Array.of(i, ...x.subarray(1)), i));
      await disposed;
      await session.dispose();
    });

    test("results are copies", async () => {
      const session = await create(x64, { threads });
      const first = await session.run({ x, k });
      await session.run({ x: new Float32Array(n), k });
      expect(first.y?.data).toEqual(expected(x, 0));
      await session.dispose();
    });

    test("reads and writes parameters; warmup and profile leave them alone", async () => {
      const session = await create(x64, { threads });
      expect(session.parameters.map((p) => p.name)).toEqual(["runs"]);
      await session.run({ x, k });
      expect(await session.readParameter("runs")).toEqual({ shape: [], dtype: "float32", data: Float32Array.of(1) });
      await session.writeParameter("runs", { shape: [], data: Float32Array.of(41) });
      await session.warmup();
      const profile = await session.profile({ feeds: { x, k }, runs: 3 });
      expect(profile.map((step) => [step.node, step.kernel, step.macs])).toEqual([
        ["multiply", "test-multiply", n],
        ["reverse", "test-reverse", n],
        ["count", "test-count", n],
      ]);
      for (const step of profile) expect(step.minMs >= 0 && step.medianMs >= step.minMs, JSON.stringify(step)).toBe(true);
      expect((await session.run({ x, k })).y?.data).toEqual(expected(x, 41));
      await expect(session.readParameter("w")).rejects.toMatchObject({ code: "E_INPUT_NAME", at: "w" });
      await expect(session.writeParameter("runs", Float32Array.of(1, 2))).rejects.toMatchObject({ code: "E_SHAPE_MISMATCH", at: "runs" });
      await session.dispose();
    });

    test.each(shares && threads > 1 ? [0, threads - 1] : [0])("a trap on thread %i ends the session with E_INTERNAL and leaves nobody waiting", async (thread) => {
      const session = await create(trappingNet(thread), { threads });
      await expect(session.run({ x, k })).rejects.toMatchObject({ code: "E_INTERNAL", message: expect.stringContaining("trapped") });
      await expect(session.run({ x, k })).rejects.toMatchObject({ code: "E_INTERNAL", message: expect.stringContaining("stopped by an earlier failure") });
      await session.dispose();
    });

    test("a disposed session says so", async () => {
      const session = await create(x64, { threads });
      await session.dispose();
      const calls = [session.run({ x, k }), session.warmup(), session.profile(), session.readParameter("runs"), session.writeParameter("runs", x)];
      for (const call of calls) await expect(call).rejects.toMatchObject({ code: "E_DISPOSED", at: "tiny" } satisfies Partial<CadnnError>);
    });
  });

  test(`weights reach memory as prepare moves them, ${where}`, async () => {
    const session = await create(x64, { threads: 1 });
    const ones = await session.run({ x: new Float32Array(n).fill(1), k });
    expect(ones.y?.data).toEqual(weights.slice().reverse());
    await session.dispose();
  });
}

/** All kinds of sources, where a session is created. */
export function sourceSuite(where: string): void {
  describe(`sources, ${where}`, () => {
    const y = async (source: Parameters<typeof createSession>[0]) => {
      const session = await createSession(source, { threads: 1 });
      const results = await session.run({ x, k });
      await session.dispose();
      return results.y?.data;
    };
    const buffer = x64.slice().buffer as ArrayBuffer;
    const response = () => new Response(buffer.slice(0));

    test("bytes, buffers, responses and streams; the caller's bytes stay as they are", async () => {
      const inside = new Uint8Array(buffer.byteLength + 2);
      inside.set(x64, 1);
      for (const source of [x64, buffer, inside.subarray(1, -1), response(), Promise.resolve(response()), response().body as ReadableStream<Uint8Array>])
        expect(await y(source)).toEqual(expected(x, 0));
      expect(new Uint8Array(buffer)).toEqual(x64);
    });

    test("addresses", async () => {
      const url = `data:application/octet-stream;base64,${btoa(String.fromCharCode(...x64))}`;
      expect(await y(url)).toEqual(expected(x, 0));
      expect(await y(new URL(url))).toEqual(expected(x, 0));
      await expect(y("http://127.0.0.1:9/net.cadnn")).rejects.toMatchObject({ code: "E_FILE_NOT_FOUND", at: "http://127.0.0.1:9/net.cadnn" });
      await expect(y(new Response("", { status: 404 }))).rejects.toMatchObject({ code: "E_FILE_NOT_FOUND" });
      const used = response();
      await used.arrayBuffer();
      await expect(y(used)).rejects.toMatchObject({ code: "E_INVALID_FILE" });
    });

    test("files that are none", async () => {
      await expect(y(new TextEncoder().encode("<html>"))).rejects.toMatchObject({ code: "E_INVALID_FILE" });
      await expect(y(x64.subarray(0, -5))).rejects.toMatchObject({ code: "E_INVALID_FILE", message: expect.stringContaining("5 bytes are missing") });
    });
  });
}
