import type { Candidate } from "./candidates.ts";
import { linkCandidates } from "./link-candidates.ts";
import type { Measurer } from "./measurer.ts";

/** Calls of a module's exports, to be counted one by one. The module imports its memory as `env.memory`. */
export interface CountJob {
  readonly module: Uint8Array;
  readonly pages: number;
  /** How the memory begins. */
  readonly memory: Uint8Array;
  /** For each call the arguments of one run after another. */
  readonly calls: readonly { readonly name: string; readonly runs: readonly (readonly number[])[] }[];
}

/** Tells what calls take, always the same for the same job; for instance cycles that are estimated from counts of instructions. */
export interface Counter {
  readonly engine: string;
  /** `undefined` for a call that fails. */
  count(job: CountJob): Promise<readonly (number | undefined)[]>;
}

/** A call of more estimated cycles than this is counted in parts, spread over its items, which do about the same. */
const countedCycles = 1e6;
const stretches = 4;

/** Candidates that are counted at once, so that the counter's start is shared, and neither its memory nor its output gets large. */
const batch = { candidates: 64, bytes: 2 ** 29 } as const;

/** Ranges of a candidate's work items that are counted. */
export interface Part {
  readonly begin: number;
  readonly end: number;
}

/** What was counted before, of candidates that agree in their code, weights and parts. */
export interface CountStore {
  get(candidate: Candidate, parts: readonly Part[]): number | undefined;
  set(candidate: Candidate, parts: readonly Part[], cycles: number): void;
}

/** Counts candidates in place of timing them, so that the same choices are found each time, on any machine. What is in `store` is not counted again. */
export function createCountingMeasurer({ engine, count }: Counter, store?: CountStore): Measurer {
  return {
    engine,
    exact: true,
    async measure(candidates) {
      const parts = new Map(candidates.map((c) => [c, partsOf(c)]));
      const counts = new Map(candidates.map((c) => [c, store?.get(c, parts.get(c) as Part[])]));
      let left = candidates.filter((c) => counts.get(c) === undefined);
      while (left.length > 0) {
        const some = batchOf(left);
        const cycles = await countSome(some, parts, count);
        some.forEach((c, i) => {
          counts.set(c, cycles[i] as number);
          store?.set(c, parts.get(c) as Part[], cycles[i] as number);
        });
        left = left.slice(some.length);
      }
      return candidates.map((c) => counts.get(c) as number);
    },
  };
}

/** Of the first candidates, as many as belong into a batch. */
function batchOf(candidates: readonly Candidate[]): readonly Candidate[] {
  let size = 0;
  for (let bytes = 0; size < Math.min(candidates.length, batch.candidates); size++) {
    bytes += (candidates[size] as Candidate).prepare.reduce((n, p) => n + p.to.bytes, 0);
    if (size > 0 && bytes > batch.bytes) break;
  }
  return candidates.slice(0, size);
}

async function countSome(some: readonly Candidate[], partsOf: ReadonlyMap<Candidate, readonly Part[]>, count: Counter["count"]): Promise<number[]> {
  const { module, pages, kernels, fillMemory } = linkCandidates(some);
  const memory = new Uint8Array((await fillMemory()).buffer);
  const parts = some.map((candidate) => partsOf.get(candidate) as readonly Part[]);
  const calls = kernels.map(({ name, addresses }, i) => ({ name, runs: (parts[i] as readonly Part[]).map(({ begin, end }) => [...addresses, begin, end]) }));
  const counts = await count({ module, pages, memory, calls });
  return some.map((_, i) => {
    const counted = (parts[i] as readonly Part[]).reduce((n, { begin, end }) => n + end - begin, 0);
    return ((counts[i] ?? Number.POSITIVE_INFINITY) * (kernels[i]?.items ?? 0)) / counted;
  });
}

/** Stretches of items that make about `countedCycles`, evenly spread; all items, if that is not much more. A model that changes a little leaves the parts as they are. */
function partsOf({ target, call: { template, problem, choice } }: Candidate): Part[] {
  const items = template.items(problem, choice);
  const cycles = 2 ** Math.round(Math.log2(Math.max(1, template.cost(problem, choice, target))));
  const wanted = Math.ceil((items * countedCycles) / cycles);
  if (1.5 * wanted >= items) return [{ begin: 0, end: items }];
  const count = Math.min(stretches, wanted);
  const length = Math.floor(wanted / count);
  return Array.from({ length: count }, (_, i) => {
    const begin = Math.floor(((items - length) * i) / Math.max(1, count - 1));
    return { begin, end: begin + length };
  });
}
