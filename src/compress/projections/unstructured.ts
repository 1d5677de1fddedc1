import { CadnnError } from "../../errors.ts";

/** Exactly the `k` greatest of the non-negative scores as a mask of 0 and 1; of equal ones those of lower index. Linear time. */
export function selectLargest(scores: Float32Array, k: number): Uint8Array {
  const mask = new Uint8Array(scores.length);
  if (!Number.isInteger(k) || k < 0 || k > scores.length) throw new CadnnError("E_INTERNAL", `cannot keep ${k} of ${scores.length} weights`);
  if (k === 0) return mask;
  // Bits of non-negative floats are in the order of the floats, so two 16-bit histograms find the k-th greatest.
  const bits = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
  const high = cutOf(bits, k, (b) => b >>> 16);
  const low = cutOf(bits, k - high.above, (b) => (b >>> 16 === high.digit ? b & 0xffff : -1));
  const cut = high.digit * 65536 + low.digit;
  let ties = k - high.above - low.above;
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i] as number;
    if (b > cut) mask[i] = 1;
    else if (b === cut && ties > 0) {
      mask[i] = 1;
      ties--;
    }
  }
  return mask;
}

/** The digit of the k-th greatest number among those whose digit is not −1, and how many have a greater digit. */
function cutOf(bits: Uint32Array, k: number, digitOf: (bits: number) => number): { digit: number; above: number } {
  const histogram = new Int32Array(65536);
  for (let i = 0; i < bits.length; i++) {
    const digit = digitOf(bits[i] as number);
    if (digit >= 0) histogram[digit] = (histogram[digit] as number) + 1;
  }
  let above = 0;
  let digit = 65535;
  while (digit > 0 && above + (histogram[digit] as number) < k) above += histogram[digit--] as number;
  return { digit, above };
}

/** The Euclidean projection onto the vectors with at most `k` non-zeros: keeps the k greatest |v|, ties by index. */
export function keepLargest(values: Float32Array, k: number): Float32Array {
  return applyMask(values, selectLargest(magnitudes(values), k));
}

export function magnitudes(values: Float32Array): Float32Array {
  return values.map(Math.abs);
}

/** values ⊙ mask. */
export function applyMask(values: Float32Array, mask: ArrayLike<number>): Float32Array {
  return values.map((v, i) => (mask[i] === 0 ? 0 : v));
}

/** What a global budget compares weights of different layers by. */
export type GlobalScore =
  /** |v| */
  | "magnitude"
  /** |v| / √(mean v²) of the layer. */
  | "rms"
  /** v² / Σ of the v² from the layer's greatest down to it (Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", arXiv 2010.07611). */
  | "lamp";

/** Scores of one layer's weights from the greatest |v| to the least; they fall with |v|, so a layer's best are its first. */
export function rankedScores(values: Float32Array, score: GlobalScore): Float32Array {
  const ranked = magnitudes(values).sort().reverse();
  if (score === "magnitude") return ranked;
  if (score === "rms") {
    const rms = Math.sqrt(ranked.reduce((sum, v) => sum + v * v, 0) / ranked.length) || 1;
    return ranked.map((v) => v / rms);
  }
  let sum = 0;
  return ranked.map((v) => {
    sum += v * v;
    return sum === 0 ? 0 : (v * v) / sum;
  });
}

/** How many weights of each layer belong to the `k` of greatest score among all; every layer keeps at least one. */
export function globalCounts(layers: readonly Float32Array[], k: number, score: GlobalScore): number[] {
  const total = layers.reduce((sum, v) => sum + v.length, 0);
  if (k < layers.length || k > total) throw new CadnnError("E_INTERNAL", `cannot keep ${k} of ${total} weights in ${layers.length} layers`);
  const all = new Float32Array(total);
  let offset = 0;
  for (const values of layers) {
    all.set(rankedScores(values, score), offset);
    all[offset] = Number.POSITIVE_INFINITY; // keeps the greatest weight of every layer
    offset += values.length;
  }
  const mask = selectLargest(all, k);
  offset = 0;
  return layers.map((values) => {
    const count = mask.subarray(offset, offset + values.length).reduce((sum, kept) => sum + kept, 0);
    offset += values.length;
    return count;
  });
}
