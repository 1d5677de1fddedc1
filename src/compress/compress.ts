import type { Graph } from "../ir/graph.ts";
import type { CheckpointStore } from "../train/checkpoint.ts";
import { type Dataset, split } from "../train/data/dataset.ts";
import { accuracyOf, predict } from "../train/evaluate.ts";
import type { TrainingObserver } from "../train/phase.ts";
import { runPhases } from "../train/run.ts";
import type { MakeStepper } from "../train/stepper.ts";
import { makeTeacher } from "../train/teacher.ts";
import { prepareNet, weightsOf, withWeights } from "../train/weights.ts";
import { bitsAt, makeBudget, makePlan, type PlanOptions, roundsOf } from "./plan.ts";
import { unitSelector } from "./removal/units.ts";
import { type CompressionReport, layerReports } from "./report.ts";
import { type CompressedStep, type Findings, phasesOf, prunedNames } from "./rounds.ts";
import { withLayerNames } from "./select-layers.ts";
import { storageOf } from "./storage.ts";

export interface CompressOptions {
  readonly makeStepper: MakeStepper;
  /** What accuracies are measured on. Without it, a tenth of the data set is set aside. */
  readonly validation?: Dataset | undefined;
  /** Looked at once, when all is done. */
  readonly test?: Dataset | undefined;
  /** The net whose answers are learned from where the plan distills. Default: the net itself, as it comes. */
  readonly teacher?: Graph | undefined;
  readonly observer?: TrainingObserver | undefined;
  /** Called with the net of each rate when it is retrained, before what follows; once more after a resume from before it. */
  readonly onStep?: ((step: CompressedStep) => Promise<void>) | undefined;
  /** Aborting it saves to `store` and throws `E_INTERRUPTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Taken up from where it holds a checkpoint of the same run. */
  readonly store?: CheckpointStore | undefined;
  readonly saveEverySeconds?: number;
}

/**
 * Prunes a trained net with ADMM and retrains what is left under masks, for each rate of the plan in turn.
 * The graph that comes back is the same net with zeros in its weights, or without its dead units where the plan removes them; BatchNorm is not folded, names are kept.
 * @throws `E_INVALID_OPTION`, `E_UNSUPPORTED_OP`, `E_INTERRUPTED`, `E_NON_FINITE`
 *
 * @example
 * const { graph, report } = await compress(net, { rate: 40 }, digits, { makeStepper });
 */
export async function compress(source: Graph, planOptions: PlanOptions, dataset: Dataset, options: CompressOptions): Promise<{ graph: Graph; report: CompressionReport }> {
  const graph = prepareNet(source);
  const plan = withLayerNames(graph, makePlan(planOptions));
  const rounds = roundsOf(plan);
  for (const { rate } of rounds) if (rate !== undefined) makeBudget(graph, plan, rate); // so that a plan that cannot be met fails before anything is trained
  for (const { units } of rounds) if (units !== undefined) unitSelector(graph, units);
  const parts = options.validation === undefined ? split(dataset, 0.1, plan.seed) : { train: dataset, heldOut: options.validation };
  const { makeStepper, signal } = options;
  const measureOn = async (data: Dataset, net: Graph, weights: ReadonlyMap<string, Float32Array>) =>
    accuracyOf(await predict(withWeights(net, weights), data, makeStepper, { batch: plan.batch, signal }), data);
  const measure = (net: Graph, weights: ReadonlyMap<string, Float32Array>) => measureOn(parts.heldOut, net, weights);

  const before = await measure(graph, weightsOf(graph));
  const phases = phasesOf({ original: graph, plan, measure, onStep: options.onStep });
  const images = parts.train.count * phases.reduce((sum, { epochs }) => sum + epochs, 0);
  const teacher = plan.distill && (await makeTeacher(options.teacher ?? graph, parts.train, { makeStepper, ...plan.distill, images, batch: plan.batch, signal }));
  const state = await runPhases<Findings>({
    graph,
    dataset: parts.train,
    phases,
    report: { pruned: [], residuals: {} },
    batch: plan.batch,
    seed: plan.seed,
    makeStepper,
    teacher,
    observer: options.observer,
    signal,
    store: options.store,
    ...(options.saveEverySeconds === undefined ? {} : { saveEverySeconds: options.saveEverySeconds }),
    identity: plan,
  }).finally(() => teacher?.dispose());
  const compressed = withWeights(state.graph, state.weights, prunedNames(graph, plan));
  const { quantized } = state.report;
  const layers = layerReports(compressed, state.report.residuals, graph).map((layer, i) =>
    plan.quantize === undefined ? layer : { ...layer, bits: bitsAt(plan.quantize.bits, i) },
  );
  const weights = layers.reduce((sum, l) => sum + l.weights, 0);
  const kept = layers.reduce((sum, l) => sum + l.kept, 0);
  const after = await measure(state.graph, state.weights);
  const { test } = options;
  const tested = test && { before: await measureOn(test, graph, weightsOf(graph)), after: await measureOn(test, state.graph, state.weights), images: test.count };
  return {
    graph: compressed,
    report: {
      layers,
      weights,
      kept,
      rate: weights / Math.max(1, kept),
      accuracy: { before, pruned: state.report.pruned, ...(quantized === undefined ? {} : { quantized: quantized.accuracy }), after },
      validationImages: parts.heldOut.count,
      ...(tested === undefined ? {} : { test: tested }),
      storage: storageOf(compressed, graph, (_, i) => plan.quantize && bitsAt(plan.quantize.bits, i)),
    },
  };
}
