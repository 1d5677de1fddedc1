import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Matvec, type MatvecProblem } from "../../src/kernels/wasm/f32-matvec.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { activated, activations, at, noise } from "./problems.ts";

const problems: fc.Arbitrary<MatvecProblem> = fc.record({
  m: fc.constantFrom(5, 7, 1, 2, 3, 4, 8, 13, 17),
  k: fc.constantFrom(5, 7, 11, 13, 1, 2, 3, 4, 8, 9, 15, 16, 31, 64, 101),
  rows: fc.constantFrom(1, 2, 3, 5),
  bias: fc.boolean(),
  activation: activations,
});

/** y[n, m] = act(bias[m] + Σ_k w[m, k] · x[n, k]) */
function check(p: MatvecProblem, seed: number): void {
  const x = noise(seed, "x", p.rows * p.k);
  const w = noise(seed, "w", p.m * p.k);
  const bias = noise(seed, "bias", p.m);
  const expected = new Map<number, { value: number; tolerance: number }>();
  for (let n = 0; n < p.rows; n++)
    for (let m = 0; m < p.m; m++) {
      const products = Array.from({ length: p.k }, (_, k) => at(w, m * p.k + k) * at(x, n * p.k + k));
      if (p.bias) products.push(at(bias, m));
      expected.set(
        n * p.m + m,
        activated(
          p.activation,
          products.reduce((a, b) => a + b, 0),
          products.reduce((a, b) => a + Math.abs(b), 0),
          p.k + 1,
        ),
      );
    }
  const operands = { x: { data: x }, w: { data: w }, ...(p.bias ? { bias: { data: bias } } : {}), y: { data: blank(p.rows * p.m) } };
  checkKernel({ template: f32Matvec, problem: p, operands, expected });
}

describe("f32-matvec", () => {
  test("every choice computes the product, for depths that are no multiple of the vector", () => {
    fuzz(problems, 80, check);
  });
});
