import { describe, expect, test } from "vitest";
import { LinearAlgebra, matrixSize } from "../../src/compress/linear/algebra.ts";
import type { Moments } from "../../src/compress/post-training/moments.ts";
import { leastSquares, makeProblem, makeWorkspace, objectives, type Problem, workspaceSize } from "../../src/compress/post-training/problem.ts";
import { pruneByAdmm } from "../../src/compress/post-training/prune.ts";
import { quantizeByAdmm } from "../../src/compress/post-training/quantize.ts";
import { quantizing } from "../../src/compress/projections/projection.ts";
import { selectorOf } from "../../src/compress/projections/selector.ts";
import { createRandom } from "../../src/zoo/random.ts";

/** Correlated inputs of very different size, and the dense weights' outputs for them. */
function problemOf(m: number, k: number, seed: number, ridge = 0): Problem {
  const random = createRandom(seed, "fit");
  const algebra = new LinearAlgebra();
  algebra.reset(matrixSize(k, k) + matrixSize(m, k) + workspaceSize(m, k));
  const mix = Array.from({ length: k * k }, () => random.normal());
  const sizes = Array.from({ length: k }, () => 2 ** (2 * random.normal()));
  const moments = { gram: algebra.matrix(k, k), cross: algebra.matrix(m, k) };
  for (let i = 0; i < k; i++)
    for (let j = 0; j < k; j++) {
      let sum = i === j ? 0.05 : 0;
      for (let l = 0; l < k; l++) sum += ((mix[i * k + l] as number) * (mix[j * k + l] as number)) / k;
      moments.gram.data[i * moments.gram.stride + j] = sum * (sizes[i] as number) * (sizes[j] as number);
    }
  const dense = Array.from({ length: m * k }, (_, i) => random.normal() / (sizes[i % k] as number));
  for (let r = 0; r < m; r++)
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++)
        moments.cross.data[r * moments.cross.stride + i] =
          (moments.cross.data[r * moments.cross.stride + i] as number) + (dense[r * k + j] as number) * (moments.gram.data[j * moments.gram.stride + i] as number);
  return makeProblem(makeWorkspace(algebra, m, k), { ...moments } as Moments, dense, { outputs: m, inputs: k, taps: 1 }, ridge);
}
const total = (problem: Problem, weights: Float64Array) => objectives(problem, weights).reduce((a, b) => a + b, 0);
const unstructured = (m: number, k: number) => selectorOf({ kind: "unstructured" }, { outputs: m, inputs: k, taps: 1 });

describe("least squares", () => {
  test("with all weights gives the dense ones; with some, no other weights there are better", () => {
    const problem = problemOf(3, 10, 1);
    leastSquares(problem, new Uint8Array(30).fill(1)).forEach((w, i) => expect(w).toBeCloseTo(problem.dense[i] as number, 3));
    const mask = Uint8Array.from({ length: 30 }, (_, i) => Number(i % 3 !== 0));
    const weights = leastSquares(problem, mask);
    const random = createRandom(2, "directions");
    for (let trial = 0; trial < 50; trial++)
      expect(
        total(
          problem,
          weights.map((w, i) => w + 1e-2 * (mask[i] as number) * random.normal()),
        ),
      ).toBeGreaterThan(total(problem, weights));
    weights.forEach((w, i) => expect(w === 0).toBe(mask[i] === 0));
  });
});

describe("pruning", () => {
  test.each([1, 2, 3, 4])("comes near the best of all supports and beats the greatest weights (%i)", (seed) => {
    const [k, keep] = [12, 5];
    const problem = problemOf(1, k, seed);
    let best = Number.POSITIVE_INFINITY;
    for (let bits = 0; bits < 2 ** k; bits++) {
      const mask = Uint8Array.from({ length: k }, (_, i) => (bits >> i) & 1);
      if (mask.reduce((a, b) => a + b, 0) === keep) best = Math.min(best, total(problem, leastSquares(problem, mask)));
    }
    const zero = total(problem, new Float64Array(k));
    const dense = total(problem, problem.dense);
    const { weights, mask } = pruneByAdmm(problem, { select: unstructured(1, k), count: keep, iterations: 60 });
    expect(mask.reduce((a, b) => a + b, 0)).toBe(keep);
    const lost = (value: number) => (value - dense) / (zero - dense);
    expect(lost(total(problem, weights))).toBeLessThanOrEqual(lost(best) + 0.1);
    const greatest = unstructured(1, k)(
      problem.dense.map((v) => v * v),
      keep,
    );
    expect(total(problem, weights)).toBeLessThan(
      total(
        problem,
        problem.dense.map((v, i) => v * (greatest[i] as number)),
      ),
    );
  });
});

describe("quantizing", () => {
  test.each([1, 2, 3])("no single weight can move to a better level, and all outputs beat the nearest levels (%i)", (seed) => {
    const [m, k] = [4, 16];
    const problem = problemOf(m, k, seed);
    const options = { quantization: { kind: "affine", bits: 3, per: "channel" }, start: problem.dense, mask: undefined, iterations: 20, common: undefined } as const;
    const { weights, levels } = quantizeByAdmm(problem, options);
    const plain = Float32Array.from(problem.dense, (v, i) => v / (problem.scale[i % k] as number));
    const nearest = quantizing(options.quantization, problem.shape).project(plain).values;
    const before = objectives(
      problem,
      Float64Array.from(nearest, (v, i) => v * (problem.scale[i % k] as number)),
    );
    const after = objectives(problem, weights);
    after.forEach((value, r) => expect(value).toBeLessThanOrEqual((before[r] as number) + 1e-9));
    const sum = total(problem, weights);
    weights.forEach((w, i) => {
      const row = levels[Math.floor(i / k)] as Float32Array;
      const s = problem.scale[i % k] as number;
      expect(Math.min(...row.map((level) => Math.abs(w / s - level)))).toBeLessThan(1e-5 * Math.max(...row.map(Math.abs)));
      for (const level of row) {
        const moved = weights.slice();
        moved[i] = level * s;
        expect(total(problem, moved)).toBeGreaterThanOrEqual(sum - 1e-5 * Math.abs(sum));
      }
    });
  });

  test("zeros of a mask stay", () => {
    const problem = problemOf(2, 8, 5);
    const mask = Uint8Array.from({ length: 16 }, (_, i) => i % 2);
    const { weights } = quantizeByAdmm(problem, {
      quantization: { kind: "signed", bits: 2, per: "channel" },
      start: leastSquares(problem, mask),
      mask,
      iterations: 12,
      common: undefined,
    });
    weights.forEach((w, i) => expect(w === 0).toBe(mask[i] === 0));
  });
});
