import { CadnnError } from "../../errors.ts";

/** Exactly the `k` greatest of the non-negative scores as a mask of 0 and 1; of equal ones those of lower index. Linear time. */
export function selectLargest(scores: Float32Array | Float64Array, k: number): Uint8Array {
  const mask = new Uint8Array(scores.length);
  if (!Number.isInteger(k) || k < 0 || k > scores.length) throw new CadnnError("E_INTERNAL", `cannot keep ${k} of ${scores.length} weights`);
  if (k === 0) return mask;
  if (k === scores.length) return mask.fill(1);
  // Bits of non-negative floats are in the order of the floats: the k-th greatest is found by digits of 16 bits, the highest first.
  const digits = new Uint16Array(scores.buffer, scores.byteOffset, scores.byteLength / 2);
  const per = scores.BYTES_PER_ELEMENT / 2;
  const cut: number[] = [];
  let wanted = k;
  for (let place = per - 1; place >= 0; place--) {
    const { digit, above } = cutOf(digits, per, place, cut, wanted);
    cut.push(digit);
    wanted -= above;
  }
  for (let i = 0; i < scores.length; i++) {
    const order = compareDigits(digits, i * per + per - 1, cut);
    if (order > 0) mask[i] = 1;
    else if (order === 0 && wanted > 0) {
      mask[i] = 1;
      wanted--;
    }
  }
  return mask;
}

/** Among the numbers whose digits above `place` are those of `cut`: the digit of the k-th greatest, and how many have a greater one. */
function cutOf(digits: Uint16Array, per: number, place: number, cut: readonly number[], k: number): { digit: number; above: number } {
  const histogram = new Int32Array(65536);
  for (let start = 0; start < digits.length; start += per) {
    if (compareDigits(digits, start + per - 1, cut) !== 0) continue;
    const digit = digits[start + place] as number;
    histogram[digit] = (histogram[digit] as number) + 1;
  }
  let above = 0;
  let digit = 65535;
  while (digit > 0 && above + (histogram[digit] as number) < k) above += histogram[digit--] as number;
  return { digit, above };
}

/** Compares the digits from `highest` downwards with those of `cut`. */
function compareDigits(digits: Uint16Array, highest: number, cut: readonly number[]): number {
  for (let d = 0; d < cut.length; d++) {
    const difference = (digits[highest - d] as number) - (cut[d] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
