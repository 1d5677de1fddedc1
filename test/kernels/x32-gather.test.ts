import fc from "fast-check";
import { describe, test } from "vitest";
import { x32Gather } from "../../src/kernels/wasm/x32-gather.ts";
import { canary, checkKernel, fuzz } from "./harness.ts";

const problems = fc.record({ outer: fc.constantFrom(1, 2, 3), axis: fc.constantFrom(5, 1, 7), indices: fc.constantFrom(1, 3, 4), inner: fc.constantFrom(1, 3, 5, 8) });

describe("x32-gather", () => {
  test("takes slices by index, counts negative ones from the end, and clamps those outside", () => {
    fuzz(problems, 60, (p, seed) => {
      const x = Int32Array.from({ length: p.outer * p.axis * p.inner }, (_, i) => Math.imul(i + 1, seed));
      const indices = Int32Array.from({ length: p.indices }, (_, i) => (Math.imul(seed, i + 7) % (2 * p.axis + 3)) | 0);
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (let o = 0; o < p.outer; o++)
        for (let i = 0; i < p.indices; i++)
          for (let n = 0; n < p.inner; n++) {
            const index = indices[i] as number;
            const slice = Math.min(p.axis - 1, Math.max(0, index < 0 ? index + p.axis : index));
            expected.set((o * p.indices + i) * p.inner + n, { value: x[(o * p.axis + slice) * p.inner + n] as number, tolerance: 0 });
          }
      const operands = { x: { data: x }, indices: { data: indices }, y: { data: new Int32Array(p.outer * p.indices * p.inner).fill(canary) } };
      checkKernel({ template: x32Gather, problem: p, operands, expected });
    });
  });
});
