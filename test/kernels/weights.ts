import { spmmHeaderBytes } from "../../src/kernels/wasm/f32-spmm.ts";
import { filterTransform } from "../../src/kernels/winograd.ts";

/** [⌈m / filters⌉][depth][filters], the last block with the filters that are left, from row-major [m][depth]. */
export function packed(w: Float32Array, m: number, depth: number, filters: number): Float32Array {
  const out: number[] = [];
  for (let block = 0; block < m; block += filters) for (let k = 0; k < depth; k++) for (let f = block; f < Math.min(block + filters, m); f++) out.push(w[f * depth + k] as number);
  return Float32Array.from(out);
}

/** The stream of f32-spmm: m + 1 row offsets, then for each row groups of byte offsets and weights; filled up with the last offset and weight 0. */
export function stream(w: Float32Array, m: number, depth: number, group: number, offsetOf: (k: number) => number): Int32Array {
  const words: number[] = new Array<number>(spmmHeaderBytes(m) / 4).fill(0);
  const bits = new Int32Array(w.buffer, w.byteOffset, w.length);
  for (let row = 0; row < m; row++) {
    words[row] = words.length * 4;
    const entries: { offset: number; weight: number }[] = [];
    for (let k = 0; k < depth; k++) if (w[row * depth + k] !== 0) entries.push({ offset: 4 * offsetOf(k), weight: bits[row * depth + k] as number });
    while (entries.length % group > 0) entries.push({ offset: entries.at(-1)?.offset as number, weight: 0 });
    for (let i = 0; i < entries.length; i += group) {
      const part = entries.slice(i, i + group);
      words.push(...part.map((x) => x.offset), ...part.map((x) => x.weight));
    }
  }
  words[m] = words.length * 4;
  return Int32Array.from(words);
}

/** Sets elements to zero: a share `zeros` of all, and every row whose number is in `emptyRows`. */
export function prune(w: Float32Array, depth: number, zeros: number, emptyRows: readonly number[]): Float32Array {
  return w.map((value, i) => (Math.abs(value) < zeros || emptyRows.includes(Math.floor(i / depth)) ? 0 : value));
}

/** U = G g Gᵀ of every filter: [group][point][packed]. */
export function winogradWeights(w: Float32Array, m: number, channels: number, group: number, filters: number): Float32Array {
  const at = (f: number, c: number, i: number, j: number): number => {
    const [u, v] = [filterTransform[i], filterTransform[j]] as [readonly number[], readonly number[]];
    let sum = 0;
    for (let t = 0; t < 9; t++) sum += (u[Math.floor(t / 3)] as number) * (v[t % 3] as number) * (w[(f * channels + c) * 9 + t] as number);
    return sum;
  };
  const out: number[] = [];
  for (let first = 0; first < m; first += group) {
    const count = Math.min(group, m - first);
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 6; j++) {
        const rows = Float32Array.from({ length: count * channels }, (_, k) => at(first + Math.floor(k / channels), k % channels, i, j));
        for (const value of packed(rows, count, channels, filters)) out.push(value);
      }
  }
  return Float32Array.from(out);
}
