import { CadnnError } from "../../errors.ts";
import type { Graph } from "../../ir/graph.ts";
import { elementCount } from "../../ir/types.ts";
import { logitsNet } from "../../train/evaluate.ts";
import { rebatch } from "../../train/rebatch.ts";
import type { MakeStepper } from "../../train/stepper.ts";
import { prepareNet, type Weights, withWeights } from "../../train/weights.ts";
import { LinearAlgebra } from "../linear/algebra.ts";
import { type BudgetPlan, structureOf } from "../plan.ts";
import { Activations, type CalibrationImages, imageBatches } from "../post-training/activations.ts";
import { compressLayer, isCentred, type LayerTask, layerSize, projectLayer } from "../post-training/layer.ts";
import { collectMoments, type Moments } from "../post-training/moments.ts";
import { maxInputs } from "../post-training/post-training.ts";
import { type LinearLayer, linearLayers } from "../post-training/targets.ts";
import type { FreeLayer } from "./options.ts";

export interface SensitivityOptions {
  readonly makeStepper: MakeStepper;
  /** How a layer is pruned: fitted to its outputs as post-training does it, or its greatest weights, to be trained on. */
  readonly method: "admm" | "magnitude";
  readonly batch: number;
  readonly seed: number;
  /** Of the fits; default 0.001. */
  readonly ridge?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Enough to rank densities; the fit of the final ones is done anew. */
const effort = { iterations: 24, samples: 16384 } as const;
const roomBytes = 2 ** 29;

/**
 * How much a net's output suffers when one layer alone is pruned, for each layer and count: the mean Kullback-Leibler divergence from the dense net's classes, or
 * ‖y − ŷ‖² / ‖y‖² where the output is not one vector an image. Never less for fewer weights. Fitted layers are measured on the second half of the images and fitted to the
 * first. No labels are looked at. Layers that cannot be fitted are missing.
 * @throws `E_INTERRUPTED`
 */
export async function sensitivities(
  source: Graph,
  plan: BudgetPlan,
  free: readonly FreeLayer[],
  images: CalibrationImages,
  options: SensitivityOptions,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const { makeStepper, method, batch, seed, ridge = 1e-3, onProgress, signal } = options;
  const net = rebatch(logitsNet(prepareNet(source)), batch);
  const output = net.outputs[0]?.value;
  if (output === undefined) throw new CadnnError("E_INVALID_GRAPH", "the net has no output", { at: net.name });
  const batches = await imageBatches(net, images, batch);
  const shared = { makeStepper, room: roomBytes / 2 };
  const [xs, ys] = [new Activations(batches, shared), new Activations(batches, shared)];
  /** The net's output for all images, computed from where `xs` is: at or before node `index`, which is the first that differs from the dense net's. */
  const outputOf = async (graph: Graph, index: number): Promise<Float32Array> => {
    const all = new Float32Array((images.count * elementCount(output.type.shape)) / batch);
    let at = 0;
    for await (const y of xs.run(graph, index, graph.outputs[0]?.value ?? output, signal)) {
      all.set(y.subarray(0, all.length - at), at);
      at = Math.min(all.length, at + y.length);
    }
    return all;
  };
  // What is fitted to images is measured on others: layers of many inputs fit few images so closely that these tell next to nothing.
  const fitted = method === "admm" && batches.length > 1 ? batch * Math.floor(batches.length / 2) : images.count;
  const held = (y: Float32Array) => (fitted < images.count ? y.subarray((fitted * elementCount(output.type.shape)) / batch) : y);
  const dense = held(await outputOf(net, 0));
  const [, classes = 1] = output.type.shape;
  const compare =
    elementCount(output.type.shape) === batch * classes && classes > 1 ? (y: Float32Array) => divergence(dense, y, classes) : (y: Float32Array) => relativeError(dense, y);

  const algebra = new LinearAlgebra();
  const byName = new Map(free.map((f) => [f.layer.name, f]));
  const targets = linearLayers(net).filter(({ layer }) => byName.has(layer.name) && layer.matrix.inputs * layer.matrix.taps <= maxInputs);
  const losses = new Map<string, readonly number[]>();
  // In the order in which layers are computed, so that what comes before one is computed once.
  for (const target of targets) {
    const { layer, index } = target;
    const counts = (byName.get(layer.name) as FreeLayer).counts;
    algebra.reset(layerSize(target));
    const columns = 16 * layer.matrix.inputs * layer.matrix.taps;
    const collector = method === "admm" ? collectMoments(algebra, target, { batch, images: fitted, samples: Math.max(effort.samples, columns), seed }) : undefined;
    const inputs = xs.run(net, index, target.input, signal);
    let left = fitted;
    for await (const y of ys.run(net, index, target.output, signal)) {
      const x = (await inputs.next()).value as Float32Array;
      if (left > 0) collector?.add(x, y, Math.min(batch, left));
      left -= batch;
    }
    for (let end = await inputs.next(); end.done !== true; ) end = await inputs.next();
    const moments = collector?.finish(isCentred(target)).map(copyOf);
    const list: number[] = [];
    for (const [i, count] of counts.entries()) {
      const pruned = count >= layer.count ? undefined : prunedAlone(algebra, target, moments, { structure: structureOf(plan, layer), count }, ridge);
      const loss = pruned === undefined ? 0 : compare(held(await outputOf(withWeights(net, pruned), index)));
      list.push(Math.max(loss, list.at(-1) ?? 0));
      onProgress?.(losses.size + (i + 1) / counts.length, targets.length);
    }
    losses.set(layer.name, list);
  }
  return losses;
}

function prunedAlone(algebra: LinearAlgebra, target: LinearLayer, moments: readonly Moments[] | undefined, pruning: NonNullable<LayerTask["pruning"]>, ridge: number): Weights {
  const task: LayerTask = { pruning, quantization: undefined, iterations: effort.iterations, ridge, statistics: true };
  if (moments === undefined) return projectLayer(target, task).weights;
  algebra.reset(layerSize(target));
  const fresh = moments.map((m): Moments => ({ ...m, gram: placed(algebra, m.gram), cross: placed(algebra, m.cross) }));
  return compressLayer(algebra, target, fresh, task).weights;
}

/** Moments that survive `reset`, and the rescaling that a fit does. */
const copyOf = (moments: Moments): Moments => ({
  ...moments,
  gram: { ...moments.gram, data: moments.gram.data.slice() },
  cross: { ...moments.cross, data: moments.cross.data.slice() },
});

function placed(algebra: LinearAlgebra, { rows, columns, data }: Moments["gram"]): Moments["gram"] {
  const matrix = algebra.matrix(rows, columns);
  matrix.data.set(data);
  return matrix;
}

/** Mean over rows of Σ p (log p − log q), p and q the softmax of logits. */
export function divergence(logits: Float32Array, others: Float32Array, classes: number): number {
  const rows = logits.length / classes;
  const logSum = (data: Float32Array, start: number) => {
    const row = data.subarray(start, start + classes);
    const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    return max + Math.log(row.reduce((sum, v) => sum + Math.exp(v - max), 0));
  };
  let total = 0;
  for (let start = 0; start < logits.length; start += classes) {
    const [p, q] = [logSum(logits, start), logSum(others, start)];
    for (let c = start; c < start + classes; c++) {
      const logP = (logits[c] as number) - p;
      total += Math.exp(logP) * (logP - (others[c] as number) + q);
    }
  }
  return Math.max(0, total / rows);
}

/** ‖y − ŷ‖² / ‖y‖² */
function relativeError(y: Float32Array, other: Float32Array): number {
  let [difference, norm] = [0, 0];
  y.forEach((v, i) => {
    difference += (v - (other[i] as number)) ** 2;
    norm += v * v;
  });
  return norm === 0 ? 0 : difference / norm;
}
