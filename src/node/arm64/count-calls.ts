import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countedWasmFlags, emulate, type Interval } from "./emulate.ts";
import { type Core, coreNames, type Estimate, estimate } from "./estimate.ts";
import { guest } from "./guest.ts";

/** A module that imports its memory as `env.memory`, and calls of its exports that are counted one by one. */
export interface CountJob {
  readonly module: Uint8Array;
  readonly pages: number;
  /** How the memory begins. */
  readonly memory: Uint8Array;
  /** For each call, which is one interval, the arguments of one run after another. */
  readonly calls: readonly { readonly name: string; readonly runs: readonly (readonly number[])[] }[];
}

/** Counts each call in emulation and estimates its cycles; `undefined` for one that traps. The same job gives the same numbers. */
export async function countCalls(job: CountJob, cores: readonly Core[] = coreNames, signal?: AbortSignal): Promise<(Estimate | undefined)[]> {
  const intervals = await countIntervals(job, signal);
  const byLabel = new Map(intervals.map((interval) => [interval.label, interval]));
  const found = job.calls.map((_, i) => byLabel.get(i));
  const estimates = await estimate(
    found.filter((i) => i !== undefined),
    cores,
  );
  let next = 0;
  return found.map((interval) => (interval === undefined ? undefined : estimates[next++]));
}

async function countIntervals({ module, pages, memory, calls }: CountJob, signal: AbortSignal | undefined): Promise<readonly Interval[]> {
  const folder = await mkdtemp(join(tmpdir(), "cadnn-count-"));
  try {
    await Promise.all([
      writeFile(join(folder, "module.wasm"), module),
      writeFile(join(folder, "memory.bin"), memory),
      writeFile(join(folder, "job.json"), JSON.stringify({ pages, calls })),
      writeFile(join(folder, "guest.cjs"), `(${guest})(${JSON.stringify(folder)});`),
    ]);
    return (await emulate([...countedWasmFlags, join(folder, "guest.cjs")], { signal })).intervals;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
