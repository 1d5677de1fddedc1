import { CadnnError } from "../../errors.ts";
import type { Graph } from "../../ir/graph.ts";
import type { CheckpointStore } from "../../train/checkpoint.ts";
import { rebatch } from "../../train/rebatch.ts";
import type { MakeStepper } from "../../train/stepper.ts";
import { prepareNet, weightsOf, withWeights } from "../../train/weights.ts";
import { LinearAlgebra } from "../linear/algebra.ts";
import { bitsAt, makeBudget, structureOf } from "../plan.ts";
import { removeDeadUnits } from "../removal/remove.ts";
import type { LayerReport } from "../report.ts";
import { layerReports } from "../report.ts";
import { withLayerNames } from "../select-layers.ts";
import { Activations, type CalibrationImages, imageBatches } from "./activations.ts";
import { contributions } from "./contributions.ts";
import { distill } from "./distill.ts";
import { compressLayer, isCentred, type LayerOutcome, type LayerTask, layerSize, projectLayer } from "./layer.ts";
import { collectMoments } from "./moments.ts";
import { makePostTrainingPlan, type PostTrainingOptions, type PostTrainingPlan } from "./plan.ts";
import { openRun, type Run } from "./state.ts";
import { type LinearLayer, linearLayers } from "./targets.ts";

export interface PostTrainingContext {
  readonly makeStepper: MakeStepper;
  readonly observer?: ((progress: PostTrainingProgress) => void) | undefined;
  /** Aborting it saves to `store` and throws `E_INTERRUPTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Taken up from where it holds a checkpoint of the same run. */
  readonly store?: CheckpointStore | undefined;
  /** While it distills; every layer that is fitted is saved. */
  readonly saveEverySeconds?: number;
}

export interface PostTrainingProgress {
  readonly layer: string;
  /** Layers, of `total`; a part of one while its inputs are collected. */
  readonly done: number;
  readonly total: number;
}

export interface PostTrainingLayerReport extends LayerReport {
  /** Share of the dense layer's output that is lost, ‖Y − Ŷ‖² / ‖Y‖² on the images. */
  readonly error?: number;
}

export interface PostTrainingReport {
  readonly layers: readonly PostTrainingLayerReport[];
  /** Of all convolution and FC layers. */
  readonly weights: number;
  readonly kept: number;
  readonly rate: number;
  readonly images: number;
  /** Layers that were to be compressed and could not be, with the reason. */
  readonly left: readonly { readonly name: string; readonly reason: string }[];
}

/** Layers with more inputs take more memory for their moments than is bearable: 8,192 inputs 1.5 GiB. */
export const maxInputs = 8192;

/**
 * Prunes and quantizes a net without training and without labels: layer by layer, in the net's order, each weight is fitted to give the dense
 * net's outputs for the inputs that the net compressed so far has (ADMM, then least squares or coordinate descent). Memory is bounded by
 * `memoryMiB` and the moments of one layer.
 * @throws `E_INVALID_OPTION`, `E_INTERRUPTED`, `E_OUT_OF_MEMORY`
 *
 * @example
 * const { graph, report } = await compressPostTraining(net, { sparsity: 0.7 }, photographs, { makeStepper });
 */
export async function compressPostTraining(
  source: Graph,
  options: PostTrainingOptions,
  images: CalibrationImages,
  context: PostTrainingContext,
): Promise<{ readonly graph: Graph; readonly report: PostTrainingReport }> {
  const prepared = prepareNet(source);
  const plan = withLayerNames(prepared, makePostTrainingPlan(options));
  const net = rebatch(prepared, plan.batch);
  const { tasks, left } = await tasksOf(prepared, net, plan, images, context.makeStepper);
  const run = await openRun(net, plan, images, context.store);
  const total = tasks.length + (plan.distill.epochs > 0 ? 1 : 0);
  await fitLayers(net, tasks, plan, images, run, total, context);
  const { found } = run;
  const masked = tasks.filter(({ task }) => task.pruning !== undefined).map(({ target }) => target.layer.name);
  const weights =
    plan.distill.epochs === 0
      ? run.weights
      : await distill(prepared, run.weights, plan, images, {
          ...{ makeStepper: context.makeStepper, signal: context.signal, masked },
          store: run.distillation,
          ...(context.saveEverySeconds === undefined ? {} : { saveEverySeconds: context.saveEverySeconds }),
          observer: ({ step, steps }) => context.observer?.({ layer: "distillation", done: tasks.length + step / steps, total }),
        });

  const fitted = withWeights(prepared, weights, new Set(masked));
  const graph = plan.structure === "filters" || plan.structure === "channels" ? removeDeadUnits(fitted).graph : fitted;
  const residuals = Object.fromEntries([...found].map(([name, { residual }]) => [name, residual]));
  const layers = layerReports(graph, residuals, prepared).map((report): PostTrainingLayerReport => {
    const { bits, error } = found.get(report.name) ?? {};
    return { ...report, ...(bits === undefined ? {} : { bits }), ...(error === undefined ? {} : { error }) };
  });
  const all = layers.reduce((sum, l) => sum + l.weights, 0);
  const kept = layers.reduce((sum, l) => sum + l.kept, 0);
  return { graph, report: { layers, weights: all, kept, rate: all / Math.max(1, kept), images: images.count, left } };
}

