import { createSession } from "../runtime/create-session.ts";
import type { Session } from "../runtime/session.ts";
import type { Candidate } from "./candidates.ts";
import { engineFingerprint } from "./engine.ts";
import { loadCandidates } from "./link-candidates.ts";
import type { Measurer } from "./measurer.ts";

export interface WasmMeasurerOptions {
  /** In place of the fingerprint of the engine that runs this code. */
  readonly engine?: string;
  /** Milliseconds of running on end before the first measurement, in which the engine is to put its best code in place. Default 12. */
  readonly warmupMs?: number;
}

interface Loaded {
  /** One call of the kernel. */
  readonly run: () => void;
  /** Calls in a slice of time that the clock resolves well. */
  readonly calls: number;
}

/**
 * Runs candidates on the engine that runs this code, in Node, in a page or in a worker, with the net's weights and random activations. In each
 * round all candidates take turns, first a call that brings their data back into the caches, then a short slice of calls; the least time of a candidate's slices
 * counts. So rounds lie far apart, and a disturbance spoils one of many. Slices are longer where the clock is coarse, as in pages without isolation.
 */
export function createWasmMeasurer({ engine = engineFingerprint(), warmupMs = 12 }: WasmMeasurerOptions = {}): Measurer {
  const loaded = new WeakMap<Candidate, Loaded | undefined>();
  const resolution = clockResolution();
  const sliceMs = Math.max(0.25, 12 * resolution);
  return {
    engine,
    profile: resolution <= finestCall ? profileNets : undefined,
    async measure(candidates, rounds) {
      const fresh = candidates.filter((c) => !loaded.has(c));
      const runs = fresh.length === 0 ? [] : await loadCandidates(fresh);
      for (const [i, run] of runs.entries()) loaded.set(fresh[i] as Candidate, await warmUp(run, warmupMs, sliceMs));
      const least = candidates.map(() => Number.POSITIVE_INFINITY);
      for (let round = 0; round < rounds; round++) {
        candidates.forEach((candidate, i) => {
          const kernel = loaded.get(candidate);
          if (kernel === undefined) return;
          kernel.run();
          least[i] = Math.min(least[i] as number, slice(kernel.run, kernel.calls));
        });
        await pause();
      }
      return least.map((ms) => ms * 1e6);
    },
  };
}

/** Milliseconds that a clock must tell apart to time single calls of a net. */
const finestCall = 0.01;

/** Turns of each way to compile a net, and inferences of a turn, of which the first finds the caches full of another's weights. */
const turns = { rounds: 8, runs: 3 } as const;

/** On one thread and on two, in the geometric mean: what is fastest on one may leave two with unequal parts, and fill a cache that they share. */
async function profileNets(files: readonly Uint8Array[], stopped: () => boolean, onProgress?: (done: number, total: number) => void): Promise<number[][] | undefined> {
  const half = files.length * (turns.rounds + 1);
  const one = await profileOn(1, files, stopped, (done) => onProgress?.(done, 2 * half));
  const two = one && (await profileOn(2, files, stopped, (done) => onProgress?.(half + done, 2 * half)));
  return two?.map((times, v) => times.map((ms, i) => Math.sqrt(ms * (one?.[v]?.[i] as number))));
}

async function profileOn(threads: number, files: readonly Uint8Array[], stopped: () => boolean, onProgress: (done: number) => void): Promise<number[][] | undefined> {
  const sessions: Session[] = [];
  const least: number[][] = [];
  let done = 0;
  try {
    for (const file of files) {
      if (stopped()) return undefined;
      const session = await createSession(file, { threads });
      sessions.push(session);
      await session.warmup();
      onProgress(++done);
    }
    for (let round = 0; round < turns.rounds; round++)
      for (const [v, session] of sessions.entries()) {
        if (stopped()) return undefined;
        const steps = await session.profile({ runs: turns.runs });
        const before = least[v];
        least[v] = steps.map(({ minMs }, i) => Math.min(minMs, before?.[i] ?? minMs));
        onProgress(++done);
        await pause();
      }
    return least;
  } finally {
    for (const session of sessions) await session.dispose();
  }
}

/** Milliseconds a call; the one before brings back to the caches what other candidates drove out, as the layers before do in a net. */
function slice(run: () => void, calls: number): number {
  run();
  const start = performance.now();
  for (let i = 0; i < calls; i++) run();
  return (performance.now() - start) / calls;
}

async function warmUp(run: () => void, warmupMs: number, sliceMs: number): Promise<Loaded | undefined> {
  try {
    run();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return undefined; // random numbers are no indices
    throw error;
  }
  const calls = (ms: number) => Math.max(1, Math.round(sliceMs / Math.max(1e-4, ms)));
  let best = slice(run, 1);
  // Better code comes while the first one runs: go on until the times have stopped falling.
  for (let quiet = 0, spent = 0; spent < warmupMs || (quiet < 3 && spent < 20 * warmupMs); ) {
    const count = calls(best);
    const ms = slice(run, count);
    spent += ms * count;
    quiet = ms < 0.95 * best ? 0 : quiet + 1;
    best = Math.min(best, ms);
    if (quiet === 0 || spent < warmupMs) await pause();
  }
  return { run, calls: calls(best) };
}

/** Lets the engine's compiler threads and the page have their turn. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** Milliseconds between two readings of the clock that differ: pages see a coarse one. */
function clockResolution(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    let now = start;
    while (now === start) now = performance.now();
    least = Math.min(least, now - start);
  }
  return least;
}
