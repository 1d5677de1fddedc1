import { invariant } from "../errors.ts";
import type { FillProblem } from "../kernels/wasm/x32-fill.ts";
import { type Layout, phaseStride } from "./layout.ts";

/** Every `steps`-th element from `first` on in each dimension, and how far into the value's place the first one goes. */
export interface Part {
  readonly shape: readonly number[];
  readonly first: readonly number[];
  readonly steps: readonly number[];
  readonly offset: number;
}

export const whole = (shape: readonly number[]): Part => ({ shape, first: shape.map(() => 0), steps: shape.map(() => 1), offset: 0 });

/** The rectangle of data in each phase of padded planes [n, c, h, w]. */
export function phasesOf(shape: readonly number[], layout: Layout): Part[] {
  const { padding } = layout;
  invariant(padding !== undefined, "phases of planes without padding");
  const { top, left, sh, sw } = padding;
  const [n, c, h, w] = shape as [number, number, number, number];
  return Array.from({ length: sh * sw }, (_, phase) => {
    const [row, column] = [modulo(Math.floor(phase / sw) - top, sh), modulo((phase % sw) - left, sw)];
    return {
      shape: [n, c, Math.max(0, Math.ceil((h - row) / sh)), Math.max(0, Math.ceil((w - column) / sw))],
      first: [0, 0, row, column],
      steps: [1, 1, sh, sw],
      offset: phase * phaseStride(layout) + Math.floor((row + top) / sh) * (layout.strides[2] as number) + Math.floor((column + left) / sw) * layout.lanes,
    };
  });
}

const modulo = (a: number, n: number): number => ((a % n) + n) % n;

/** What lies around the data of a padded plane: before, between the rows, behind. */
export function paddingRuns(shape: readonly number[], layout: Layout): FillProblem["runs"] {
  const size = phaseStride(layout);
  const pitch = layout.strides[2] as number;
  const runs = phasesOf(shape, layout).flatMap(({ shape: part, offset }, phase) => {
    const [rows, columns] = part.slice(2) as [number, number];
    const start = phase * size;
    if (rows === 0 || columns === 0) return [{ start, count: 1, step: 0, length: size }];
    const width = columns * layout.lanes;
    const end = offset + (rows - 1) * pitch + width;
    return [
      { start, count: 1, step: 0, length: offset - start },
      { start: offset + width, count: rows - 1, step: pitch, length: pitch - width },
      { start: end, count: 1, step: 0, length: start + size - end },
    ];
  });
  return runs.filter(({ count, length }) => count > 0 && length > 0);
}
