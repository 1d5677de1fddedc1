import { CadnnError } from "../../errors.ts";
import type { Graph } from "../../ir/graph.ts";
import { prepareNet } from "../../train/weights.ts";
import type { TuningLog } from "../../tune/index.ts";
import { weightLayers } from "../layers.ts";
import type { BudgetPlan, LayerPlan } from "../plan.ts";
import type { CalibrationImages } from "../post-training/activations.ts";
import { withLayerNames } from "../select-layers.ts";
import { allocate } from "./allocate.ts";
import { breakEven, type LatencyCurves, type LatencyOptions, latencyCurves, latencyOf } from "./latency.ts";
import { defaultDensities, type FreeLayer, freeLayers } from "./options.ts";
import { type SensitivityOptions, sensitivities } from "./sensitivity.ts";

/** What the densities of layers are to add up to, with the least loss. */
export type Goal =
  /** All weights divided by those that are kept. */
  | { readonly kind: "rate"; readonly rate: number }
  /** Of the dense net's latency on the target. */
  | { readonly kind: "latency"; readonly share: number }
  /** The latency that the same density in each layer has at this rate. */
  | { readonly kind: "latency"; readonly asRate: number };

export interface BudgetOptions extends SensitivityOptions {
  readonly goal: Goal;
  /** For the latency: what is compiled for, and how its kernels are timed. */
  readonly latency?: Omit<LatencyOptions, "onProgress" | "signal"> | undefined;
  readonly densities?: readonly number[];
  readonly onStage?: ((stage: "kernels" | "sensitivity", done: number, total: number) => void) | undefined;
}

export interface BudgetLayer {
  readonly name: string;
  readonly density: number;
  /** Divergence of the net's output if this layer alone is pruned so. */
  readonly loss: number;
  /** In the unit of the curves, where the budget is one of latency. */
  readonly latency?: number;
  readonly denseLatency?: number;
  /** The greatest density that gains anything. */
  readonly breakEven?: number;
}

/** Tables that densities are chosen by, and what was chosen. */
export interface BudgetReport {
  readonly layers: readonly BudgetLayer[];
  /** Of the net, dense and as planned. */
  readonly latency?: { readonly target: string; readonly engine: string; readonly unit: string; readonly dense: number; readonly planned: number };
}

/** Everything that is measured of a net, for any number of goals. */
export interface BudgetTables {
  readonly plan: BudgetPlan;
  readonly total: number;
  readonly free: readonly FreeLayer[];
  /** By layer, for each of its counts. */
  readonly losses: ReadonlyMap<string, readonly number[]>;
  readonly curves?: LatencyCurves;
  readonly log?: TuningLog;
}

/** Measures how each layer's density acts on the net's output and, with `latency`, on its latency. */
export async function budgetTables(source: Graph, planned: BudgetPlan, images: CalibrationImages, options: Omit<BudgetOptions, "goal">): Promise<BudgetTables> {
  const graph = prepareNet(source);
  const plan = withLayerNames(graph, planned);
  const { latency, onStage, signal } = options;
  const free = freeLayers(graph, plan, options.densities ?? defaultDensities);
  const total = weightLayers(graph).reduce((sum, l) => sum + l.count, 0);
  const measured = latency && (await latencyCurves(graph, plan, free, { ...latency, signal, onProgress: (done, count) => onStage?.("kernels", done, count) }));
  const losses = await sensitivities(graph, plan, free, images, { ...options, onProgress: (done, count) => onStage?.("sensitivity", done, count) });
  return { plan, total, free, losses, ...(measured === undefined ? {} : measured) };
}

/**
 * The densities of least loss that meet the goal, losses taken to add up, as a plan's table of layers and the rate that they make.
 * @throws `E_INVALID_OPTION` if no choice meets the goal.
 */
export function chooseDensities(tables: BudgetTables, goal: Goal): { readonly layers: Readonly<Record<string, LayerPlan>>; readonly rate: number; readonly report: BudgetReport } {
  const { plan, total, free, losses, curves } = tables;
  // What cannot be pruned alone has no loss that is known, and stays as it is.
  const rest = total - free.reduce((sum, f) => sum + f.layer.count, 0);
  const options = free.map(({ layer, counts }) => {
    const list = losses.get(layer.name);
    const possible = list === undefined ? counts.slice(0, 1) : counts;
    return possible.map((count, i) => ({ loss: list?.[i] ?? 0, cost: goal.kind === "rate" ? count : (needed(curves).layers.get(layer.name)?.[i] ?? 0) }));
  });
  const chosen = allocate(options, limitOf(tables, goal, rest));
  const countOf = new Map(free.map(({ layer, counts }, i) => [layer.name, counts[chosen[i] as number] as number]));
  const kept = rest + [...countOf.values()].reduce((a, b) => a + b, 0);
  const layers = Object.fromEntries(
    free.map(({ layer }): [string, LayerPlan] => {
      const density = (countOf.get(layer.name) as number) / layer.count;
      const own = plan.layers[layer.name]?.structure;
      // A structure such as 2:4 has a density of its own.
      const structure = density === 1 && (own ?? plan.structure) !== "unstructured" ? "unstructured" : own;
      return [layer.name, { density, ...(structure === undefined ? {} : { structure }) }];
    }),
  );
  const report: BudgetReport = {
    layers: free.map((one, i): BudgetLayer => {
      const { name, count } = one.layer;
      const curve = curves?.layers.get(name);
      const at = chosen[i] as number;
      const gain = curve && breakEven(one, curve);
      return {
        ...{ name, density: (one.counts[at] as number) / count, loss: losses.get(name)?.[at] ?? 0 },
        ...(curve === undefined ? {} : { latency: curve[at] as number, denseLatency: curve[0] as number }),
        ...(gain === undefined ? {} : { breakEven: gain }),
      };
    }),
    ...(curves === undefined
      ? {}
      : {
          latency: {
            ...{ target: curves.target, engine: curves.engine, unit: curves.unit },
            dense: latencyOf(curves, free, () => Number.POSITIVE_INFINITY),
            planned: latencyOf(curves, free, (name) => countOf.get(name) as number),
          },
        }),
  };
  return { layers, rate: total / kept, report };
}

/** What the options of all layers may cost together. */
function limitOf({ total, free, curves }: BudgetTables, goal: Goal, rest: number): number {
  if (goal.kind === "rate") return Math.floor(total / goal.rate) - rest;
  const known = needed(curves);
  if ("share" in goal) return goal.share * latencyOf(known, free, () => Number.POSITIVE_INFINITY) - known.fixed;
  const density = (total / goal.asRate - rest) / (total - rest);
  const counts = new Map(free.map(({ layer }) => [layer.name, Math.max(1, density * layer.count)]));
  return latencyOf(known, free, (name) => counts.get(name) as number) - known.fixed;
}

function needed(curves: LatencyCurves | undefined): LatencyCurves {
  if (curves !== undefined) return curves;
  throw new CadnnError("E_INVALID_OPTION", "a budget of latency needs a target", { at: "budget", hint: "Name a target." });
}
