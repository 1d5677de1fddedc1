import { elementCount } from "../ir/types.ts";

/**
 * Where each element of a value lies, in elements of 4 bytes from the start of its buffer. Where a stride-s window reads a plane, the plane
 * is kept as its s·s phases, each a plane of every s-th row and column, so that all kernels see stride 1.
 */
export interface Layout {
  /** Elements at one position: 1, or the batch where it is innermost. */
  readonly lanes: number;
  /** Of each logical dimension; those of the last two hold within a phase. */
  readonly strides: readonly number[];
  /** Offset of element (0, …, 0); with phases, of the phases' first element. */
  readonly base: number;
  /** Elements of the whole buffer. */
  readonly size: number;
  /** Present on padded planes. */
  readonly padding?: Padding;
}

export interface Padding {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
  /** Vertical and horizontal stride that the planes are split for; 1 if they are not. */
  readonly sh: number;
  readonly sw: number;
  readonly value: number;
}

export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/**
 * Elements from one plane to the next: whole vectors, and for larger planes an odd number of cache lines, so that the same pixel of many planes falls
 * into different sets of the first-level cache.
 */
function planeStride(elements: number): number {
  if (elements < 256) return roundUp(elements, 4);
  const lines = Math.ceil(elements / 16);
  return 16 * (lines % 2 === 0 ? lines + 1 : lines);
}

/** Row-major, nothing between elements: what users see. */
export function linear(shape: readonly number[]): Layout {
  const strides = new Array<number>(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= shape[i] as number;
  }
  return { lanes: 1, strides, base: 0, size: n };
}

/** Planes of an image without gaps between rows; whole vectors cover it. */
export function compactPlanes(shape: readonly number[]): Layout {
  if (shape.length !== 4) return linear(shape);
  const [n, c, h, w] = shape as [number, number, number, number];
  const plane = h * w === 1 ? 1 : planeStride(h * w);
  return { lanes: 1, strides: [c * plane, plane, w, 1], base: 0, size: n * c * plane };
}

/**
 * A row of all channels behind the other, for values between 1×1 convolutions that near caches do not hold: what a tile reads and writes of all channels lies together, in few pages,
 * which caches fetch ahead, instead of a few lines in each plane.
 */
export function interleavedRows(shape: readonly number[]): Layout {
  const [n, c, h, w] = shape as [number, number, number, number];
  const row = planeStride(c * w);
  return { lanes: 1, strides: [h * row, w, row, 1], base: 0, size: n * h * row };
}

/** The batch (dimension 0) innermost, the rest row-major. */
export function batchInnermost(shape: readonly number[]): Layout {
  const lanes = shape[0] as number;
  const rest = linear(shape.slice(1));
  return { lanes, strides: [1, ...rest.strides.map((s) => s * lanes)], base: 0, size: elementCount(shape) };
}

/** Planes with padding around them. A row's right padding may be the next row's left one. */
export function paddedPlanes(shape: readonly number[], padding: Padding, lanes: number): Layout {
  const [n, c, h, w] = shape as [number, number, number, number];
  const { top, left, bottom, right, sh, sw } = padding;
  const rows = Math.ceil((top + h + bottom) / sh);
  const pitch = sw === 1 ? w + Math.max(left, right) : Math.ceil((left + w + right) / sw);
  const phase = planeStride((rows * pitch + (sw === 1 ? Math.min(left, right) : 0) + (lanes === 1 ? 4 : 1)) * lanes);
  const plane = phase * sh * sw;
  const planes = lanes === 1 ? n * c : c;
  const split = sh * sw > 1;
  return {
    lanes,
    strides: [lanes === 1 ? c * plane : 1, plane, pitch * lanes, lanes],
    base: split ? 0 : (top * pitch + left) * lanes,
    size: planes * plane + 4 * lanes,
    padding,
  };
}

export const isSplit = (layout: Layout): boolean => layout.padding !== undefined && layout.padding.sh * layout.padding.sw > 1;

/** Elements of one phase plane of a padded layout. */
export const phaseStride = (layout: Layout): number => (layout.strides[1] as number) / (layout.padding === undefined ? 1 : layout.padding.sh * layout.padding.sw);

/** Offset from a plane's start of tap (y, x), counted from the padded corner. */
export function tapOffset(layout: Layout, y: number, x: number): number {
  const sh = layout.padding?.sh ?? 1;
  const sw = layout.padding?.sw ?? 1;
  const phase = (y % sh) * sw + (x % sw);
  return phase * phaseStride(layout) + Math.floor(y / sh) * (layout.strides[2] as number) + Math.floor(x / sw) * layout.lanes;
}

export function sameLayout(a: Layout, b: Layout): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Whether both put every element at the same place, padding aside. */
export function samePlaces(a: Layout, b: Layout, shape: readonly number[]): boolean {
  if (isSplit(a) || isSplit(b)) return sameLayout(a, b);
  return a.base === b.base && shape.every((d, i) => d === 1 || a.strides[i] === b.strides[i]);
}

/** The same places, whatever lies around them. */
export const withoutPadding = ({ lanes, strides, base, size }: Layout): Layout => ({ lanes, strides, base, size });
