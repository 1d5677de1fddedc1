import type { TargetName } from "../artifact/manifest.ts";
import { type Target, targets } from "../codegen/target.ts";
import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { canonicalText } from "../kernels/costs.ts";
import { legalize } from "../lower/legalize.ts";
import { optimize, passesFor } from "../passes/index.ts";
import { detectFeatures, targetsFor } from "../runtime/features.ts";
import { candidatesOf, type Ranking, rankByModel, type Task, tasksOf } from "./candidates.ts";
import { timeInNet } from "./in-net.ts";
import { createLearningRanking } from "./learning-ranking.ts";
import { emptyLog, mergeLogs, type TuningLog, type TuningRecord } from "./log.ts";
import { planningCosts } from "./measured-costs.ts";
import type { Measurer } from "./measurer.ts";
import { batches, race } from "./race.ts";

export interface TuneOptions {
  /** What to generate code for; default: the best target of the engine that runs this code. */
  readonly target?: Target | TargetName;
  readonly measurer: Measurer;
  /** What is known already: problems that it holds for this engine are not measured again. */
  readonly log?: TuningLog;
  /** Stop after so many seconds; the most expensive problems come first. */
  readonly budgetSeconds?: number;
  readonly signal?: AbortSignal;
  /** Choices to measure in a space of so many. */
  readonly candidates?: (space: number) => number;
  /** Orders the choices of a space; default: by the kernels' models, which exact measurements of other problems correct. */
  readonly rank?: Ranking;
  /** Of which kernels each problem gets up to five choices more when all are known, if what was learned meanwhile, or the models, rank others first; default: of all, if measurements are exact. */
  readonly refine?: (kernel: string) => boolean;
  /** Whether the best choices take turns in the net at last, which takes some hundred inferences; default true, where the measurer can. */
  readonly inNet?: boolean;
  /** Told of each record as it comes, to be kept. */
  readonly onRecord?: (record: TuningRecord) => void | Promise<void>;
  readonly onProgress?: (progress: TuneProgress) => void;
}

export interface TuneProgress {
  /** Kernels alone, or in the net. */
  readonly stage: "alone" | "in the net";
  /** Problems measured so far, and those known so far to be measured; turns of the net. */
  readonly done: number;
  readonly total: number;
}

export interface TuneResult {
  /** The log given, and what was measured. */
  readonly log: TuningLog;
  readonly measured: readonly TuningRecord[];
  /** What took the place of records measured alone, by turns in the net. */
  readonly proved: readonly TuningRecord[];
  /** Whether every problem of the net is in the log now. */
  readonly complete: boolean;
}

/** A tenth of the space, but no less than 3 choices. */
export const fewCandidates = (space: number): number => Math.min(space, Math.max(3, Math.floor(space / 10)));

/** Fewer where none is spoilt and what is learned helps: a sixteenth of the space, but no less than 2 choices; all of a few, of which little is learned. */
export const fewCounts = (space: number): number => (space <= 12 ? space : Math.max(2, Math.floor(space / 16)));

/** What is not measured looks so much cheaper to the search, so that lowering's other plans get their turn if they come near. */
const optimism = 0.85;

/**
 * Measures what a net's kernels may choose from: lowers it, measures the best-ranked choices of every problem, and lowers again with the times known, until
 * lowering chooses nothing that was not measured. The weights should be those that the net will run with, since zeros count.
 *
 * @example
 * const { log } = await tune(importOnnx(bytes), { measurer: createWasmMeasurer(), budgetSeconds: 30 });
 * const artifact = await compile(bytes, { tuning: log });
 */
