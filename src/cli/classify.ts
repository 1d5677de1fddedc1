import { CadnnError } from "../errors.ts";
import type { ResultTensor } from "../runtime/index.ts";

/** How many scores beat `label`: 0 if it comes first. Of equal scores the earlier wins; a NaN at the label beats nothing. */
export function rankOf(scores: ArrayLike<number>, label: number): number {
  const own = scores[label] as number;
  if (Number.isNaN(own)) return scores.length;
  let rank = 0;
  for (let i = 0; i < scores.length; i++) {
    const s = scores[i] as number;
    if (s > own || (s === own && i < label)) rank++;
  }
  return rank;
}

/** Indices of the k greatest scores, greatest first, from `first` on. */
export function topIndices(scores: ArrayLike<number>, k: number, first = 0): number[] {
  return Array.from({ length: scores.length - first }, (_, i) => i + first)
    .sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)
    .slice(0, k);
}

/** The scores themselves if they are a distribution already, else their softmax. */
export function probabilities(scores: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(scores);
  const sum = values.reduce((a, b) => a + b, 0);
  if (values.every((v) => v >= 0) && Math.abs(sum - 1) < 1e-2) return values;
  const max = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exps = values.map((v) => Math.exp(v - max));
  const total = exps.reduce((a, b) => a + b, 0);
  return exps.map((v) => v / total);
}

export function scoresOf(result: ResultTensor, name: string): Float32Array {
  if (result.data instanceof Float32Array) return result.data;
  throw new CadnnError("E_DTYPE_MISMATCH", `output ${name} is ${result.dtype}, scores are float32`, { at: name, hint: "Choose another output by --output." });
}

/**
 * Names of the classes, one a line. A file of one line more than there are classes has the background first, which is left out.
 * Throws `E_INVALID_DATASET` if the numbers do not agree.
 */
export function parseLabels(text: string, classes: number, file: string): string[] {
  const lines = text.split(/\r?\n/);
  while (lines.at(-1)?.trim() === "") lines.pop();
  if (lines.length === classes) return lines;
  if (lines.length === classes + 1) return lines.slice(1);
  throw new CadnnError("E_INVALID_DATASET", `${lines.length} labels for ${classes} classes`, {
    at: file,
    hint: "The file has one line a class; if the net has a background class, give --first-class 1.",
  });
}
