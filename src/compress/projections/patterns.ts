import { selectLargest } from "./select.ts";
import { patternEntries, patternTaps } from "./structure.ts";

/** All masks of 9 taps with 4 ones, as lists of places. */
export const allPatterns: readonly (readonly number[])[] = combinations(patternTaps, patternEntries);

/**
 * Kernel patterns with connectivity (Ma et al., "PCONV", arXiv 1909.05073): of kernels of 3×3 taps keeps the ⌊count / 4⌋ best, each at
 * the 4 places of the pattern that suits it best. Exact for a given library. The best library of `size` patterns is a problem of maximum
 * coverage, which is NP-hard; `choosePatterns` comes within 1 − 1/e of it for sure, and mostly much nearer.
 */
export function selectPatterns(energies: Float64Array, count: number, size: number): Uint8Array {
  if (count >= energies.length) return new Uint8Array(energies.length).fill(1);
  const table = patternEnergies(energies);
  const library = choosePatterns(table, size);
  const kernels = energies.length / patternTaps;
  const best = Int32Array.from({ length: kernels }, (_, k) => library.reduce((a, b) => (at(table, b, k) > at(table, a, k) ? b : a)));
  const kept = selectLargest(
    Float64Array.from(best, (pattern, k) => at(table, pattern, k)),
    Math.min(kernels, Math.max(1, Math.floor(count / patternEntries))),
  );
  const mask = new Uint8Array(energies.length);
  for (let k = 0; k < kernels; k++) if (kept[k] === 1) for (const tap of allPatterns[best[k] as number] as readonly number[]) mask[k * patternTaps + tap] = 1;
  return mask;
}

interface PatternEnergies {
  readonly kernels: number;
  /** [pattern, kernel]: Σ of the energies at the pattern's places. */
  readonly sums: Float64Array;
}

const at = ({ sums, kernels }: PatternEnergies, pattern: number, kernel: number): number => sums[pattern * kernels + kernel] as number;

export function patternEnergies(energies: Float64Array): PatternEnergies {
  const kernels = energies.length / patternTaps;
  const sums = new Float64Array(allPatterns.length * kernels);
  allPatterns.forEach((places, p) => {
    for (let k = 0; k < kernels; k++) sums[p * kernels + k] = places.reduce((sum, tap) => sum + (energies[k * patternTaps + tap] as number), 0);
  });
  return { kernels, sums };
}

/** The library that covers most energy: greedily, then by swaps of one pattern as long as they help. Indices of `allPatterns`, ascending. */
export function choosePatterns(table: PatternEnergies, size: number): number[] {
  const { kernels } = table;
  const covered = (best: Float64Array, pattern: number): number => {
    let sum = 0;
    for (let k = 0; k < kernels; k++) sum += Math.max(best[k] as number, at(table, pattern, k));
    return sum;
  };
  const bestOf = (library: readonly number[]): Float64Array => {
    const best = new Float64Array(kernels);
    for (const pattern of library) for (let k = 0; k < kernels; k++) best[k] = Math.max(best[k] as number, at(table, pattern, k));
    return best;
  };
  const mostAfter = (library: readonly number[]): { pattern: number; energy: number } => {
    const best = bestOf(library);
    let most = { pattern: -1, energy: -1 };
    for (let p = 0; p < allPatterns.length; p++) {
      const energy = library.includes(p) ? -1 : covered(best, p);
      if (energy > most.energy) most = { pattern: p, energy };
    }
    return most;
  };
  const library: number[] = [];
  let energy = 0;
  while (library.length < Math.min(size, allPatterns.length)) {
    const next = mostAfter(library);
    library.push(next.pattern);
    energy = next.energy;
  }
  for (let place = 0, unchanged = 0; unchanged < library.length && library.length < allPatterns.length; place = (place + 1) % library.length) {
    const others = library.filter((_, i) => i !== place);
    const next = mostAfter(others);
    if (next.energy > energy * (1 + 1e-12)) {
      library[place] = next.pattern;
      energy = next.energy;
      unchanged = 0;
    } else unchanged++;
  }
  return library.sort((a, b) => a - b);
}

function combinations(n: number, k: number, from = 0): number[][] {
  if (k === 0) return [[]];
  return Array.from({ length: Math.max(0, n - from) }, (_, i) => from + i).flatMap((first) => combinations(n, k - 1, first + 1).map((rest) => [first, ...rest]));
}
