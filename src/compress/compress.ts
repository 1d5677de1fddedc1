import type { Graph } from "../ir/graph.ts";
import type { CheckpointStore } from "../train/checkpoint.ts";
import { type Dataset, split } from "../train/data/dataset.ts";
import { accuracyOf, predict } from "../train/evaluate.ts";
import type { TrainingObserver } from "../train/phase.ts";
import { type Phase, type RunState, runPhases } from "../train/run.ts";
import type { MakeStepper } from "../train/stepper.ts";
import { makeTeacher } from "../train/teacher.ts";
import { prepareNet, weightsOf, withWeights } from "../train/weights.ts";
import { createAdmm, reportingResiduals } from "./admm.ts";
import { fromMatrix, toMatrix } from "./layers.ts";
import { bitsAt, type CompressionPlan, makeBudget, makePlan, type PlanOptions, structureOf } from "./plan.ts";
import { selectorOf } from "./projections/selector.ts";
import { applyMask } from "./projections/unstructured.ts";
import { type QuantizeFindings, quantizePhases } from "./quantize.ts";
import { type CompressionReport, layerReports } from "./report.ts";

export interface CompressOptions {
  readonly makeStepper: MakeStepper;
  /** What accuracies are measured on. Without it, a tenth of the data set is set aside. */
  readonly validation?: Dataset | undefined;
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

/** The net on the way, at one of the plan's rates. */
export interface CompressedStep {
  readonly rate: number;
  readonly graph: Graph;
}

/** What the phases find out, as it is kept in checkpoints. */
interface Findings extends QuantizeFindings {
  readonly pruned: { readonly rate: number; readonly accuracy: number }[];
}

/**
 * Prunes a trained net with ADMM and retrains what is left under masks, for each rate of the plan in turn.
 * The graph that comes back is the same net with zeros in its weights; BatchNorm is not folded, names are kept.
 * @throws `E_INVALID_OPTION`, `E_UNSUPPORTED_OP`, `E_INTERRUPTED`, `E_NON_FINITE`
 *
 * @example
 * const { graph, report } = await compress(net, { rate: 40 }, digits, { makeStepper });
 */
export async function compress(source: Graph, planOptions: PlanOptions, dataset: Dataset, options: CompressOptions): Promise<{ graph: Graph; report: CompressionReport }> {
  const plan = makePlan(planOptions);
  const graph = prepareNet(source);
  const rates = [...plan.steps, plan.rate];
  for (const rate of rates) makeBudget(graph, plan, rate); // so that a plan that cannot be met fails before anything is trained
  const parts = options.validation === undefined ? split(dataset, 0.1, plan.seed) : { train: dataset, heldOut: options.validation };
  const { makeStepper, signal } = options;
  const measure = async (weights: ReadonlyMap<string, Float32Array>) =>
    accuracyOf(await predict(withWeights(graph, weights), parts.heldOut, makeStepper, { batch: plan.batch, signal }), parts.heldOut);

  const before = await measure(weightsOf(graph));
  const teacher =
    plan.distill === undefined
      ? undefined
      : await makeTeacher(options.teacher ?? graph, parts.train, { makeStepper, temperature: plan.distill.temperature, batch: plan.batch, signal });
  const state = await runPhases<Findings>({
    graph,
    dataset: parts.train,
    phases: phasesOf(graph, plan, measure, options.onStep),
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
  const prunedNames = new Set(isPruning(plan) ? makeBudget(graph, plan).pruned.map((l) => l.name) : []);
  const compressed = withWeights(graph, state.weights, prunedNames);
  const { quantized } = state.report;
  const layers = layerReports(compressed, state.report.residuals).map((layer, i) => (plan.quantize === undefined ? layer : { ...layer, bits: bitsAt(plan.quantize.bits, i) }));
  const weights = layers.reduce((sum, l) => sum + l.weights, 0);
  const kept = layers.reduce((sum, l) => sum + l.kept, 0);
  const after = await measure(state.weights);
  return {
    graph: compressed,
    report: {
      layers,
      weights,
      kept,
      rate: weights / Math.max(1, kept),
      accuracy: { before, pruned: state.report.pruned, ...(quantized === undefined ? {} : { quantized: quantized.accuracy }), after },
      validationImages: parts.heldOut.count,
    },
  };
}

type Measure = (weights: ReadonlyMap<string, Float32Array>) => Promise<number>;

const isPruning = (plan: CompressionPlan): boolean => plan.rate > 1 || plan.structure !== "unstructured" || Object.keys(plan.layers).length > 0 || plan.quantize === undefined;

function phasesOf(graph: Graph, plan: CompressionPlan, measure: Measure, onStep: CompressOptions["onStep"]): Phase<Findings>[] {
  const rounds = isPruning(plan) ? [...plan.steps, plan.rate].flatMap((rate) => roundOf(graph, plan, rate, measure, onStep)) : [];
  if (plan.quantize === undefined) return rounds;
  const pruned = new Set(isPruning(plan) ? makeBudget(graph, plan).pruned.map((l) => l.name) : []);
  const phases = quantizePhases(graph, plan.quantize, sharedOf(plan), (name) => pruned.has(name), measure);
  return [...rounds, ...(phases as Phase<Findings>[])];
}

const sharedOf = ({ optimizer, distill }: CompressionPlan) => ({ optimizer, ...(distill === undefined ? {} : { distill }) });

/** One rate: ADMM towards it, hard pruning, retraining of what is left. */
function roundOf(graph: Graph, plan: CompressionPlan, rate: number, measure: Measure, onStep: CompressOptions["onStep"]): Phase<Findings>[] {
  const budget = makeBudget(graph, plan, rate);
  const names = budget.pruned.map((l) => l.name);
  const selectors = budget.pruned.map((layer) => ({ layer, select: selectorOf(structureOf(plan, layer), layer.matrix) }));
  /** Of each layer the weights of most energy that its structure and its count allow. Weights that a mask holds at 0 rank last. */
  const masksOf = (values: ReadonlyMap<string, Float32Array>) => {
    const counts = budget.counts(values);
    return new Map(
      selectors.map(({ layer: { name, matrix }, select }) => {
        const energies = Float64Array.from(toMatrix(values.get(name) as Float32Array, matrix), (v) => v * v);
        return [name, fromMatrix(select(energies, counts.get(name) as number), matrix)];
      }),
    );
  };
  const project = (values: ReadonlyMap<string, Float32Array>) => new Map([...masksOf(values)].map(([name, mask]) => [name, applyMask(values.get(name) as Float32Array, mask)]));
  const shared = sharedOf(plan);
  const prune = async (state: RunState<Findings>) => {
    for (const [name, mask] of masksOf(state.weights)) {
      state.masks.set(name, Float32Array.from(mask));
      state.weights.set(name, applyMask(state.weights.get(name) as Float32Array, mask));
    }
    state.report.pruned.push({ rate, accuracy: await measure(state.weights) });
  };
  const admm: Phase<Findings> = {
    name: `admm ${formatRate(rate)}`,
    epochs: plan.admm.epochs,
    schedule: plan.admm.schedule,
    graph: (state) => ({ ...shared, admm: { constrained: names }, masks: [...state.masks.keys()] }),
    driver({ stepper, steps, state, saved }) {
      const { rhos, updatesPerRho } = plan.admm;
      return reportingResiduals(createAdmm({ stepper, names, project, rhos, updatesPerRho, steps, saved }), state.report.residuals);
    },
    after: prune,
  };
  const retrain: Phase<Findings> = {
    name: `retrain ${formatRate(rate)}`,
    epochs: plan.retrain.epochs,
    schedule: plan.retrain.schedule,
    graph: (state) => ({ ...shared, masks: [...state.masks.keys()] }),
    after: async (state) => onStep?.({ rate, graph: withWeights(graph, state.weights, new Set(names)) }),
  };
  return [admm, retrain];
}

const formatRate = (rate: number): string => `${Number(rate.toPrecision(4))}x`;
