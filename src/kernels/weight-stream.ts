/**
 * The form in which kernels walk the non-zeros of a weight [m][channel][tap]. `filters` filters make a row; where that is 2, both are non-zero at
 * the same places. First the byte offsets of all rows of pass 0, of pass 1, … (relative to the stream), and of its end; then the rows: groups of
 * `group` byte offsets into the input, followed by `group` weights of each filter, filled up with zero weights. A group of zeros ends the stream, for
 * kernels that load ahead.
 */
export interface StreamShape {
  readonly m: number;
  readonly channels: number;
  /** Offsets of a filter's taps, in elements. */
  readonly taps: readonly number[];
  readonly group: 1 | 2 | 4;
  readonly filters: 1 | 2;
  /** Channels that a pass covers. */
  readonly pass: number;
  /** Whether offsets count from the pass's first channel. */
  readonly relative: boolean;
}

export const streamRows = (s: StreamShape): number => s.m / s.filters;

export const streamPasses = (s: StreamShape): number => Math.ceil(s.channels / s.pass);

export const streamHeaderBytes = (s: StreamShape): number => Math.ceil(((streamPasses(s) * streamRows(s) + 1) * 4) / 16) * 16;

export const entryBytes = (s: Pick<StreamShape, "filters">): number => 4 * (1 + s.filters);

/** Bytes of the stream of the weight w. */
export function streamBytes(s: StreamShape, w: ArrayLike<number>): number {
  const rows = streamRows(s);
  const passes = streamPasses(s);
  const perPass = s.pass * s.taps.length;
  const depth = s.channels * s.taps.length;
  let entries = 0;
  for (let row = 0; row < rows; row++)
    for (let pass = 0; pass < passes; pass++) {
      const first = row * s.filters * depth + pass * perPass;
      const last = row * s.filters * depth + Math.min(depth, (pass + 1) * perPass);
      let count = 0;
      for (let i = first; i < last; i++) if (w[i] !== 0) count++;
      entries += Math.ceil(count / s.group) * s.group;
    }
  return streamHeaderBytes(s) + (entries + s.group) * entryBytes(s);
}

/** Whether filters 2i and 2i + 1 of the weight are non-zero at the same places. */
export function hasPairedFilters(w: ArrayLike<number>, m: number): boolean {
  const depth = w.length / m;
  if (m % 2 === 1 || w.length === 0) return false;
  for (let row = 0; row < m; row += 2) for (let k = row * depth; k < (row + 1) * depth; k++) if ((w[k] === 0) !== (w[k + depth] === 0)) return false;
  return true;
}
