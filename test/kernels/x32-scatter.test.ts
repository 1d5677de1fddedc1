import fc from "fast-check";
import { describe, test } from "vitest";
import { x32Scatter } from "../../src/kernels/wasm/x32-scatter.ts";
import { canary, checkKernel, fuzz } from "./harness.ts";

const problems = fc.record({ count: fc.constantFrom(5, 1, 3, 17), from: fc.constantFrom(3, 1, 20), gap: fc.constantFrom(1, 3) });

describe("x32-scatter", () => {
  test("puts elements in their places and touches no others", () => {
    fuzz(problems, 40, ({ count, from, gap }, seed) => {
      const x = Int32Array.from({ length: from }, (_, i) => Math.imul(i + 1, seed));
      const sourceOf = (i: number) => (i * 7 + seed) % from;
      const pairs = Int32Array.from({ length: 2 * count }, (_, i) => 4 * (i % 2 === 0 ? sourceOf(i / 2) : gap * (count - 1 - (i - 1) / 2)));
      const expected = new Map(Array.from({ length: count }, (_, i) => [gap * (count - 1 - i), { value: x[sourceOf(i)] as number, tolerance: 0 }]));
      const operands = { x: { data: x }, pairs: { data: pairs }, y: { data: new Int32Array(gap * count).fill(canary) } };
      checkKernel({ template: x32Scatter, problem: { count }, operands, expected });
    });
  });
});
