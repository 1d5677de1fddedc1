import { type StreamShape, streamHeaderBytes } from "../../src/kernels/weight-stream.ts";
import { filterTransform, type TileSide, type WinogradTaps } from "../../src/kernels/winograd.ts";

/** [⌈m / filters⌉][depth][filters], the last block with the filters that are left, from row-major [m][depth]. */
export function packed(w: Float32Array, m: number, depth: number, filters: number): Float32Array {
  const out: number[] = [];
  for (let block = 0; block < m; block += filters) for (let k = 0; k < depth; k++) for (let f = block; f < Math.min(block + filters, m); f++) out.push(w[f * depth + k] as number);
  return Float32Array.from(out);
}

/** A weight stream; groups are filled up with the last offset and weight 0. */
export function stream(w: Float32Array, shape: StreamShape, offsetOf: (k: number) => number): Int32Array {
  if (!shape.alike) return pairStream(w, shape, offsetOf);
  const { m, channels, taps, group, filters, pass } = shape;
  const depth = channels * taps.length;
  const words: number[] = new Array<number>(streamHeaderBytes(shape) / 4).fill(0);
  const bits = new Int32Array(w.buffer, w.byteOffset, w.length);
  let head = 0;
  for (let first = 0; first < depth; first += pass * taps.length)
    for (let row = 0; row < m; row += filters) {
      words[head++] = words.length * 4;
      const entries: { offset: number; weights: number[] }[] = [];
      for (let k = first; k < Math.min(depth, first + pass * taps.length); k++)
        if (w[row * depth + k] !== 0) entries.push({ offset: 4 * offsetOf(k), weights: Array.from({ length: filters }, (_, f) => bits[(row + f) * depth + k] as number) });
      while (entries.length % group > 0) entries.push({ offset: entries.at(-1)?.offset as number, weights: new Array<number>(filters).fill(0) });
      for (let i = 0; i < entries.length; i += group) {
        const part = entries.slice(i, i + group);
        words.push(...part.map((x) => x.offset));
        for (let f = 0; f < filters; f++) words.push(...part.map((x) => x.weights[f] as number));
      }
    }
  words[head] = words.length * 4;
  for (let i = 0; i < group * (1 + filters); i++) words.push(0);
  return Int32Array.from(words);
}

/** A weight stream of rows of two filters that are not alike. */
function pairStream(w: Float32Array, shape: StreamShape, offsetOf: (k: number) => number): Int32Array {
  const { m, channels, taps, pass } = shape;
  const depth = channels * taps.length;
  const words: number[] = new Array<number>(streamHeaderBytes(shape) / 4).fill(0);
  const bits = new Int32Array(w.buffer, w.byteOffset, w.length);
  let head = 0;
  for (let first = 0; first < depth; first += pass * taps.length)
    for (let row = 0; row < m; row += 2) {
      const places = Array.from({ length: Math.min(depth, first + pass * taps.length) - first }, (_, i) => first + i);
      const has = (f: number, k: number) => w[(row + f) * depth + k] !== 0;
      const weight = (f: number, k: number) => bits[(row + f) * depth + k] as number;
      const counts = [0, 1].map((f) => Array.from({ length: depth }, (_, k) => k).filter((k) => has(f, k)).length) as [number, number];
      const swapped = counts[1] > counts[0];
      const order = swapped ? [1, 0] : [0, 1];
      const own = order.map((f) => places.filter((k) => has(f, k) && !has(1 - f, k)).map((k) => [4 * offsetOf(k), weight(f, k)] as const)) as [
        (readonly [number, number])[],
        (readonly [number, number])[],
      ];
      const groups = Math.ceil(own[1].length / 2);
      const lists = [
        places.filter((k) => has(0, k) && has(1, k)).map((k) => [4 * offsetOf(k), ...order.map((f) => weight(f, k))]),
        Array.from({ length: groups }, (_, g) => {
          const four = own.flatMap((list) => [list[2 * g] ?? [0, 0], list[2 * g + 1] ?? [0, 0]]);
          return [...four.map(([offset]) => offset), ...four.map(([, value]) => value)];
        }),
        own[0].slice(2 * groups),
      ];
      for (const list of lists) {
        words[head++] = words.length * 4;
        words.push(...list.flat());
      }
      words[head++] = Number(swapped);
    }
  words[head] = words.length * 4;
  return Int32Array.from(words);
}

/** The weight with every second filter zero where the one before is, and 1 where it would be zero though that one is not. */
export function paired(w: Float32Array, m: number): Float32Array {
  const depth = w.length / m;
  return w.map((value, i) => (Math.floor(i / depth) % 2 === 0 ? value : w[i - depth] === 0 ? 0 : value === 0 ? 1 : value));
}

/** Sets elements to zero: a share `zeros` of all, and every row whose number is in `emptyRows`. */
export function prune(w: Float32Array, depth: number, zeros: number, emptyRows: readonly number[]): Float32Array {
  return w.map((value, i) => (Math.abs(value) < zeros || emptyRows.includes(Math.floor(i / depth)) ? 0 : value));
}

/** U = G g Gᵀ of every filter of taps × taps: [group][point][packed]. */
export function winogradWeights(w: Float32Array, m: number, channels: number, group: number, filters: number, taps: WinogradTaps, side: TileSide): Float32Array {
  const transform = filterTransform(taps, side);
  const at = (f: number, c: number, i: number, j: number): number => {
    const [u, v] = [transform[i], transform[j]] as [readonly number[], readonly number[]];
    let sum = 0;
    for (let t = 0; t < taps ** 2; t++) sum += (u[Math.floor(t / taps)] as number) * (v[t % taps] as number) * (w[(f * channels + c) * taps ** 2 + t] as number);
    return sum;
  };
  const out: number[] = [];
  for (let first = 0; first < m; first += group) {
    const count = Math.min(group, m - first);
    for (let i = 0; i < side; i++)
      for (let j = 0; j < side; j++) {
        const rows = Float32Array.from({ length: count * channels }, (_, k) => at(first + Math.floor(k / channels), k % channels, i, j));
        for (const value of packed(rows, count, channels, filters)) out.push(value);
      }
  }
  return Float32Array.from(out);
}
