import { type FittedLevels, fitLevels, type Grid, gridsOf, type LevelFamily, levelsOf, nearestMultiple } from "../projections/levels.ts";
import type { Quantization } from "../projections/projection.ts";
import { factorizeWith, objectives, type Problem, proximalStep, timesGram } from "./problem.ts";

export interface QuantizeOptions {
  readonly quantization: Quantization;
  /** Where to start: the dense or the pruned weights, in the problem's coordinates. */
  readonly start: Float64Array;
  /** Weights that stay 0 are those whose mask is 0. */
  readonly mask: Uint8Array | undefined;
  readonly iterations: number;
  /** Levels of all outputs, where they have them in common. */
  readonly common: FittedLevels | undefined;
}

export interface Quantized {
  readonly weights: Float64Array;
  /** The same in the original coordinates: whole multiples of each output's scale, a float32, rounded once. */
  readonly values: Float32Array;
  /** Of each output. */
  readonly levels: readonly Float32Array[];
  readonly residual: number;
}

/**
 * ADMM onto levels, each output with the best point that it came by; then, in turn, each weight moves to the level that lowers the
 * layer's error most while all others stay (coordinate descent), and the scale to its least-squares value. Neither ever goes up.
 */
export function quantizeByAdmm(problem: Problem, options: QuantizeOptions): Quantized {
  const { start, mask, iterations } = options;
  const k = problem.gram.rows;
  const fitted = fitRows(problem, options);
  const project = (values: Float64Array) => rounded(values, problem, fitted, mask);

  const best = project(start);
  const bestObjectives = objectives(problem, best);
  const keepBest = (candidate: Float64Array) => {
    const found = objectives(problem, candidate);
    found.forEach((value, r) => {
      if (value >= (bestObjectives[r] as number)) return;
      bestObjectives[r] = value;
      best.set(candidate.subarray(r * k, (r + 1) * k), r * k);
    });
  };
  let z: Float64Array = best.slice();
  const u = new Float64Array(start.length);
  const pull = new Float64Array(start.length);
  const weights = new Float64Array(start.length);
  let rho = 0.1;
  if (iterations > 0) factorizeWith(problem, rho);
  for (let t = 1; t <= iterations; t++) {
    for (let i = 0; i < u.length; i++) pull[i] = (z[i] as number) - (u[i] as number);
    proximalStep(problem, rho, pull, weights);
    for (let i = 0; i < u.length; i++) u[i] = (u[i] as number) + (weights[i] as number);
    z = project(u);
    for (let i = 0; i < u.length; i++) u[i] = (u[i] as number) - (z[i] as number);
    if (t % 4 !== 0 && t !== iterations) continue;
    keepBest(z);
    rho *= 1.1;
    for (let i = 0; i < u.length; i++) u[i] = (u[i] as number) / 1.1;
    if (t < iterations) factorizeWith(problem, rho);
  }
  const isFree = options.common === undefined && options.quantization.kind !== "power-of-two";
  const chosen = descended(problem, best, fitted, mask, isFree);
  if (isFree)
    for (const variant of variantsOf(fitted, options.quantization, k)) {
      const candidates = descended(problem, rounded(start, problem, variant, mask), variant, mask, true);
      candidates.forEach((row, r) => {
        if (row.objective < (chosen[r] as DescendedRow).objective) chosen[r] = row;
      });
    }
  const values = new Float32Array(start.length);
  chosen.forEach(({ weights: row, multiples, scale }, r) => {
    best.set(row, r * k);
    values.set(
      multiples.map((multiple) => multiple * Math.fround(scale)),
      r * k,
    );
  });
  let [difference, norm] = [0, 0];
  for (let i = 0; i < start.length; i++) {
    difference += ((start[i] as number) - (best[i] as number)) ** 2;
    norm += (start[i] as number) ** 2;
  }
  return { weights: best, values, levels: chosen.map(levelsOf), residual: norm === 0 ? 0 : Math.sqrt(difference / norm) };
}

/** Levels of each output for its start weights, each weight's error counting as much as its input's energy. */
function fitRows({ scale, shape }: Problem, { start, mask, quantization, common }: QuantizeOptions): FittedLevels[] {
  const k = scale.length;
  return Array.from({ length: shape.outputs }, (_, r) => {
    if (common !== undefined) return common;
    const kept = [...scale.keys()].filter((i) => mask === undefined || mask[r * k + i] === 1);
    const values = Float64Array.from(kept, (i) => (start[r * k + i] as number) / (scale[i] as number));
    return fitLevels(values, quantization, {
      grids: likelyGrids(values, quantization),
      importance: Float64Array.from(kept, (i) => (scale[i] as number) ** 2),
    });
  });
}

