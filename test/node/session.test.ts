import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile/index.ts";
import { createSession, enableRelaxedSimd, enableRevectorize, externalDataBeside } from "../../src/node/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-session-"));
const file = join(folder, "net.cadnn");
let artifact = new Uint8Array();
beforeAll(async () => {
  artifact = new Uint8Array(await compile(zooGraph("lenet5", { sparsity: 0.9 })));
  writeFileSync(file, artifact);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("createSession", () => {
  test("loads a path, a URL or bytes, with relaxed SIMD", async () => {
    expect(enableRelaxedSimd()).toBe(true);
    for (const source of [file, pathToFileURL(file), artifact]) {
      const session = await createSession(source, { threads: 1 });
      expect(session.target).toMatch(/-relaxed/);
      const { logits } = await session.run({ input: new Float32Array(784) });
      expect(logits?.shape).toEqual([1, 10]);
      await session.dispose();
    }
  });

  test("revectorize prefers the module for it where the engine can, and changes no result", async () => {
    const paired = new Uint8Array(await compile(zooGraph("lenet5", { sparsity: 0.9 }), { targets: ["wasm", "wasm-x64-relaxed-pairs"] }));
    const input = Float32Array.from({ length: 784 }, (_, i) => Math.sin(i));
    const outputs: Float32Array[] = [];
    for (const revectorize of [false, true]) {
      const session = await createSession(paired, { threads: 1, revectorize });
      expect(session.target === "wasm-x64-relaxed-pairs").toBe(revectorize && enableRevectorize());
      outputs.push((await session.run({ input })).logits?.data as Float32Array);
      await session.dispose();
    }
    outputs[0]?.forEach((y, i) => {
      expect(outputs[1]?.[i]).toBeCloseTo(y, 4);
    });
  });

  test("errors name the file", async () => {
    await expect(createSession(join(folder, "none.cadnn"))).rejects.toMatchObject({ code: "E_FILE_NOT_FOUND", at: join(folder, "none.cadnn") });
    const corrupt = join(folder, "corrupt.cadnn");
    writeFileSync(
      corrupt,
      artifact.map((b, i) => (i === artifact.length >> 1 ? b ^ 1 : b)),
    );
    await expect(createSession(corrupt)).rejects.toMatchObject({ code: "E_CORRUPT", at: expect.stringContaining(corrupt), hint: expect.any(String) });
    writeFileSync(corrupt, artifact.subarray(0, artifact.length - 1));
    await expect(createSession(corrupt)).rejects.toMatchObject({ code: "E_INVALID_FILE", at: corrupt });
  });
});

test("externalDataBeside reads files beside the model, none outside of its folder", () => {
  mkdirSync(join(folder, "model"));
  writeFileSync(join(folder, "model", "weights.bin"), "abc");
  writeFileSync(join(folder, "secret"), "x");
  const read = externalDataBeside(join(folder, "model", "net.onnx"));
  expect(Buffer.from(read("weights.bin") ?? []).toString()).toBe("abc");
  expect([read("none.bin"), read("../secret"), read(join(folder, "secret"))]).toEqual([undefined, undefined, undefined]);
});
