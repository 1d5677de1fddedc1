import type { Weights } from "../../train/weights.ts";
import { distance } from "../admm.ts";
import { fromMatrix, toMatrix } from "../layers.ts";
import type { LinearAlgebra } from "../linear/algebra.ts";
import { fitLevels } from "../projections/levels.ts";
import { pruning, type Quantization, quantizing } from "../projections/projection.ts";
import { selectorOf } from "../projections/selector.ts";
import type { Structure } from "../projections/structure.ts";
import { type Moments, momentsSize } from "./moments.ts";
import { makeProblem, makeWorkspace, objectives, type Problem, timesGram, workspaceSize } from "./problem.ts";
import { pruneByAdmm } from "./prune.ts";
import { quantizeByAdmm } from "./quantize.ts";
import { estimatedStatistics, type GroupOutcome } from "./statistics.ts";
import type { LinearLayer } from "./targets.ts";

export interface LayerTask {
  readonly pruning: { readonly structure: Structure; readonly count: number } | undefined;
  readonly quantization: Quantization | undefined;
  readonly iterations: number;
  readonly ridge: number;
  readonly statistics: boolean;
}

export interface LayerOutcome {
  /** The weight, and biases and statistics that follow it, by name. */
  readonly weights: Weights;
  /** ‖W − Z‖ / ‖W‖ at the end of ADMM. */
  readonly residual: number;
  /** ‖Y − (W X + b)‖² / ‖Y‖², Y about its mean: what of the dense layer's output is lost; missing where nobody looked. */
  readonly error?: number;
}

export const layerSize = (target: LinearLayer): number => {
  const { inputs, taps, outputs } = target.layer.matrix;
  return momentsSize(target) + workspaceSize(outputs / target.groups, inputs * taps);
};

/** Whether the mean of outputs is free, as a bias or a BatchNorm follows that takes it up. */
export const isCentred = ({ bias, norm }: LinearLayer): boolean => bias !== undefined || norm !== undefined;

/** Prunes and quantizes one layer to the moments of its inputs and outputs. */
export function compressLayer(algebra: LinearAlgebra, target: LinearLayer, moments: readonly Moments[], task: LayerTask): LayerOutcome {
  const { layer, groups } = target;
  const { matrix } = layer;
  const k = matrix.inputs * matrix.taps;
  const m = matrix.outputs / groups;
  const shape = { outputs: m, inputs: matrix.inputs, taps: matrix.taps };
  const dense = toMatrix(layer.value.data as Float32Array, matrix);
  const work = makeWorkspace(algebra, m, k);
  const problems = moments.map((group, g) => makeProblem(work, group, dense.subarray(g * m * k, (g + 1) * m * k), shape, task.ridge + 0.05 * Math.min(1, k / group.samples)));

  let residual = 0;
  let solutions: { readonly weights: Float64Array; readonly values?: Float32Array; readonly mask?: Uint8Array | undefined }[] = problems.map((problem) => ({
    weights: problem.dense,
  }));
  if (task.pruning !== undefined) {
    const { structure, count } = task.pruning;
    const options = { select: selectorOf(structure, shape), count: Math.max(1, Math.floor(count / groups)), iterations: task.iterations };
    solutions = problems.map((problem) => {
      const pruned = pruneByAdmm(problem, options);
      residual = Math.max(residual, pruned.residual);
      return pruned;
    });
  }
  if (task.quantization !== undefined) {
    const quantization = task.quantization;
    const common =
      quantization.per === "tensor"
        ? fitLevels(
            problems.flatMap((p, g) => keptOf(unscaled(p, solutions[g]?.weights as Float64Array), solutions[g]?.mask)),
            quantization,
          )
        : undefined;
    solutions = problems.map((problem, g) => {
      const { weights: start, mask } = solutions[g] as (typeof solutions)[number];
      const options = { quantization, start, mask, iterations: Math.ceil(task.iterations / 2), common };
      const quantized = quantizeByAdmm(problem, options);
      residual = Math.max(residual, quantized.residual);
      return { weights: quantized.weights, values: quantized.values, mask };
    });
  }

  const values = new Float32Array(dense.length);
  let [lost, energy] = [0, 0];
  const outcomes = problems.map((problem, g): GroupOutcome => {
    const { weights, values: onLevels } = solutions[g] as (typeof solutions)[number];
    const group = moments[g] as Moments;
    const plain = onLevels ?? unscaled(problem, weights);
    values.set(plain, g * m * k);
    const objective = objectives(problem, weights);
    objective.forEach((value, r) => {
      energy += group.energy[r] as number;
      lost += Math.max(0, value + (group.energy[r] as number) - ridgePart(problem, weights, r));
    });
    return { moments: group, variance: variancesOf(problem, weights), meanWx: meansOf(plain, group.meanX) };
  });
  const statistics = task.statistics ? estimatedStatistics(target, outcomes) : new Map<string, Float32Array>();
  return { weights: new Map([[layer.name, fromMatrix(values, matrix)], ...statistics]), residual, error: energy > 0 ? lost / energy : 0 };
}

const unscaled = ({ scale }: Problem, values: Float64Array): Float64Array => values.map((v, i) => v / (scale[i % scale.length] as number));

/** The nearest weights of the structure and on the levels, whatever the images: what fitting is compared with. */
export function projectLayer({ layer }: LinearLayer, { pruning: wanted, quantization }: LayerTask): LayerOutcome {
  const { matrix } = layer;
  const dense = toMatrix(layer.value.data as Float32Array, matrix);
  const pruned = wanted === undefined ? dense : pruning(selectorOf(wanted.structure, matrix), wanted.count).project(dense).values;
  const values = quantization === undefined ? pruned : quantizing(quantization, matrix, wanted !== undefined).project(pruned).values;
  return { weights: new Map([[layer.name, fromMatrix(values, matrix)]]), residual: distance(dense, values) };
}

/** What the ridge adds to the objective of row r. */
function ridgePart({ gram, dense }: Problem, weights: Float64Array, r: number): number {
  const k = gram.rows;
  let sum = 0;
  for (let i = 0; i < k; i++) {
    const w = weights[r * k + i] as number;
    sum += ((gram.data[i * gram.stride + i] as number) - 1) * w * (w - 2 * (dense[r * k + i] as number));
  }
  return sum;
}

function keptOf(values: Float64Array, mask: Uint8Array | undefined): number[] {
  return [...values].filter((_, i) => mask === undefined || mask[i] === 1);
}

/** W G Wᵀ's diagonal, without the ridge on G's. */
function variancesOf(problem: Problem, weights: Float64Array): Float64Array {
  const { gram } = problem;
  const k = gram.rows;
  const product = timesGram(problem, weights);
  return Float64Array.from({ length: weights.length / k }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < k; i++) {
      const w = weights[r * k + i] as number;
      sum += w * ((product.data[r * product.stride + i] as number) + (1 - (gram.data[i * gram.stride + i] as number)) * w);
    }
    return sum;
  });
}

function meansOf(weights: ArrayLike<number>, means: Float64Array): Float64Array {
  const k = means.length;
  return Float64Array.from({ length: weights.length / k }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (weights[r * k + i] as number) * (means[i] as number);
    return sum;
  });
}
