import fc from "fast-check";
import { describe, test } from "vitest";
import { x32Copy } from "../../src/kernels/wasm/x32-copy.ts";
import { canary, checkKernel, fuzz } from "./harness.ts";
import { forEachPosition, nestOf, nestSizes, walks } from "./nests.ts";

const cases = nestSizes(4).chain((sizes) => fc.record({ sizes: fc.constant(sizes), x: walks(sizes, { negative: true }), y: walks(sizes) }));

describe("x32-copy", () => {
  test("y[i…] = x[i…] to the bit, for transposes, gaps, broadcasts and negative strides", () => {
    fuzz(cases, 150, ({ sizes, x, y }, seed) => {
      const data = Int32Array.from({ length: x.size }, (_, i) => Math.imul(i + 1, seed));
      const expected = new Map<number, { value: number; tolerance: number }>();
      forEachPosition(sizes, [x, y], ([from = 0, to = 0]) => expected.set(to, { value: data[from] as number, tolerance: 0 }));
      const operands = { x: { data, at: x.at }, y: { data: new Int32Array(y.size).fill(canary), at: y.at } };
      checkKernel({ template: x32Copy, problem: { dims: nestOf(sizes, [x, y]) }, operands, expected });
    });
  });
});
