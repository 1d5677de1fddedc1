import type { Graph } from "../ir/graph.ts";
import type { Phase, RunState } from "../train/run.ts";
import { weightsOf, withWeights } from "../train/weights.ts";
import { admmDriver } from "./admm.ts";
import { exchangeDriver } from "./exchange.ts";
import { fromMatrix, toMatrix, weightLayers } from "./layers.ts";
import { type CompressionPlan, type ExchangePlan, makeBudget, type Round, roundsOf, structureOf } from "./plan.ts";
import { selectorOf } from "./projections/selector.ts";
import { applyMask } from "./projections/unstructured.ts";
import { type QuantizeFindings, quantizePhases } from "./quantize.ts";
import { liveMasks, silencedUnits } from "./removal/reclaim.ts";
import { removeDeadUnits } from "./removal/remove.ts";
import { unitSelector } from "./removal/units.ts";

/** The net on the way, at one of the plan's rates. */
export interface CompressedStep {
  readonly rate: number;
  readonly graph: Graph;
}

/** What the phases find out, as it is kept in checkpoints. */
export interface Findings extends QuantizeFindings {
  readonly pruned: { readonly rate: number; readonly accuracy: number }[];
}

export interface RoundContext {
  /** The net that rates are relative to. */
  readonly original: Graph;
  readonly plan: CompressionPlan;
  /** Accuracy of a net with these weights. */
  readonly measure: (graph: Graph, weights: Arrays) => Promise<number>;
  readonly onStep: ((step: CompressedStep) => Promise<void>) | undefined;
}

type Arrays = ReadonlyMap<string, Float32Array>;
type State = RunState<Findings>;

const isPruning = (plan: CompressionPlan): boolean =>
  plan.rate > 1 || plan.structure !== "unstructured" || Object.keys(plan.layers).length > 0 || plan.steps.length > 0 || plan.quantize === undefined;

/** Weights that the plan prunes, by their names. */
export const prunedNames = (graph: Graph, plan: CompressionPlan): ReadonlySet<string> => new Set(isPruning(plan) ? makeBudget(graph, plan).pruned.map((l) => l.name) : []);

/** All that is trained: a round for each rate of the plan, then quantization. */
export function phasesOf(context: RoundContext): Phase<Findings>[] {
  const { original, plan, measure } = context;
  const rounds = isPruning(plan) ? roundsOf(plan).flatMap((round) => phasesOfRound(round, context)) : [];
  if (plan.quantize === undefined) return rounds;
  const pruned = prunedNames(original, plan);
  return [...rounds, ...(quantizePhases(plan.quantize, sharedOf(plan), (name) => pruned.has(name), plan.method, measure) as Phase<Findings>[])];
}

const sharedOf = ({ optimizer, distill }: CompressionPlan) => ({ optimizer, ...(distill === undefined ? {} : { distill }) });

/** ADMM towards a rate or a number of units, hard pruning, perhaps exchanges, retraining of what is left. */
function phasesOfRound(round: Round, context: RoundContext): Phase<Findings>[] {
  const { plan, measure, onStep } = context;
  const { name, admm, exchange, retrain, rate } = round;
  const shared = sharedOf(plan);
  const masked = (state: State) => ({ ...shared, masks: [...state.masks.keys()] });
  const prune = async (state: State) => {
    for (const [layer, mask] of chooserOf(round, state.graph, context).masks(state.weights)) {
      state.masks.set(layer, Float32Array.from(mask));
      state.weights.set(layer, applyMask(state.weights.get(layer) as Float32Array, mask));
    }
    if (plan.remove) for (const [parameter, data] of silencedUnits(withWeights(state.graph, state.weights))) state.weights.set(parameter, data);
    if (rate !== undefined) state.report.pruned.push({ rate, accuracy: await measure(state.graph, state.weights) });
  };
  const pruning: Phase<Findings> = {
    name: `${plan.method === "admm" ? "admm" : "train"} ${name}`,
    epochs: admm.epochs,
    schedule: admm.schedule,
    graph: (state) => (plan.method === "admm" ? { ...masked(state), admm: { constrained: chooserOf(round, state.graph, context).names } } : masked(state)),
    ...(plan.method === "magnitude"
      ? {}
      : {
          driver(phase) {
            const { names, masks } = chooserOf(round, phase.state.graph, context);
            const project = (values: Arrays) => new Map([...masks(values)].map(([layer, mask]) => [layer, applyMask(values.get(layer) as Float32Array, mask)]));
            return admmDriver({ plan: admm, optimizer: plan.optimizer, names, project }, phase);
          },
        }),
    after: prune,
    ...(plan.remove ? { reshape: (graph: Graph) => removeDeadUnits(graph).graph } : {}),
  };
  const retraining: Phase<Findings> = {
    name: `retrain ${name}`,
    epochs: retrain.epochs,
    schedule: retrain.schedule,
    graph: masked,
    after: async (state) => {
      if (rate !== undefined) await onStep?.({ rate, graph: withWeights(state.graph, state.weights, prunedNames(context.original, plan)) });
    },
  };
  return exchange === undefined || exchange.epochs === 0 ? [pruning, retraining] : [pruning, exchangePhase(name, exchange, context, masked), retraining];
}

/** Training under masks that change; magnitude pruning, to compare with, trains as long under masks that stay. */
function exchangePhase(round: string, exchange: ExchangePlan, { original, plan }: RoundContext, masked: Phase<Findings>["graph"]): Phase<Findings> {
  const { epochs, schedule } = exchange;
  const namesOf = ({ masks }: State) => [...prunedNames(original, plan)].filter((name) => masks.has(name));
  const isFixed = (name: string) => plan.layers[name]?.density !== undefined;
  const groupsOf = (names: readonly string[]) => [names.filter((name) => !isFixed(name)), ...names.filter(isFixed).map((name) => [name])];
  if (plan.method === "magnitude") return { name: `train ${round} on`, epochs, schedule, graph: masked };
  return {
    name: `exchange ${round}`,
    epochs,
    schedule,
    graph: (state) => ({ ...masked(state), moments: namesOf(state) }),
    driver: (phase) => exchangeDriver({ plan: exchange, groups: groupsOf(namesOf(phase.state)) }, phase),
  };
}

interface Chooser {
  /** Weights that are constrained. */
  readonly names: readonly string[];
  /** Of each of them which elements stay, given the values of all weights. */
  masks(values: Arrays): ReadonlyMap<string, Uint8Array>;
}

function chooserOf({ rate, units }: Round, graph: Graph, { original, plan }: RoundContext): Chooser {
  if (rate === undefined) {
    const masks = unitSelector(graph, units ?? 1);
    return { names: [...masks(weightsOf(graph)).keys()], masks };
  }
  const budget = makeBudget(graph, plan, rate, weightLayers(original));
  const selectors = budget.pruned.map((layer) => ({ layer, select: selectorOf(structureOf(plan, layer), layer.matrix) }));
  /** Of each layer the weights of most energy that its structure and its count allow. Weights that a mask holds at 0 rank last. */
  const choose = (values: Arrays, available: (name: string) => number) => {
    const counts = budget.counts(values, available);
    return new Map(
      selectors.map(({ layer: { name, matrix }, select }) => {
        const energies = Float64Array.from(toMatrix(values.get(name) as Float32Array, matrix), (v) => v * v);
        return [name, fromMatrix(select(energies, counts.get(name) as number), matrix)];
      }),
    );
  };
  return { names: budget.pruned.map((l) => l.name), masks: (values) => liveMasks(graph, values, choose) };
}
