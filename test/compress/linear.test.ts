import { describe, expect, test } from "vitest";
import { LinearAlgebra, type Matrix, matrixSize } from "../../src/compress/linear/algebra.ts";
import { createRandom } from "../../src/zoo/random.ts";

function fill(m: Matrix, value: (i: number, j: number) => number): Matrix {
  for (let i = 0; i < m.rows; i++) for (let j = 0; j < m.columns; j++) m.data[i * m.stride + j] = value(i, j);
  return m;
}
const at = (m: Matrix, i: number, j: number) => m.data[i * m.stride + j] as number;

describe.each([
  [1, 1, 1],
  [3, 5, 7],
  [4, 8, 16],
  [33, 18, 71],
  [70, 131, 40],
])("%i × %i matrices, %i samples", (m, n, samples) => {
  const random = createRandom(7, `${m},${n}`);
  const algebra = new LinearAlgebra();
  algebra.reset(3 * matrixSize(n, n) + 2 * matrixSize(m, n) + matrixSize(n, samples) + matrixSize(m, samples));
  const x = fill(algebra.matrix(n, samples), () => random.normal());
  const y = fill(algebra.matrix(m, samples), () => random.normal());
  const dot = (a: Matrix, i: number, b: Matrix, j: number) => Array.from({ length: samples }, (_, k) => at(a, i, k) * at(b, j, k)).reduce((s, v) => s + v, 0);

  test("products, and their lower triangles", () => {
    const t = algebra.matrix(m, n);
    algebra.addProduct(y, x, t, x.stride);
    algebra.addProduct(y, x, t, x.stride);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) expect(at(t, i, j)).toBeCloseTo(2 * dot(y, i, x, j), 9);
    const gram = algebra.matrix(n, n);
    algebra.addProduct(x, x, gram, x.stride, { lower: true });
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) expect(at(gram, i, j)).toBeCloseTo(dot(x, i, x, j), 9);

    const ridge = fill(algebra.matrix(n, n), (i, j) => (j <= i ? at(gram, i, j) + (i === j ? 0.5 : 0) : 0));
    const full = (i: number, j: number) => at(gram, Math.max(i, j), Math.min(i, j)) + (i === j ? 0.5 : 0);
    expect(algebra.factorize(ridge)).toBe(true);
    const upper = algebra.matrix(n, n);
    algebra.transpose(ridge, upper);
    const solution = algebra.matrix(m, n);
    solution.data.set(t.data);
    algebra.solve(ridge, upper, solution);
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += at(solution, i, k) * full(k, j);
        expect(sum).toBeCloseTo(at(t, i, j), 7);
      }
  });
});

test("a matrix that is not positive definite has no factor", () => {
  const algebra = new LinearAlgebra();
  algebra.reset(matrixSize(40, 40));
  expect(algebra.factorize(fill(algebra.matrix(40, 40), (i, j) => (i === j ? (i === 37 ? -1 : 1) : 0)))).toBe(false);
});
