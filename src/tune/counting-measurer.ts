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

/** Counts candidates in place of timing them, so that the same choices are found each time, on any machine. */
export function createCountingMeasurer({ engine, count }: Counter): Measurer {
  return {
    engine,
    exact: true,
    async measure(candidates) {
      const results: number[] = [];
      while (results.length < candidates.length) results.push(...(await countSome(candidates.slice(results.length), count)));
      return results;
    },
  };
}

/** Of the first candidates, as many as belong into a batch. */
async function countSome(candidates: readonly Candidate[], count: Counter["count"]): Promise<number[]> {
  let size = 0;
  for (let bytes = 0; size < Math.min(candidates.length, batch.candidates); size++) {
    bytes += (candidates[size] as Candidate).prepare.reduce((n, p) => n + p.to.bytes, 0);
    if (size > 0 && bytes > batch.bytes) break;
  }
  const some = candidates.slice(0, size);
  const { module, pages, kernels, fillMemory } = linkCandidates(some);
  const memory = new Uint8Array((await fillMemory()).buffer);
  const parts = some.map(({ call, target }) => partsOf(call.template.items(call.problem, call.choice), call.template.cost(call.problem, call.choice, target)));
  const calls = kernels.map(({ name, addresses }, i) => ({ name, runs: (parts[i] as Part[]).map(({ begin, end }) => [...addresses, begin, end]) }));
  const counts = await count({ module, pages, memory, calls });
  return some.map((_, i) => {
    const counted = (parts[i] as Part[]).reduce((n, { begin, end }) => n + end - begin, 0);
    return ((counts[i] ?? Number.POSITIVE_INFINITY) * (kernels[i]?.items ?? 0)) / counted;
  });
}

interface Part {
  readonly begin: number;
  readonly end: number;
}

/** Stretches of items that make `countedCycles`, evenly spread; all items, if that is not much more. */
function partsOf(items: number, cycles: number): Part[] {
  const wanted = Math.ceil((items * countedCycles) / Math.max(1, cycles));
  if (1.5 * wanted >= items) return [{ begin: 0, end: items }];
  const count = Math.min(stretches, wanted);
  const length = Math.floor(wanted / count);
  return Array.from({ length: count }, (_, i) => {
    const begin = Math.floor(((items - length) * i) / Math.max(1, count - 1));
    return { begin, end: begin + length };
  });
}