export async function tune(source: Graph, options: TuneOptions): Promise<TuneResult> {
  const { measurer, budgetSeconds = Number.POSITIVE_INFINITY, signal } = options;
  const target = resolveTarget(options.target);
  const graph = legalize(optimize(source, { passes: passesFor(source) }));
  const deadline = performance.now() + 1000 * budgetSeconds;
  const stopped = () => signal?.aborted === true || performance.now() > deadline;
  const measured: TuningRecord[] = [];
  const failed = new Set<string>();
  const refined = new Set<string>();
  const refine = options.refine ?? (() => measurer.exact === true);
  let log = options.log ?? emptyLog;
  const learning = createLearningRanking();
  const rank = options.rank ?? (measurer.exact ? learning.rank : rankByModel);
  const isOwn = (record: TuningRecord) => record.engine === measurer.engine && record.target === target.name;
  for (const record of log.records) if (isOwn(record)) learning.learn(record);
  const result = (complete: boolean, proved: readonly TuningRecord[] = []): TuneResult => ({ log, measured, proved, complete });
  for (;;) {
    const own = { records: log.records.filter(isOwn) };
    const known = new Map(own.records.map((r) => [`${r.kernel} ${r.problem}`, r]));
    const costs = planningCosts(own, { optimism });
    const all = tasksOf(graph, target, costs, options.candidates ?? (measurer.exact ? fewCounts : fewCandidates), rank).filter((t) => !failed.has(t.key));
    let tasks = all.filter((t) => !known.has(t.key));
    if (tasks.length === 0) tasks = all.filter((t) => !refined.has(t.key) && refine(t.template.name)).flatMap((t) => secondLook(t, known.get(t.key) as TuningRecord, target));
    if (tasks.length === 0) {
      const unproved = all.filter((t) => known.get(t.key)?.inNet !== true);
      if (options.inNet === false || measurer.profile === undefined || unproved.length === 0) return result(true);
      const onProgress = (done: number, total: number) => options.onProgress?.({ stage: "in the net", done, total });
      const found = await timeInNet(graph, known, { target, costs, profile: measurer.profile, tasks: unproved, stopped, onProgress });
      if (found === undefined) return result(false);
      for (const record of found) await options.onRecord?.(record);
      log = mergeLogs(log, { records: found });
      return result(true, found);
    }
    const total = measured.length + tasks.length;
    for (const rivals of batches(candidatesOf(graph, target, costs, tasks))) {
      if (stopped()) return result(false);
      options.onProgress?.({ stage: "alone", done: measured.length, total });
      const results = await race(rivals, measurer, stopped).catch((error: unknown) => {
        if (signal?.aborted !== true) throw error;
      });
      if (results === undefined) return result(false);
      for (const [task, times] of results) {
        if (times.length === 0) {
          failed.add(task.key);
          continue;
        }
        const before = known.get(task.key);
        if (before !== undefined) refined.add(task.key);
        const problem = task.key.slice(task.template.name.length + 1);
        const found = [...(before?.times ?? []), ...times].sort((a, b) => a.ns - b.ns);
        const record: TuningRecord = { kernel: task.template.name, problem, target: target.name, engine: measurer.engine, space: task.space, times: found };
        measured.push(record);
        learning.learn(record);
        log = mergeLogs(log, { records: [record] });
        await options.onRecord?.(record);
      }
      if (measurer.exact) break; // what was learned ranks the others' choices anew
    }
  }
}

/** As the kernels' models rank, by counts and with what waits for memory in turn. */
const rankUnlearned = createLearningRanking().rank;

/**
 * The task with those of its two favourites that were not measured, and of the three favourites of the models as they are, since what was learned may mislead; nothing if all
 * were, or if it had its second look.
 */
function secondLook(task: Task, { times }: TuningRecord, target: Target): Task[] {
  if (times.length > task.choices.length) return [];
  const seen = new Set(times.map((t) => t.choice));
  const favourites = new Map([...task.choices.slice(0, 2), ...rankUnlearned(task.template, task.problem, target).slice(0, 3)].map((choice) => [canonicalText(choice), choice]));
  const choices = [...favourites].flatMap(([text, choice]) => (seen.has(text) ? [] : [choice]));
  return choices.length === 0 ? [] : [{ ...task, choices }];
}

function resolveTarget(target: Target | TargetName | undefined): Target {
  if (typeof target === "object") return target;
  const name = target ?? targetsFor(detectFeatures())[0];
  if (name !== undefined && Object.hasOwn(targets, name)) return targets[name];
  if (name === undefined) throw new CadnnError("E_NO_BACKEND", "this engine has no WebAssembly SIMD", { hint: "Tune in a newer engine." });
  throw new CadnnError("E_INVALID_OPTION", `there is no target ${name}`, { at: "target", hint: `Targets: ${Object.keys(targets).join(", ")}.` });
}

export { type Candidate, rankByModel } from "./candidates.ts";
export { type Counter, type CountJob, type CountStore, createCountingMeasurer, type Part } from "./counting-measurer.ts";
export { browserOf, engineFingerprint } from "./engine.ts";
export { emptyLog, formatLog, formatRecord, mergeLogs, parseTuningLog, type Timing, type TuningLog, type TuningRecord } from "./log.ts";
export { type MeasuredCostsOptions, measuredCosts, nanosecondsPerCycle, planningCosts } from "./measured-costs.ts";
export type { Measurer } from "./measurer.ts";
export { defaultCosts, formatShipped, shippedCosts } from "./shipped-costs.ts";
export { createWasmMeasurer, type WasmMeasurerOptions } from "./wasm-measurer.ts";
