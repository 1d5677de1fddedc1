import { invariant } from "../../errors.ts";
import { type LinearAlgebra, type Matrix, matrixSize, padded } from "../linear/algebra.ts";
import type { WeightShape } from "../projections/structure.ts";
import type { Moments } from "./moments.ts";

/**
 * min over W in a set: tr(W G Wᵀ) − 2 tr(W Tᵀ), in coordinates in which G has a unit diagonal: W holds w · s, s_k = √G_kk.
 * All arrays of weights are [outputs, inputs · taps] without padding.
 */
export interface Problem {
  readonly shape: WeightShape;
  /** [K, K], symmetric. */
  readonly gram: Matrix;
  /** [M, K] */
  readonly cross: Matrix;
  /** The dense weights. */
  readonly dense: Float64Array;
  /** s */
  readonly scale: Float64Array;
  readonly work: Workspace;
}

/** Room for factorizations, shared by the groups of a layer. */
export interface Workspace {
  readonly algebra: LinearAlgebra;
  readonly factor: Matrix;
  readonly upper: Matrix;
  /** [M, K], as is `product`. */
  readonly right: Matrix;
  readonly product: Matrix;
}

export const workspaceSize = (m: number, k: number): number => 2 * matrixSize(k, k) + 2 * matrixSize(m, k);

export function makeWorkspace(algebra: LinearAlgebra, m: number, k: number): Workspace {
  return { algebra, factor: algebra.matrix(k, k), upper: algebra.matrix(k, k), right: algebra.matrix(m, k), product: algebra.matrix(m, k) };
}

/**
 * Moments and dense weights as a problem; the moments are rescaled in place. `ridge` draws weights to the dense ones where the images
 * say little: + ridge ‖(W − W_dense) s‖².
 */
export function makeProblem(work: Workspace, { gram, cross }: Moments, dense: ArrayLike<number>, shape: WeightShape, ridge: number): Problem {
  const k = gram.rows;
  const m = cross.rows;
  let mean = 0;
  for (let i = 0; i < k; i++) mean += (gram.data[i * gram.stride + i] as number) / k;
  // Inputs that are always 0 (dead units) must not divide by 0; their weights do not matter.
  const scale = Float64Array.from({ length: k }, (_, i) => Math.sqrt(Math.max(gram.data[i * gram.stride + i] as number, 1e-8 * mean, 1e-30)));
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) gram.data[i * gram.stride + j] = (gram.data[i * gram.stride + j] as number) / ((scale[i] as number) * (scale[j] as number));
    gram.data[i * gram.stride + i] = 1 + ridge;
  }
  const scaled = new Float64Array(m * k);
  for (let r = 0; r < m; r++)
    for (let i = 0; i < k; i++) {
      const w = (dense[r * k + i] as number) * (scale[i] as number);
      scaled[r * k + i] = w;
      cross.data[r * cross.stride + i] = (cross.data[r * cross.stride + i] as number) / (scale[i] as number) + ridge * w;
    }
  return { shape, gram, cross, dense: scaled, scale, work };
}

/** L of G + ρ I, and Lᵀ, in the workspace. */
export function factorizeWith({ gram, work }: Problem, rho: number): void {
  const { algebra, factor, upper } = work;
  for (let extra = 0; ; extra = Math.max(1e-8, extra * 10)) {
    factor.data.set(gram.data);
    for (let i = 0; i < gram.rows; i++) factor.data[i * factor.stride + i] = (factor.data[i * factor.stride + i] as number) + rho + extra;
    if (algebra.factorize(factor)) break;
    invariant(extra < 1, "G is not positive semidefinite");
  }
  algebra.transpose(factor, upper);
}

/** W = (T + ρ A) (G + ρ I)⁻¹, with the factor of G + ρ I in the workspace; into `out`. */
export function proximalStep({ cross, work }: Problem, rho: number, a: Float64Array, out: Float64Array): void {
  const { algebra, factor, upper, right } = work;
  const [m, k] = [cross.rows, cross.columns];
  for (let r = 0; r < m; r++) for (let i = 0; i < k; i++) right.data[r * right.stride + i] = (cross.data[r * cross.stride + i] as number) + rho * (a[r * k + i] as number);
  algebra.solve(factor, upper, right);
  for (let r = 0; r < m; r++) out.set(right.data.subarray(r * right.stride, r * right.stride + k), r * k);
}

/** W G, valid until the next call of this or `proximalStep`. */
export function timesGram({ gram, work }: Problem, weights: Float64Array): Matrix {
  const { algebra, right, product } = work;
  const k = gram.rows;
  for (let r = 0; r < right.rows; r++) right.data.set(weights.subarray(r * k, (r + 1) * k), r * right.stride);
  product.data.fill(0);
  algebra.addProduct(right, gram, product, gram.stride);
  return product;
}

/** For each row w: w G wᵀ − 2 w tᵀ. */
export function objectives(problem: Problem, weights: Float64Array): Float64Array {
  const { cross } = problem;
  const k = cross.columns;
  const product = timesGram(problem, weights);
  return Float64Array.from({ length: cross.rows }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (weights[r * k + i] as number) * ((product.data[r * product.stride + i] as number) - 2 * (cross.data[r * cross.stride + i] as number));
    return sum;
  });
}

/** The best weights with the support of `mask`, row by row: G_SS w_S = t_S. Rows with equal supports share a factorization. */
export function leastSquares({ gram, cross, work }: Problem, mask: Uint8Array): Float64Array {
  const [m, k] = [cross.rows, cross.columns];
  const out = new Float64Array(m * k);
  let support: number[] = [];
  let before = "";
  for (let r = 0; r < m; r++) {
    const row = mask.subarray(r * k, (r + 1) * k);
    const key = row.join("");
    if (key !== before) {
      support = [...row.keys()].filter((i) => row[i] === 1);
      factorizeSupport(work, gram, support);
      before = key;
    }
    const x = Float64Array.from(support, (i) => cross.data[r * cross.stride + i] as number);
    solveVector(work.factor.data, padded(support.length), x);
    support.forEach((i, at) => {
      out[r * k + i] = x[at] as number;
    });
  }
  return out;
}

function factorizeSupport({ algebra, factor }: Workspace, gram: Matrix, support: readonly number[]): void {
  const n = support.length;
  const stride = padded(n);
  const { data } = factor;
  for (let extra = 1e-6; ; extra *= 10) {
    data.fill(0, 0, stride * stride);
    for (let a = 0; a < n; a++) {
      const from = (support[a] as number) * gram.stride;
      for (let b = 0; b <= a; b++) data[a * stride + b] = gram.data[from + (support[b] as number)] as number;
      data[a * stride + a] = (data[a * stride + a] as number) + extra;
    }
    if (algebra.factorize({ rows: n, columns: n, stride, data })) return;
    invariant(extra < 1, "G is not positive semidefinite");
  }
}

/** x ← (L Lᵀ)⁻¹ x, reading L along its rows both ways. */
function solveVector(l: Float64Array, stride: number, x: Float64Array): void {
  for (let i = 0; i < x.length; i++) {
    let sum = x[i] as number;
    for (let j = 0, at = i * stride; j < i; j++, at++) sum -= (l[at] as number) * (x[j] as number);
    x[i] = sum / (l[i * stride + i] as number);
  }
  for (let i = x.length - 1; i >= 0; i--) {
    const v = (x[i] as number) / (l[i * stride + i] as number);
    x[i] = v;
    for (let j = 0, at = i * stride; j < i; j++, at++) x[j] = (x[j] as number) - (l[at] as number) * v;
  }
}
