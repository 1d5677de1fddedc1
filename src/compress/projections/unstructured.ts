import { CadnnError } from "../../errors.ts";
import { selectLargest } from "./select.ts";

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
