import type { Target } from "../codegen/target.ts";
import type { Graph } from "../ir/graph.ts";
import { legalize } from "../lower/legalize.ts";
import { optimize, passesFor } from "../passes/index.ts";
import { type Candidate, candidatesOf, type Ranking, rankByModel, type Task, tasksOf } from "./candidates.ts";
import { emptyLog, mergeLogs, type TuningLog, type TuningRecord } from "./log.ts";
import { measuredCosts } from "./measured-costs.ts";
import type { Measurer } from "./measurer.ts";

export interface TuneOptions {
  readonly target: Target;
  readonly measurer: Measurer;
  /** What is known already: problems that it holds for this engine are not measured again. */
  readonly log?: TuningLog;
  /** Stop after so many seconds; the most expensive problems come first. */
  readonly budgetSeconds?: number;
  readonly signal?: AbortSignal;
  /** Choices to measure in a space of so many. */
  readonly candidates?: (space: number) => number;
  /** Orders the choices of a space. */
  readonly rank?: Ranking;
  /** Told of each record as it comes, to be kept. */
  readonly onRecord?: (record: TuningRecord) => void | Promise<void>;
  readonly onProgress?: (progress: TuneProgress) => void;
}

export interface TuneProgress {
  /** Problems measured so far, and those known so far to be measured. */
  readonly done: number;
  readonly total: number;
  readonly kernel: string;
}

export interface TuneResult {
  /** The log given, and what was measured. */
  readonly log: TuningLog;
  readonly measured: readonly TuningRecord[];
  /** Whether every problem of the net is in the log now. */
  readonly complete: boolean;
}

/** A tenth of the space, but no less than 3 choices. */
export const fewCandidates = (space: number): number => Math.min(space, Math.max(3, Math.floor(space / 10)));

/** What is not measured looks so much cheaper to the search, so that lowering's other plans get their turn if they come near. */
const optimism = 0.85;

/** Rounds of the first heat, in which all candidates run, and of the final, in which those that came near the best do. */
const heats = { first: 4, final: 12, near: 1.1 } as const;

/**
 * Measures what a net's kernels may choose from: lowers it, measures the best-ranked choices of every problem, and lowers again with the times known, until
 * lowering chooses nothing that was not measured. The weights should be those that the net will run with, since zeros count.
 */
export async function tune(source: Graph, options: TuneOptions): Promise<TuneResult> {
  const { target, measurer, budgetSeconds = Number.POSITIVE_INFINITY, signal, rank = rankByModel } = options;
  const graph = legalize(optimize(source, { passes: passesFor(source) }));
  const deadline = performance.now() + 1000 * budgetSeconds;
  const measured: TuningRecord[] = [];
  const failed = new Set<string>();
  let log = options.log ?? emptyLog;
  for (;;) {
    const own = { records: log.records.filter((r) => r.engine === measurer.engine && r.target === target.name) };
    const known = new Set(own.records.map((r) => `${r.kernel} ${r.problem}`));
    const costs = measuredCosts(own, { optimism });
    const tasks = tasksOf(graph, target, costs, options.candidates ?? fewCandidates, rank).filter((t) => !known.has(t.key) && !failed.has(t.key));
    if (tasks.length === 0) return { log, measured, complete: true };
    for (const [task, candidates] of candidatesOf(graph, target, costs, tasks)) {
      if (signal?.aborted === true || performance.now() > deadline) return { log, measured, complete: false };
      options.onProgress?.({ done: measured.length, total: measured.length + tasks.length - tasks.indexOf(task), kernel: task.template.name });
      const record = await measureTask(task, candidates, measurer);
      if (record === undefined) {
        failed.add(task.key);
        continue;
      }
      measured.push(record);
      log = mergeLogs(log, { records: [record] });
      await options.onRecord?.(record);
    }
  }
}

async function measureTask(task: Task, candidates: readonly Candidate[], measurer: Measurer): Promise<TuningRecord | undefined> {
  const first = await measurer.measure(candidates, heats.first);
  const bound = heats.near * Math.min(...first);
  const near = candidates.filter((_, i) => (first[i] as number) <= bound);
  const final = near.length > 1 ? await measurer.measure(near, heats.final) : [];
  const times = candidates
    .map((c, i) => ({ choice: c.choice, ns: Math.round(Math.min(first[i] as number, final[near.indexOf(c)] ?? Number.POSITIVE_INFINITY)) }))
    .filter(({ ns }) => ns > 0 && ns < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.ns - b.ns);
  if (times.length === 0) return undefined;
  const problem = task.key.slice(task.template.name.length + 1);
  return { kernel: task.template.name, problem, target: candidates[0]?.target.name as TuningRecord["target"], engine: measurer.engine, space: task.space, times };
}

export { type Candidate, rankByModel } from "./candidates.ts";
export { browserOf, engineFingerprint } from "./engine.ts";
export { emptyLog, formatLog, formatRecord, mergeLogs, parseTuningLog, type Timing, type TuningLog, type TuningRecord } from "./log.ts";
export { type MeasuredCostsOptions, measuredCosts } from "./measured-costs.ts";
export type { Measurer } from "./measurer.ts";
export { createWasmMeasurer, type WasmMeasurerOptions } from "./wasm-measurer.ts";
