import type { Selector } from "../projections/selector.ts";
import { factorizeWith, leastSquares, type Problem, proximalStep } from "./problem.ts";

export interface PruneOptions {
  readonly select: Selector;
  readonly count: number;
  readonly iterations: number;
}

export interface Pruned {
  /** In the problem's coordinates. */
  readonly weights: Float64Array;
  readonly mask: Uint8Array;
  /** ‖W − Z‖ / ‖W‖ of the last iteration. */
  readonly residual: number;
}

const firstRho = 0.03;

/**
 * ADMM on one layer (Meng et al., "ALPS", arXiv 2406.07831): W = argmin f(W) + ρ/2 ‖W − Z + U‖² in closed form, Z = Π(W + U), U += W − Z,
 * with a ρ that grows faster while the support still changes; then least squares on the support.
 */
export function pruneByAdmm(problem: Problem, { select, count, iterations }: PruneOptions): Pruned {
  const size = problem.dense.length;
  let weights: Float64Array = problem.dense.slice();
  let mask = select(squares(weights), count);
  let z = masked(weights, mask);
  const u = new Float64Array(size);
  const pull = new Float64Array(size);
  let rho = firstRho;
  let residual = relativeDistance(weights, z);
  let supportBefore = mask;
  if (iterations > 0) factorizeWith(problem, rho);
  for (let t = 1; t <= iterations; t++) {
    for (let i = 0; i < size; i++) pull[i] = (z[i] as number) - (u[i] as number);
    weights = new Float64Array(size);
    proximalStep(problem, rho, pull, weights);
    for (let i = 0; i < size; i++) u[i] = (u[i] as number) + (weights[i] as number); // W + U, of which Z is taken off below
    mask = select(squares(u), count);
    z = masked(u, mask);
    for (let i = 0; i < size; i++) u[i] = (u[i] as number) - (z[i] as number);
    if (t % 3 !== 0) continue;
    residual = relativeDistance(weights, z);
    const changed = differing(mask, supportBefore) / Math.max(1, count);
    supportBefore = mask;
    if (residual < 1e-3 || t === iterations) break;
    const factor = changed > 0.05 ? 1.3 : changed > 0.003 ? 1.15 : 1.05;
    rho *= factor;
    for (let i = 0; i < size; i++) u[i] = (u[i] as number) / factor;
    factorizeWith(problem, rho);
  }
  return { weights: leastSquares(problem, mask), mask, residual };
}

function squares(values: Float64Array): Float64Array {
  return values.map((v) => v * v);
}

function masked(values: Float64Array, mask: Uint8Array): Float64Array {
  return values.map((v, i) => (mask[i] === 1 ? v : 0));
}

function differing(a: Uint8Array, b: Uint8Array): number {
  let n = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === 1 && b[i] === 0) n++;
  return n;
}

function relativeDistance(w: Float64Array, z: Float64Array): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < w.length; i++) {
    difference += ((w[i] as number) - (z[i] as number)) ** 2;
    norm += (w[i] as number) ** 2;
  }
  return norm === 0 ? 0 : Math.sqrt(difference / norm);
}
