/** Values that are whole multiples of one scale. */
export interface OnGrid {
  /** A float32. */
  readonly scale: number;
  /** value = fround(scale · multiple), exactly. */
  readonly multiples: ReadonlyMap<number, number>;
}

const mostMultiple = 255;
const buffer = new DataView(new ArrayBuffer(4));

/** The float32 that is `steps` after a positive one. */
function neighbour(value: number, steps: number): number {
  buffer.setFloat32(0, value);
  buffer.setInt32(0, buffer.getInt32(0) + steps);
  return buffer.getFloat32(0);
}

/**
 * The widest grid, if there is any, that all of some distinct finite float32 lie on exactly, as weights do that were rounded to equal intervals:
 * the least magnitude is taken for each multiple in turn, the others tell whether that can be, and the scale is looked for among the float32 nearby.
 */
export function gridOf(distinct: Iterable<number>): OnGrid | undefined {
  const values = [...distinct].sort((a, b) => Math.abs(a) - Math.abs(b));
  const nonZeros = values.filter((v) => v !== 0);
  const [least, greatest] = [Math.abs(nonZeros[0] ?? 0), Math.abs(nonZeros.at(-1) ?? 0)];
  if (nonZeros.length === 0) return { scale: 1, multiples: new Map(values.map((v) => [v, 0])) };
  if (least < 1e-30 || greatest > 1e30) return undefined;
  for (let first = 1; first <= mostMultiple && (greatest / least) * first <= mostMultiple + 0.5; first++) {
    const rough = least / first;
    // Each of two roundings moves a multiple by 2⁻²⁴ of itself.
    if (!nonZeros.every((v) => Math.abs(v / rough - Math.round(v / rough)) < 1e-4)) continue;
    const multiples = new Map(values.map((v) => [v, Math.round(v / rough) + 0]));
    const best = Math.fround(greatest / Math.abs(multiples.get(nonZeros.at(-1) as number) as number));
    for (const steps of [0, 1, -1, 2, -2]) {
      const scale = neighbour(best, steps);
      if (nonZeros.every((v) => Math.fround(scale * (multiples.get(v) as number)) === v)) return { scale, multiples };
    }
  }
  return undefined;
}
