import type { Graph } from "../ir/graph.ts";
import type { Phase, RunState } from "../train/run.ts";
import type { TrainingGraphOptions } from "../train/training-graph.ts";
import { admmDriver } from "./admm.ts";
import { fromMatrix, type Layer, toMatrix, weightLayers } from "./layers.ts";
import { bitsAt, type CompressionPlan, type QuantizePlan } from "./plan.ts";
import { quantizing } from "./projections/projection.ts";

/** What quantizing adds to the findings of a run. */
export interface QuantizeFindings {
  readonly residuals: Record<string, number>;
  /** Levels of each layer, one list or one for each output, and the accuracy straight after rounding to them. */
  quantized?: { readonly levels: Readonly<Record<string, readonly (readonly number[])[]>>; readonly accuracy: number };
}

type State = RunState<QuantizeFindings>;

/**
 * The phases that bring weights onto levels: ADMM, whose projection finds the best levels anew each time; then the levels stay, and more and
 * more weights are frozen on theirs, those nearest to it first, while the others are trained on. Zeros stay zeros.
 */
export function quantizePhases(
  plan: QuantizePlan,
  shared: Omit<TrainingGraphOptions, "batch">,
  isPruned: (name: string) => boolean,
  method: CompressionPlan["method"],
  measure: (graph: Graph, weights: ReadonlyMap<string, Float32Array>) => Promise<number>,
): Phase<QuantizeFindings>[] {
  const projectorOf = (graph: Graph) => {
    const layers = weightLayers(graph);
    return {
      layers,
      names: layers.map((l) => l.name),
      projected(values: ReadonlyMap<string, Float32Array>) {
        return new Map(
          layers.map(({ name, matrix }, i) => {
            const projection = quantizing({ kind: plan.levels, bits: bitsAt(plan.bits, i), per: plan.per }, matrix, isPruned(name));
            const { values: z, levels = [] } = projection.project(toMatrix(values.get(name) as Float32Array, matrix));
            return [name, { values: fromMatrix(z, matrix), levels: levels.map((l) => [...l]) }];
          }),
        );
      },
    };
  };
  const masks = (state: State) => [...state.masks.keys()];

  const admm: Phase<QuantizeFindings> = {
    name: "quantize",
    epochs: plan.admm.epochs,
    schedule: plan.admm.schedule,
    graph: (state) => ({ ...shared, ...(method === "admm" ? { admm: { constrained: projectorOf(state.graph).names } } : {}), masks: masks(state) }),
    driver(context) {
      if (method === "magnitude") return {};
      const { names, projected } = projectorOf(context.state.graph);
      const project = (values: ReadonlyMap<string, Float32Array>) => new Map([...projected(values)].map(([name, p]) => [name, p.values]));
      return admmDriver({ plan: plan.admm, optimizer: shared.optimizer, names, project }, context);
    },
    async after(state) {
      const { layers, projected } = projectorOf(state.graph);
      const found = projected(state.weights);
      const accuracy = await measure(state.graph, new Map([...state.weights].map(([name, w]) => [name, found.get(name)?.values ?? w])));
      state.report.quantized = { levels: Object.fromEntries([...found].map(([name, { levels }]) => [name, levels])), accuracy };
      freeze(layers, state, plan.freeze[0] as number);
    },
  };
  const retraining = plan.freeze.map(
    (share, i): Phase<QuantizeFindings> => ({
      name: `frozen ${Math.round(100 * share)} %`,
      epochs: plan.retrain.epochs,
      schedule: plan.retrain.schedule,
      graph: (state) => ({ ...shared, masks: masks(state) }),
      async after(state) {
        const next = plan.freeze[i + 1];
        if (next !== undefined) freeze(weightLayers(state.graph), state, next);
      },
    }),
  );
  return [admm, ...retraining];
}

/** Puts the weights nearest to a level on it, until `share` of the layer's non-zeros are frozen, and takes them out of training. */
function freeze(layers: readonly Layer[], state: State, share: number): void {
  for (const layer of layers) {
    const { name, matrix } = layer;
    const levels = state.report.quantized?.levels[name] as readonly (readonly number[])[];
    const w = toMatrix(state.weights.get(name) as Float32Array, matrix).slice();
    const mask = toMatrix(state.masks.get(name) ?? new Float32Array(w.length).fill(1), matrix).slice();
    const rowLength = matrix.inputs * matrix.taps;
    const nearest = w.map((v, i) => nearestOf(v, levels[levels.length === 1 ? 0 : Math.floor(i / rowLength)] as readonly number[]));
    const free = [...w.keys()].filter((i) => mask[i] !== 0);
    const frozen = w.reduce((n, v, i) => n + Number(mask[i] === 0 && v !== 0), 0);
    const distance = (i: number) => Math.abs((w[i] as number) - (nearest[i] as number));
    free.sort((a, b) => distance(a) - distance(b) || a - b);
    for (const i of free.slice(0, Math.max(0, Math.ceil(share * (frozen + free.length)) - frozen))) {
      w[i] = nearest[i] as number;
      mask[i] = 0;
    }
    state.weights.set(name, fromMatrix(w, matrix));
    state.masks.set(name, fromMatrix(mask, matrix));
  }
}

function nearestOf(v: number, levels: readonly number[]): number {
  let best = levels[0] as number;
  for (const level of levels) if (Math.abs(v - level) < Math.abs(v - best)) best = level;
  return best;
}