interface Task {
  readonly target: LinearLayer;
  readonly task: LayerTask;
}

/** Images at a time while all layers' inputs are in memory. */
const fewImages = 8;

async function tasksOf(
  prepared: Graph,
  net: Graph,
  plan: PostTrainingPlan,
  images: CalibrationImages,
  makeStepper: MakeStepper,
): Promise<{ readonly tasks: Task[]; readonly left: PostTrainingReport["left"] }> {
  const budget = makeBudget(net, plan);
  const isPruned = plan.rate > 1 || plan.structure !== "unstructured" || Object.keys(plan.layers).length > 0;
  const compared = async () => {
    if (plan.method === "magnitude" || plan.scope === "layer") return weightsOf(net);
    const small = rebatch(prepared, Math.min(fewImages, plan.batch));
    return new Map([...weightsOf(net), ...(await contributions(small, linearLayers(small), images, makeStepper))]);
  };
  const counts = isPruned ? budget.counts(await compared()) : new Map<string, number>();
  const targets = new Map(linearLayers(net).map((t) => [t.layer.name, t]));
  const tasks: Task[] = [];
  const left: { name: string; reason: string }[] = [];
  budget.layers.forEach((layer, number) => {
    const count = counts.get(layer.name);
    const bits = plan.bits && bitsAt(plan.bits, number);
    const wanted = (count !== undefined && count < layer.count) || bits !== undefined;
    if (!wanted) return;
    const target = targets.get(layer.name);
    const inputs = layer.matrix.inputs * layer.matrix.taps;
    if (target === undefined || inputs > maxInputs) {
      left.push({ name: layer.name, reason: target === undefined ? "its operator cannot be fitted" : `it has ${inputs} inputs, more than ${maxInputs}` });
      return;
    }
    const pruning = count === undefined || count >= layer.count ? undefined : { structure: structureOf(plan, layer), count };
    const kind = plan.levels ?? (pruning === undefined ? "affine" : "signed");
    const quantization = bits === undefined ? undefined : { kind, bits, per: plan.per };
    const { iterations, ridge, statistics } = plan;
    tasks.push({ target, task: { pruning, quantization, iterations, ridge, statistics } });
  });
  return { tasks: tasks.sort((a, b) => a.target.index - b.target.index), left };
}

async function fitLayers(
  net: Graph,
  tasks: readonly Task[],
  plan: PostTrainingPlan,
  images: CalibrationImages,
  run: Run,
  total: number,
  { makeStepper, observer, signal }: PostTrainingContext,
): Promise<void> {
  if (run.finished === tasks.length) return;
  const keep = ({ target, task }: Task, { weights, residual, error }: LayerOutcome): void => {
    for (const [name, data] of weights) run.weights.set(name, data);
    run.found.set(target.layer.name, { residual, ...(error === undefined ? {} : { error }), ...(task.quantization === undefined ? {} : { bits: task.quantization.bits }) });
    observer?.({ layer: target.layer.name, done: ++run.finished, total });
  };
  if (plan.method === "magnitude") {
    for (const one of tasks.slice(run.finished)) keep(one, projectLayer(one.target, one.task));
    return run.save();
  }
  const [dense, compressed] = await activationsOf(net, plan, images, makeStepper);
  const batches = Math.ceil(images.count / plan.batch);
  const algebra = new LinearAlgebra();
  for (const [number, one] of tasks.entries()) {
    const { target, task } = one;
    const { layer, index, input, output } = target;
    // Layers that a checkpoint holds are run once more but not fitted, so that the activations of later ones come about in the same way.
    const isDone = number < run.finished;
    if (!isDone) algebra.reset(layerSize(target));
    const samples = Math.max(plan.samples, 32 * layer.matrix.inputs * layer.matrix.taps);
    const collector = isDone ? undefined : collectMoments(algebra, target, { batch: plan.batch, images: images.count, samples, seed: plan.seed });
    const inputs = compressed.run(withWeights(net, run.weights), index, input, signal);
    try {
      let batch = 0;
      for await (const y of dense.run(net, index, output, signal)) {
        const x = (await inputs.next()).value as Float32Array;
        collector?.add(x, y, Math.min(plan.batch, images.count - batch * plan.batch));
        batch++;
        observer?.({ layer: layer.name, done: number + batch / (batches + 1), total });
      }
      await inputs.next();
    } catch (error) {
      await inputs.return(undefined);
      if (error instanceof CadnnError && error.code === "E_INTERRUPTED") await run.save();
      throw error;
    }
    if (collector === undefined) continue;
    keep(one, compressLayer(algebra, target, collector.finish(isCentred(target)), task));
    await run.save();
  }
}

/** Of the dense net and of the one that is compressed, which begin with the same images. */
async function activationsOf(net: Graph, plan: PostTrainingPlan, images: CalibrationImages, makeStepper: MakeStepper): Promise<[Activations, Activations]> {
  const batches = await imageBatches(net, images, plan.batch);
  const shared = { makeStepper, room: (plan.memoryMiB * 2 ** 20) / 2 };
  return [new Activations(batches, shared), new Activations(batches, shared)];
}
