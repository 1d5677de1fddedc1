import type { TargetName } from "../../artifact/manifest.ts";
import { type Target, targets } from "../../codegen/target.ts";
import { CadnnError } from "../../errors.ts";
import type { Graph } from "../../ir/graph.ts";
import type { Costs } from "../../kernels/costs.ts";
import { lower } from "../../lower/index.ts";
import { legalize } from "../../lower/legalize.ts";
import { optimize, passesFor } from "../../passes/index.ts";
import { defaultCosts, emptyLog, type Measurer, measuredCosts, nanosecondsPerCycle, planningCosts, type TuningLog, type TuningRecord, tune } from "../../tune/index.ts";
import type { BudgetPlan } from "../plan.ts";
import { type FreeLayer, prunedNet } from "./options.ts";

/** What the kernels of a net take on a target, for each layer and density: break-even curves. */
export interface LatencyCurves {
  readonly target: TargetName;
  /** What the figures hold for: the engine that measured or counted, or `estimated` for the kernels' models and the records of the package. */
  readonly engine: string;
  /** Milliseconds of one thread, or millions of cycles where they are counted or estimated. */
  readonly unit: "ms" | "Mcycles";
  /** Of what no budget changes: other operators, and layers that stay dense. */
  readonly fixed: number;
  /** By the name of the weight, for each of its counts. */
  readonly layers: ReadonlyMap<string, readonly number[]>;
}

export interface LatencyOptions {
  readonly target: TargetName;
  /** Times or counts the kernels that are not in the log; without it, they are estimated. */
  readonly measurer?: Measurer | undefined;
  readonly log?: TuningLog | undefined;
  readonly onRecord?: ((record: TuningRecord) => void | Promise<void>) | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The curves of a net: it is pruned to each density by magnitude, all layers at once, and compiled by what is known of the kernels; a layer's latency is that of the calls that lowering
 * makes for it, with the copies that its input and output need. So a layer follows its dense kernel down to the density at which compiling changes to the sparse one.
 * With a measurer the kernels are tuned first, at each density, so that both sides are the best there is.
 * @throws `E_INTERRUPTED`
 */
export async function latencyCurves(graph: Graph, plan: BudgetPlan, free: readonly FreeLayer[], options: LatencyOptions): Promise<{ curves: LatencyCurves; log: TuningLog }> {
  const { measurer, onRecord, onProgress, signal } = options;
  const target = targets[options.target];
  const levels = Math.max(1, ...free.map((f) => f.counts.length));
  const nets = Array.from({ length: levels }, (_, level) => prunedNet(graph, plan, free, level));
  let log = options.log ?? emptyLog;
  if (measurer !== undefined)
    for (const [level, net] of nets.entries()) {
      const result = await tune(net, {
        ...{ target, measurer, log, inNet: false },
        ...(signal === undefined ? {} : { signal }),
        ...(onRecord === undefined ? {} : { onRecord }),
        onProgress: ({ done, total }) => onProgress?.(level + done / Math.max(1, total), levels),
      });
      log = result.log;
      if (!result.complete)
        throw new CadnnError("E_INTERRUPTED", "measuring the kernels was interrupted", { hint: "Run the same command again; what was measured is in the tuning log." });
    }
  const own = measurer === undefined ? emptyLog : { records: log.records.filter((r) => r.engine === measurer.engine && r.target === target.name) };
  const costs = measuredCosts(own, { shipped: defaultCosts });
  const planning = planningCosts(own, { shipped: defaultCosts });
  const isTimed = measurer !== undefined && measurer.exact !== true;
  // A cycle of the models is a cycle; what is counted is recorded in cycles, what is timed in nanoseconds.
  const scale = (measurer === undefined ? 1 : nanosecondsPerCycle(own, measurer.engine, target.name)) / 1e6;
  const byNode = new Map(free.map(({ layer }) => [layer.node, layer.name]));
  const perLevel = nets.map((net) => latencyByLayer(net, target, { costs, planning }, byNode));
  const layers = new Map(free.map(({ layer, counts }) => [layer.name, counts.map((_, level) => (perLevel[level]?.get(layer.name) ?? 0) * scale)]));
  const fixed = (perLevel[0]?.get(undefined) ?? 0) * scale;
  return { curves: { target: target.name, engine: measurer?.engine ?? "estimated", unit: isTimed ? "ms" : "Mcycles", fixed, layers }, log };
}

/** Cycles of one thread for the calls of each layer, given by their nodes, and under `undefined` for all other calls. */
function latencyByLayer(
  graph: Graph,
  target: Target,
  { costs, planning }: { readonly costs: Costs; readonly planning: Costs },
  layers: ReadonlyMap<string, string>,
): Map<string | undefined, number> {
  const sums = new Map<string | undefined, number>();
  for (const { template, problem, repeat, node } of lower(legalize(optimize(graph, { passes: passesFor(graph) })), target, { costs: planning }).calls) {
    const layer = layerOf(node, layers);
    const cycles = (costs.best(template, problem, target)?.cost ?? 0) * (repeat?.count ?? 1);
    sums.set(layer, (sums.get(layer) ?? 0) + cycles);
  }
  return sums;
}

/** Passes that put several nodes in the place of one call them `NAME.part`. */
function layerOf(node: string, layers: ReadonlyMap<string, string>): string | undefined {
  for (let name = node; ; name = name.slice(0, name.lastIndexOf("."))) {
    const layer = layers.get(name);
    if (layer !== undefined || !name.includes(".")) return layer;
  }
}

/** The net's latency with these counts, in the curves' unit. */
export function latencyOf({ fixed, layers }: LatencyCurves, free: readonly FreeLayer[], countOf: (name: string) => number): number {
  return free.reduce((sum, { layer, counts }) => {
    const curve = layers.get(layer.name) as readonly number[];
    return sum + interpolated(counts, curve, countOf(layer.name));
  }, fixed);
}

/** Between two counts, which fall, by a straight line. */
function interpolated(counts: readonly number[], values: readonly number[], count: number): number {
  const after = counts.findIndex((c) => c <= count);
  if (after === -1) return values.at(-1) as number;
  if (after === 0 || counts[after] === count) return values[after] as number;
  const [a, b] = [counts[after - 1] as number, counts[after] as number];
  return (values[after] as number) + (((values[after - 1] as number) - (values[after] as number)) * (count - b)) / (a - b);
}

/** The greatest density at which a layer takes less than `share` of its dense time; `undefined` if none does. */
export function breakEven({ counts }: FreeLayer, curve: readonly number[], share = 0.97): number | undefined {
  const at = curve.findIndex((v) => v < share * (curve[0] as number));
  return at === -1 ? undefined : (counts[at] as number) / (counts[0] as number);
}
