import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Spmv, type SpmvProblem } from "../../src/kernels/wasm/f32-spmv.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { activated, activations, at, noise } from "./problems.ts";
import { prune, stream } from "./weights.ts";

const cases = fc.record({
  m: fc.constantFrom(5, 7, 1, 2, 3, 4, 13),
  k: fc.constantFrom(5, 7, 1, 3, 4, 31, 64),
  rows: fc.constantFrom(1, 2, 3),
  bias: fc.boolean(),
  activation: activations,
  zeros: fc.constantFrom(0.5, 0.9, 0, 1),
  emptyRows: fc.uniqueArray(fc.integer({ min: 0, max: 12 }), { maxLength: 4 }),
});

/** y[n, m] = act(bias[m] + Σ over the non-zeros of row m of weight · x[n, offset]) */
function check({ zeros, emptyRows, ...rest }: typeof cases extends fc.Arbitrary<infer T> ? T : never, seed: number): void {
  const p: SpmvProblem = { ...rest, nonZeros: rest.m * rest.k };
  const x = noise(seed, "x", p.rows * p.k);
  const w = prune(noise(seed, "w", p.m * p.k), p.k, zeros, emptyRows);
  const bias = noise(seed, "bias", p.m);
  const expected = new Map<number, { value: number; tolerance: number }>();
  for (let n = 0; n < p.rows; n++)
    for (let m = 0; m < p.m; m++) {
      let sum = p.bias ? at(bias, m) : 0;
      let magnitude = Math.abs(sum);
      for (let k = 0; k < p.k; k++) {
        sum += at(w, m * p.k + k) * at(x, n * p.k + k);
        magnitude += Math.abs(at(w, m * p.k + k) * at(x, n * p.k + k));
      }
      expected.set(n * p.m + m, activated(p.activation, sum, magnitude, p.k + 1));
    }
  const operands = {
    x: { data: x },
    w: { data: stream(w, { m: p.m, channels: p.k, taps: [0], group: 4, filters: 1, alike: true, pass: p.k, relative: false }, (k) => k) },
    ...(p.bias ? { bias: { data: bias } } : {}),
    y: { data: blank(p.rows * p.m) },
  };
  checkKernel({ template: f32Spmv, problem: p, operands, expected });
}

describe("f32-spmv", () => {
  test("every choice computes the product, with empty rows", () => {
    fuzz(cases, 80, check);
  });
});
