import { describe, expect, test } from "vitest";
import type { TargetName } from "../../src/artifact/manifest.ts";
import { targetNames } from "../../src/artifact/validate.ts";
import { targetsFor } from "../../src/runtime/features.ts";
import { type CadnnError, createSession, detectFeatures, type Feeds, type Session } from "../../src/runtime/index.ts";
import { k, sessionSuite, sourceSuite, x } from "./helpers/session-suite.ts";
import { expected, n, tinyNet } from "./helpers/tiny-net.ts";

sessionSuite("main thread", detectFeatures().threads);
sourceSuite("main thread");

/** What a rejected promise gave. */
async function failure(promise: Promise<unknown>): Promise<CadnnError> {
  return promise.then(
    () => expect.fail("should have been rejected"),
    (error: CadnnError) => error,
  );
}

describe("feeds that do not fit", () => {
  const cases: [string, unknown, Partial<CadnnError>][] = [
    ["unknown name", { x, k, z: x }, { code: "E_INPUT_NAME", at: "z", hint: "Its inputs are: x float32[1,61], k int64[2]." }],
    ["missing name", { x }, { code: "E_INPUT_NAME", at: "k" }],
    ["inherited name", Object.create({ x, k }), { code: "E_INPUT_NAME", at: "x" }],
    ["shape", { x: { shape: [n], data: x }, k }, { code: "E_SHAPE_MISMATCH", at: "x", message: `"x" has shape [1,61], not [61]` }],
    ["length", { x: x.subarray(1), k }, { code: "E_SHAPE_MISMATCH", at: "x", message: `"x" has shape [1,61] and needs 61 elements, not 60` }],
    ["array type", { x: new Float64Array(n), k }, { code: "E_DTYPE_MISMATCH", at: "x", message: `"x" is float32 and takes a Float32Array, not Float64Array` }],
    ["plain array", { x: { data: [...x] }, k }, { code: "E_DTYPE_MISMATCH", at: "x" }],
    ["null", { x: null, k }, { code: "E_INPUT_NAME", at: "x" }],
    ["no object", undefined, { code: "E_INPUT_NAME", at: "feeds" }],
    ["a number", { x: 1, k }, { code: "E_DTYPE_MISMATCH", at: "x" }],
    ["nothing", { x: {}, k }, { code: "E_DTYPE_MISMATCH", at: "x" }],
    ["int64 as int32", { x, k: Int32Array.of(1, 2) }, { code: "E_DTYPE_MISMATCH", at: "k", hint: "BigInt64Array.from(numbers, BigInt) makes one." }],
    ["int64 beyond 32 bits", { x, k: BigInt64Array.of(1n, 2n ** 31n) }, { code: "E_DTYPE_MISMATCH", at: "k" }],
  ];
  test.each(cases)("%s", async (_, feeds, error) => {
    const session = await createSession(tinyNet(), { threads: 1 });
    expect(await failure(session.run(feeds as Feeds))).toMatchObject(error);
    expect((await session.run({ x, k })).y?.data).toEqual(expected(x, 0));
    await session.dispose();
  });
});

describe("choice of the module", () => {
  const features = detectFeatures();
  const own = targetsFor(features)[0] as TargetName;
  const plain = `wasm-${features.arch}-plain` as TargetName;
  const otherPlain = `wasm-${features.arch === "x64" ? "arm64" : "x64"}-plain` as TargetName;
  const mark = (session: Session) => session.run({ x: new Float32Array(n), k }).then((r) => targetNames[Math.round(Number(r.y?.data[0]) / 1000)]);

  test("takes the one for this engine, else the nearest that runs, and notes it", async () => {
    const exact = await createSession(tinyNet({ targets: targetNames }), { threads: 1 });
    expect([exact.target, await mark(exact)]).toEqual([own, own]);
    expect(exact.notes).toEqual(features.relaxedSimd ? [] : [expect.stringContaining("no relaxed SIMD")]);
    const some: readonly TargetName[] = ["wasm-x64-relaxed", "wasm-arm64-relaxed", otherPlain];
    const near = await createSession(tinyNet({ targets: some }), { threads: 1 });
    expect(near.target).toBe(targetsFor(features).find((name) => some.includes(name)));
    const wanted = await createSession(tinyNet({ targets: targetNames }), { threads: 1, target: otherPlain });
    expect([wanted.target, await mark(wanted), wanted.notes]).toEqual([otherPlain, otherPlain, []]);
    const first = await createSession(tinyNet({ targets: [plain, otherPlain] }), { threads: 1, target: ["wasm-x64-relaxed-pairs", otherPlain, plain] });
    expect(first.target).toBe(otherPlain);
    await Promise.all([exact, near, wanted, first].map((s) => s.dispose()));
  });

  test("says what there is if none runs", async () => {
    expect(await failure(createSession(tinyNet({ targets: [plain] }), { target: otherPlain }))).toMatchObject({
      code: "E_NO_BACKEND",
      at: otherPlain,
      message: expect.stringContaining(plain),
    });
    if (!features.relaxedSimd) expect(await failure(createSession(tinyNet({ targets: ["wasm-x64-relaxed"] })))).toMatchObject({ code: "E_NO_BACKEND", at: "tiny" });
  });
});

describe("failures", () => {
  test("options out of range", async () => {
    for (const threads of [0, 1.5, 65, Number.NaN]) expect(await failure(createSession(tinyNet(), { threads }))).toMatchObject({ code: "E_INVALID_OPTION", at: "threads" });
    expect(await failure(createSession(tinyNet(), { backend: "webgl" as "wasm" }))).toMatchObject({ code: "E_INVALID_OPTION", at: "backend" });
    expect(await failure(createSession(12 as unknown as Uint8Array))).toMatchObject({ code: "E_INVALID_OPTION", at: "source" });
  });

  test("code that the engine refuses", async () => {
    const file = tinyNet();
    const { decodeArtifact, encodeArtifact } = await import("../../src/artifact/format.ts");
    const artifact = decodeArtifact(file);
    const code = artifact.code.slice();
    code[code.length - 1] = 0;
    for (const threads of [1, 2]) expect(await failure(createSession(encodeArtifact({ ...artifact, code }), { threads }))).toMatchObject({ code: "E_NO_BACKEND" });
  });

  test("memory that the engine does not give", async () => {
    const real = WebAssembly.Memory;
    WebAssembly.Memory = class {
      constructor() {
        throw new RangeError("could not allocate memory");
      }
    } as unknown as typeof WebAssembly.Memory;
    try {
      expect(await failure(createSession(tinyNet({ pages: 48 }), { threads: 1 }))).toMatchObject({ code: "E_OUT_OF_MEMORY", message: expect.stringContaining("3 MiB") });
    } finally {
      WebAssembly.Memory = real;
    }
  });
});
