import type { TargetName } from "../artifact/manifest.ts";
import type { Target } from "../codegen/target.ts";
import { targets } from "../codegen/target.ts";
import { type Costs, canonicalText, estimatedCosts, type Priced, parseCanonical } from "../kernels/costs.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";
import { kernelTable } from "../kernels/table.ts";
import { bestCounted, type Counted, farOf } from "./fitting.ts";
import { isCounted, problemText, type TuningLog, type TuningRecord } from "./log.ts";
import type { ShippedCosts } from "./shipped-costs.ts";

export interface MeasuredCostsOptions {
  /** Factor on the costs of problems that were never measured; below 1 the search tries them, as bandits do. Default 1. */
  readonly optimism?: number;
  /** What is asked for them before the kernels' models. */
  readonly shipped?: Pick<ShippedCosts, "lookup">;
}

/**
 * Costs from the log where a problem was measured there, else by the kernels' models. Both have one unit: on each engine the median ratio of measured
 * nanoseconds to estimated cycles counts as one cycle. What is not measured is corrected by how its kernel does elsewhere. Engines count alike: a
 * choice's cost is the geometric mean over those that measured the problem. To cycles that were counted, what loops wait for memory by their plan is added.
 */
export function measuredCosts(log: TuningLog, { optimism = 1, shipped }: MeasuredCostsOptions = {}): Costs {
  const known = new Map<string, TuningRecord[]>();
  for (const record of log.records) {
    const key = `${record.kernel} ${record.target} ${record.problem}`;
    const list = known.get(key);
    if (list === undefined) known.set(key, [record]);
    else list.push(record);
  }
  const scales = calibrate(log);
  return {
    best<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target): Priced<C> | undefined {
      const records = known.get(`${template.name} ${target.name} ${problemText(template, problem)}`) ?? [];
      const measured = bestMeasured(template, problem, target, records, scales);
      if (measured !== undefined) return measured;
      const found = shipped?.lookup(template, problem, target);
      if (found !== undefined) return { ...found, cost: found.cost * optimism };
      const estimated = estimatedCosts.best(template, problem, target);
      return estimated && { choice: estimated.choice, cost: estimated.cost * scales.kernel(template.name, target.name) * optimism };
    },
  };
}

/**
 * What to plan a net by: the choices of `measuredCosts`. Costs, by which kernels and layouts are chosen, are counted ones, those of the package, or the models': a kernel that is clocked in a
 * loop of its own finds weights and planes in nearer caches than in a net. That hardly matters between its choices, but does between kernels.
 */
export function planningCosts(log: TuningLog, options: MeasuredCostsOptions = {}): Costs {
  const costs = measuredCosts(log, options);
  const clocked = new Set(log.records.filter((r) => !isCounted(r)).map((r) => r.target));
  return {
    best(template, problem, target) {
      const found = costs.best(template, problem, target);
      if (found === undefined || !clocked.has(target.name)) return found;
      const { cost } = options.shipped?.lookup(template, problem, target) ?? estimatedCosts.best(template, problem, target) ?? found;
      return { choice: found.choice, cost };
    },
  };
}

function bestMeasured<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target, records: readonly TuningRecord[], scales: Scales): Priced<C> | undefined {
  if (records.length === 0) return undefined;
  const found: Priced<C>[] = [];
  for (const choice of template.choices(problem, target)) {
    const text = canonicalText(choice);
    const logs = records.map((record) => {
      const timing = record.times.find((t) => t.choice === text);
      if (timing === undefined) return Number.POSITIVE_INFINITY;
      const reference = template.cost(parseCanonical(record.problem) as P, choice, target);
      return Math.log((timing.ns / scales.engine(record.engine, record.target)) * (template.cost(problem, choice, target) / reference));
    });
    // An engine that did not measure the choice does not vote for it; where no choice was measured everywhere, any will do.
    const votes = logs.filter(Number.isFinite);
    if (votes.length > 0) found.push({ choice, cost: Math.exp(mean(votes)) * 1.1 ** (logs.length - votes.length) });
  }
  if (!records.every(isCounted)) return found.reduce<Priced<C> | undefined>((best, next) => (best === undefined || next.cost < best.cost ? next : best), undefined);
  const counted = found.map(({ choice, cost }): Counted<C> => ({ choice, cycles: cost, far: farOf(template, problem, choice, target) }));
  const best = bestCounted(template, problem, target, counted);
  return best && { choice: best.choice, cost: best.cycles + best.far };
}

export interface Scales {
  /** Nanoseconds that count as a cycle. */
  engine(name: string, target: TargetName): number;
  /** How much longer a kernel takes than estimated, compared with all kernels. */
  kernel(name: string, target: TargetName): number;
}

/** The unit of `measuredCosts` in nanoseconds on one engine; 1 where the log has nothing of it. */
export const nanosecondsPerCycle = (log: TuningLog, engine: string, target: TargetName): number => calibrate(log).engine(engine, target);

/** How measured times and estimates go together. */
export function calibrate(log: TuningLog): Scales {
  const ratios = new Map<string, Map<string, number[]>>();
  for (const record of log.records) {
    const template = kernelTable.find((t) => t.name === record.kernel);
    if (template === undefined) continue;
    const perEngine = entry(ratios, `${record.engine} ${record.target}`, () => new Map<string, number[]>());
    entry(perEngine, record.kernel, () => [] as number[]).push(...ratiosOf(template, record));
  }
  const engines = new Map([...ratios].map(([key, kernels]) => [key, median([...kernels.values()].flat())]));
  const kernelFactors = new Map<string, number[]>();
  for (const [key, kernels] of ratios)
    for (const [kernel, list] of kernels) {
      const target = key.slice(key.lastIndexOf(" ") + 1);
      if (list.length > 0) entry(kernelFactors, `${kernel} ${target}`, () => [] as number[]).push(Math.log(median(list) / (engines.get(key) as number)));
    }
  return {
    engine: (name, target) => engines.get(`${name} ${target}`) ?? 1,
    kernel: (name, target) => Math.exp(mean(kernelFactors.get(`${name} ${target}`) ?? [0])),
  };
}

/** Nanoseconds to a cycle of each measured choice; nothing for records of problems that the kernel no longer knows. */
function ratiosOf(template: KernelTemplate, record: TuningRecord): number[] {
  try {
    const problem = parseCanonical(record.problem);
    const target = targets[record.target];
    return record.times.map(({ choice, ns }) => ns / template.cost(problem, parseCanonical(choice), target)).filter((r) => r > 0 && r < Number.POSITIVE_INFINITY);
  } catch {
    return [];
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 1;
}
