/**
 * The form in which kernels walk the non-zeros of a weight [m][channel][tap]. `filters` filters make a row. First the byte offsets of all rows of
 * pass 0, of pass 1, … (relative to the stream), and of its end; then the rows: groups of `group` byte offsets into the input, followed by `group`
 * weights of each filter, filled up with zero weights. A group of zeros ends the stream, for kernels that load ahead.
 *
 * Where the two filters of a row are not `alike`, the row has three lists, and a head of four words: the byte offset of each list, and 1 if the second
 * filter, which has more non-zeros, comes first. The lists: {offset, both weights} where both are non-zero; of the other places two of the first and two
 * of the second filter, {4 offsets, 4 weights}, filled up with offsets and weights of 0; {offset, weight} of what the first filter has more.
 */
export interface StreamShape {
  readonly m: number;
  readonly channels: number;
  /** Offsets of a filter's taps, in elements. */
  readonly taps: readonly number[];
  readonly group: 1 | 2 | 4;
  readonly filters: 1 | 2;
  /** Whether the filters of a row are non-zero at the same places. */
  readonly alike: boolean;
  /** Channels that a pass covers. */
  readonly pass: number;
  /** Whether offsets count from the pass's first channel. */
  readonly relative: boolean;
}

export const streamRows = (s: StreamShape): number => s.m / s.filters;

export const streamPasses = (s: StreamShape): number => Math.ceil(s.channels / s.pass);

/** Words of a row in the header. */
export const headWords = (s: Pick<StreamShape, "alike">): number => (s.alike ? 1 : 4);

export const streamHeaderBytes = (s: StreamShape): number => Math.ceil(((streamPasses(s) * streamRows(s) * headWords(s) + 1) * 4) / 16) * 16;

export const entryBytes = (s: Pick<StreamShape, "filters">): number => 4 * (1 + s.filters);

/** Bytes of two places of each of two filters, and of a place that one of them has more. */
export const ownGroupBytes = 32;
export const ownBytes = 8;

const listed = new WeakMap<ArrayLike<number>, Uint32Array>();

/** Indices of the non-zeros, listed once for each weight, whatever the number of its streams. */
function nonZerosOf(w: ArrayLike<number>): Uint32Array {
  const known = listed.get(w);
  if (known !== undefined) return known;
  const indices = new Uint32Array(w.length);
  let count = 0;
  for (let i = 0; i < w.length; i++) {
    indices[count] = i;
    if (w[i] !== 0) count++;
  }
  const list = indices.slice(0, count);
  listed.set(w, list);
  return list;
}

/** Bytes of the stream of the weight w. */
export function streamBytes(s: StreamShape, w: ArrayLike<number>): number {
  if (!s.alike) return pairsBytes(s, w);
  const perPass = s.pass * s.taps.length;
  const depth = s.channels * s.taps.length;
  const indices = nonZerosOf(w);
  let entries = 0;
  for (let at = 0; at < indices.length; ) {
    // The non-zeros of one filter in one pass; the second filter of a row has them where the first one has.
    const index = indices[at] as number;
    const filter = Math.floor(index / depth);
    const pass = Math.floor((index - filter * depth) / perPass);
    const end = filter * depth + Math.min(depth, (pass + 1) * perPass);
    const first = at;
    while (at < indices.length && (indices[at] as number) < end) at++;
    if (filter % s.filters === 0) entries += Math.ceil((at - first) / s.group) * s.group;
  }
  return streamHeaderBytes(s) + (entries + s.group) * entryBytes(s);
}

function pairsBytes(s: StreamShape, w: ArrayLike<number>): number {
  const perPass = s.pass * s.taps.length;
  const depth = s.channels * s.taps.length;
  const indices = nonZerosOf(w);
  let bytes = streamHeaderBytes(s);
  /** Index of the next non-zero, and of the one where a filter begins. */
  let next = 0;
  const indexAt = (at: number): number => indices[at] ?? Number.POSITIVE_INFINITY;
  const filterEnd = (filter: number): number => {
    while (indexAt(next) < (filter + 1) * depth) next++;
    return next;
  };
  for (let filter = 0; filter < s.m; filter += 2) {
    const starts = [next, filterEnd(filter)] as const;
    const swapped = filterEnd(filter + 1) - starts[1] > starts[1] - starts[0] ? 1 : 0;
    let [a, b] = [starts[swapped], starts[1 - swapped] as number];
    const elementOf = (at: number, f: number): number => indexAt(at) - (filter + f) * depth;
    for (let limit = perPass; limit - perPass < depth; limit += perPass) {
      const [own, end] = [[0, 0] as [number, number], Math.min(limit, depth)];
      for (;;) {
        const [i, j] = [elementOf(a, swapped), elementOf(b, 1 - swapped)];
        if (Math.min(i, j) >= end) break;
        if (i === j) bytes += entryBytes({ filters: 2 });
        else own[i < j ? 0 : 1]++;
        if (i <= j) a++;
        if (j <= i) b++;
      }
      const groups = Math.ceil(own[1] / 2);
      bytes += groups * ownGroupBytes + Math.max(0, own[0] - 2 * groups) * ownBytes;
    }
  }
  return bytes;
}

/** In which word of the stream each non-zero's weight lies; `indices` are those of the non-zeros, ascending, and every filter is a row of its own. */
export function streamPlaces(s: StreamShape, indices: Int32Array): Int32Array {
  const depth = s.channels * s.taps.length;
  const rows = streamRows(s);
  const partOf = (index: number): number => Math.floor((index % depth) / (s.pass * s.taps.length)) * rows + Math.floor(index / depth);
  const counts = new Int32Array(streamPasses(s) * rows);
  const ranks = indices.map((index) => {
    const part = partOf(index);
    counts[part] = (counts[part] as number) + 1;
    return (counts[part] as number) - 1;
  });
  let next = streamHeaderBytes(s) / 4;
  const starts = counts.map((count) => {
    const start = next;
    next += 2 * s.group * Math.ceil(count / s.group);
    return start;
  });
  return indices.map((index, i) => {
    const rank = ranks[i] as number;
    return (starts[partOf(index)] as number) + 2 * s.group * Math.floor(rank / s.group) + s.group + (rank % s.group);
  });
}

/** Whether filters 2i and 2i + 1 of the weight are non-zero at the same places. */
export function hasPairedFilters(w: ArrayLike<number>, m: number): boolean {
  const depth = w.length / m;
  if (m % 2 === 1 || w.length === 0) return false;
  for (let row = 0; row < m; row += 2) for (let k = row * depth; k < (row + 1) * depth; k++) if ((w[k] === 0) !== (w[k + depth] === 0)) return false;
  return true;
}
