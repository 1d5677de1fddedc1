import type { Candidate, Task } from "./candidates.ts";
import type { Timing } from "./log.ts";
import type { Measurer } from "./measurer.ts";

/**
 * Rounds of the first heat, in which all candidates run, and of each final, in which those few run that came near the best of their problem. Between finals it
 * is looked whether to stop.
 */
const heats = { first: 4, final: 8, finals: 3, near: 1.2, few: 4 } as const;

/** What the operands of all candidates that are measured at once may take, and how many problems these are at most. */
const batch = { bytes: 2 ** 28, tasks: 16 } as const;

/** The candidates of each task. */
export type Rivals = ReadonlyMap<Task, readonly Candidate[]>;

/** Splits up what is to be measured, in the same order. */
export function batches(rivals: Rivals): Rivals[] {
  const list: Map<Task, readonly Candidate[]>[] = [];
  let left = { bytes: 0, tasks: 0 };
  for (const [task, candidates] of rivals) {
    const bytes = candidates.reduce((sum, c) => sum + c.call.operands.reduce((n, place) => n + place.buffer.bytes, 0), 0);
    if (left.tasks === 0 || left.bytes < bytes) {
      list.push(new Map());
      left = batch;
    }
    list.at(-1)?.set(task, candidates);
    left = { bytes: left.bytes - bytes, tasks: left.tasks - 1 };
  }
  return list;
}

/** The times of each task's candidates, the fastest first: a heat of all of them, then a final of those that came near the best of their task. */
export async function race(rivals: Rivals, measurer: Measurer, stopped: () => boolean): Promise<Map<Task, Timing[]>> {
  const least = new Map<Candidate, number>();
  const run = async (candidates: readonly Candidate[], rounds: number) => {
    const ns = await measurer.measure(candidates, rounds);
    candidates.forEach((c, i) => least.set(c, Math.min(Math.round(ns[i] as number), least.get(c) ?? Number.POSITIVE_INFINITY)));
  };
  const timeOf = (c: Candidate) => least.get(c) as number;
  await run([...rivals.values()].flat(), measurer.exact ? 1 : heats.first);
  const finalists = [...rivals.values()].flatMap((candidates) => {
    if (measurer.exact) return [];
    const sorted = candidates.filter((c) => Number.isFinite(timeOf(c))).sort((a, b) => timeOf(a) - timeOf(b));
    return sorted.slice(0, heats.few).filter((c) => timeOf(c) <= heats.near * timeOf(sorted[0] as Candidate));
  });
  for (let i = 0; i < heats.finals && finalists.length > 0 && !stopped(); i++) await run(finalists, heats.final);
  const timings = (candidates: readonly Candidate[]): Timing[] =>
    candidates
      .map((c) => ({ choice: c.choice, ns: timeOf(c) }))
      .filter(({ ns }) => ns > 0 && Number.isFinite(ns))
      .sort((a, b) => a.ns - b.ns);
  return new Map([...rivals].map(([task, candidates]) => [task, timings(candidates)]));
}
