import { describe, expect, test } from "vitest";
import { createSession } from "../../src/runtime/index.ts";
import { expected, n, tinyNet } from "./helpers/tiny-net.ts";

const x = Float32Array.from({ length: n }, (_, i) => i - 20);
const k = BigInt64Array.of(-7n, 2n ** 31n - 1n);

describe("session on one thread", () => {
  test("describes the net and runs it", async () => {
    const session = await createSession(tinyNet(), { threads: 1 });
    expect(session.inputs).toEqual([
      { name: "x", dtype: "float32", shape: [1, n] },
      { name: "k", dtype: "int64", shape: [2] },
    ]);
    expect([session.name, session.backend, session.target, session.threads]).toEqual(["tiny", "wasm", "wasm-x64-plain", 1]);
    const { y, swapped } = await session.run({ x: { shape: [1, n], data: x }, k });
    expect(y).toEqual({ shape: [1, n], dtype: "float32", data: expected(x, 0) });
    expect(swapped).toEqual({ shape: [2], dtype: "int64", data: BigInt64Array.of(2n ** 31n - 1n, -7n) });
    await session.dispose();
  });
});
