import fc from "fast-check";
import { describe, test } from "vitest";
import { f32SumParts } from "../../src/kernels/wasm/f32-sum-parts.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { at, noise, unit } from "./problems.ts";

const problems = fc.record({ count: fc.constantFrom(5, 1, 3, 8), slots: fc.constantFrom(9, 8, 11), parts: fc.constantFrom(3, 1, 2, 16) });

describe("f32-sum-parts", () => {
  test("adds up the parts and lanes of each slot", () => {
    fuzz(problems, 40, (p, seed) => {
      const x = noise(seed, "x", 4 * p.slots * p.parts);
      const slotOf = (i: number) => (i + seed) % p.slots;
      const expected = new Map(
        Array.from({ length: p.count }, (_, i) => {
          const terms = Array.from({ length: 4 * p.parts }, (_unused, k) => at(x, 4 * (Math.floor(k / 4) * p.slots + slotOf(i)) + (k % 4)));
          return [i, { value: terms.reduce((a, b) => a + b), tolerance: terms.length * unit * terms.reduce((a, b) => a + Math.abs(b), 0) }];
        }),
      );
      const slots = Int32Array.from({ length: p.count }, (_, i) => 16 * slotOf(i));
      checkKernel({ template: f32SumParts, problem: p, operands: { x: { data: x }, slots: { data: slots }, y: { data: blank(p.count) } }, expected });
    });
  });
});