/** Of affine levels those whose zero point is near where the greatest and the least value want it: what follows moves the rest of the way. */
function likelyGrids(values: Float64Array, family: LevelFamily): Grid[] | undefined {
  if (family.kind !== "affine") return undefined;
  const [least, greatest] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]);
  const wanted = greatest > least ? ((2 ** family.bits - 1) * -least) / (greatest - least) : 0;
  return gridsOf(family).filter((_, z) => Math.abs(z - wanted) <= 1.5);
}

function rounded(values: Float64Array, { scale }: Problem, fitted: readonly FittedLevels[], mask: Uint8Array | undefined): Float64Array {
  const k = scale.length;
  return values.map((v, i) => {
    if (mask !== undefined && mask[i] === 0) return 0;
    const { grid, scale: q } = fitted[Math.floor(i / k)] as FittedLevels;
    const s = scale[i % k] as number;
    return nearestMultiple(v / s, grid, q) * q * s;
  });
}

/** Other levels to start from: with few inputs many scales and zero points cost next to nothing, with many each costs a descent. */
function variantsOf(fitted: readonly FittedLevels[], family: LevelFamily, inputs: number): FittedLevels[][] {
  const grids = gridsOf(family);
  const isSmall = inputs <= 64;
  const shifts = family.kind === "affine" && isSmall ? [-1, 0, 1] : [0];
  const factors = isSmall ? [0.65, 0.75, 0.85, 0.95, 1.05, 1.2] : [0.85, 1.15];
  return shifts.flatMap((shift) =>
    factors.map((factor) => fitted.map((f) => ({ ...f, grid: shift === 0 ? f.grid : (grids[f.grid.negative.length - 1 + shift] ?? f.grid), scale: f.scale * factor }))),
  );
}

interface DescendedRow {
  readonly weights: Float64Array;
  readonly grid: Grid;
  readonly multiples: Float64Array;
  readonly scale: number;
  /** w G wᵀ − 2 w tᵀ */
  readonly objective: number;
}

function descended(problem: Problem, weights: Float64Array, fitted: readonly FittedLevels[], mask: Uint8Array | undefined, refits: boolean): DescendedRow[] {
  const k = problem.gram.rows;
  const { data, stride } = timesGram(problem, weights);
  return fitted.map((levels, r) => {
    const row = mask?.subarray(r * k, (r + 1) * k);
    return descend(problem, weights.slice(r * k, (r + 1) * k), data.subarray(r * stride, r * stride + k), r, levels, row, refits ? maxRefits : 0);
  });
}

const maxSweeps = 12;
const maxRefits = 3;

/** Coordinate descent on one row of weights, in place, between least-squares fits of its scale. `timesG` is w G. */
function descend(
  { gram, cross, scale }: Problem,
  w: Float64Array,
  timesG: Float64Array,
  r: number,
  { grid, scale: first }: FittedLevels,
  mask: Uint8Array | undefined,
  refits: number,
): DescendedRow {
  const k = scale.length;
  const targets = cross.data.subarray(r * cross.stride, r * cross.stride + k);
  let q = first;
  const multiples = w.map((v, i) => Math.round(v / (q * (scale[i] as number))));
  /** g = t − w G */
  const gradient = timesG.map((v, i) => (targets[i] as number) - v);
  for (let refit = 0; ; refit++) {
    for (let sweep = 0, moved = true; moved && sweep < maxSweeps; sweep++) {
      moved = false;
      for (let i = 0; i < k; i++) {
        if (mask !== undefined && mask[i] === 0) continue;
        const s = scale[i] as number;
        const wanted = (w[i] as number) + (gradient[i] as number) / (gram.data[i * gram.stride + i] as number);
        const level = nearestMultiple(wanted / s, grid, q);
        if (level === multiples[i]) continue;
        const change = level * q * s - (w[i] as number);
        multiples[i] = level;
        w[i] = level * q * s;
        for (let j = 0, at = i * gram.stride; j < k; j++, at++) gradient[j] = (gradient[j] as number) - change * (gram.data[at] as number);
        moved = true;
      }
    }
    if (refit >= refits) break;
    // w = q l: the best q is (l tᵀ) / (l G lᵀ), with w G = t − g.
    const along = dot(w, targets);
    const square = along - dot(w, gradient);
    const factor = along / square;
    if (!(square > 0) || !(factor > 0.5 && factor < 2)) break;
    q *= factor;
    for (let i = 0; i < k; i++) {
      const t = targets[i] as number;
      gradient[i] = t - (t - (gradient[i] as number)) * factor;
      w[i] = (w[i] as number) * factor;
    }
  }
  return { weights: w, grid, multiples, scale: q, objective: -dot(w, targets) - dot(w, gradient) };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
