import type { Random } from "../../zoo/random.ts";
import type { BatchImages, ByteScale, Dataset, Variations } from "./dataset.ts";

export interface Augmentation {
  /** Moves each image by a uniform −shift … shift pixels in both directions, zeros (of the normalized image's `fill`) following. */
  readonly shift?: number;
  /** Mirrors every other image from left to right. */
  readonly flip?: boolean;
  /** Turns, stretches and slants some images, each by an amount of its own: as other cameras and other hands would have it. */
  readonly warp?: Warp;
  /** What comes in from outside. Default 0; for images normalized by mean and std, black is −mean / std. One entry, or one a channel. */
  readonly fill?: readonly number[];
}

/** How far images are warped about their middle; amounts are uniform from minus to plus the greatest. */
export interface Warp {
  /** Degrees of rotation. */
  readonly rotate: number;
  /** Width and height, each by itself: 0.1 for 90 to 110 %. */
  readonly scale: number;
  /** Columns that a row moves for each row of distance from the middle. */
  readonly shear: number;
  /** Of the images; the others stay straight. */
  readonly share: number;
}

/** What digits and photographs can bear. */
export const mildWarp: Warp = { rotate: 7, scale: 0.08, shear: 0.1, share: 0.7 };

/** The same images, varied at random whenever a batch is read with a source of random numbers. */
export function augment(dataset: Dataset, augmentation: Augmentation): Dataset {
  const { shift = 0, flip = false, warp } = augmentation;
  const [channels = 1, height = 1, width = 1] = dataset.inputShape;
  const side = 2 * shift + 1;
  const { bytes, variations: _, ...others } = dataset;
  const outside = outsideOf(dataset, augmentation);
  const variations = variationsOf(dataset, augmentation);
  return {
    ...others,
    ...(outside.bytes === undefined ? {} : { bytes }),
    augmentation,
    ...(warp === undefined ? { variations } : {}),
    async batch(indices, images, labels, random, chosen) {
      await dataset.batch(indices, images, labels, random);
      if (random === undefined) return;
      for (let n = 0; n < indices.length; n++) {
        const row = shift === 0 ? 0 : Math.floor(random.uniform() * side);
        const column = shift === 0 ? 0 : Math.floor(random.uniform() * side);
        const mirror = flip && random.uniform() < 0.5;
        const variation = (Number(mirror) * side + row) * side + column;
        variations.apply(images, n, variation);
        if (chosen !== undefined) chosen[n] = variation;
        if (warp === undefined || random.uniform() >= warp.share) continue;
        const coming = comingInto(images, outside);
        const matrix = randomMatrix(warp, random);
        for (let c = 0; c < channels; c++) resample(images, (n * channels + c) * height * width, width, height, matrix, coming[c] as number);
      }
    },
  };
}

/** What comes in from outside: as elements, a channel each, and as bytes, where the data set has bytes and some become these elements. */
interface Outside {
  readonly elements: readonly number[];
  readonly bytes: readonly number[] | undefined;
}

function outsideOf({ inputShape: [channels = 1], bytes }: Dataset, { fill = [0] }: Augmentation): Outside {
  const elements = Array.from({ length: channels }, (_, c) => fill[c] ?? fill[0] ?? 0);
  return { elements, bytes: bytes && asBytes(elements, bytes) };
}

const comingInto = (images: BatchImages, { elements, bytes }: Outside): readonly number[] => (images instanceof Uint8Array ? bytes : undefined) ?? elements;

function variationsOf(dataset: Dataset, augmentation: Augmentation): Variations {
  const { shift = 0, flip = false } = augmentation;
  const [channels = 1, height = 1, width = 1] = dataset.inputShape;
  const plane = height * width;
  const outside = outsideOf(dataset, augmentation);
  const side = 2 * shift + 1;
  return {
    count: side * side * (flip ? 2 : 1),
    apply(images, n, variation) {
      const mirror = variation >= side * side;
      const dy = (Math.floor(variation / side) % side) - shift;
      const dx = (variation % side) - shift;
      if (dx === 0 && dy === 0 && !mirror) return;
      const coming = comingInto(images, outside);
      for (let c = 0; c < channels; c++) {
        const start = (n * channels + c) * plane;
        if (mirror) mirrorRows(images, start, start + plane, width);
        move(images, start, width, height, mirror ? -dx : dx, dy, coming[c] as number);
      }
    },
  };
}

/** The bytes that become these elements, if all are bytes. */
function asBytes(elements: readonly number[], { gain, shift }: ByteScale): number[] | undefined {
  const exact = elements.map((v, c) => (v + (shift[c] as number)) / (gain[c] as number));
  const bytes = exact.map(Math.round);
  return bytes.every((b, c) => b >= 0 && b <= 255 && Math.abs(b - (exact[c] as number)) < 1e-3) ? bytes : undefined;
}

/** All images in the first way, then all in the second, … */
export function inEachWay(dataset: Dataset, { count: ways, apply }: Variations): Dataset {
  const { count } = dataset;
  return {
    ...dataset,
    count: ways * count,
    label: (index) => dataset.label(index % count),
    async batch(indices, images, labels, random, chosen) {
      await dataset.batch(
        Array.from(indices, (index) => index % count),
        images,
        labels,
        random,
        chosen,
      );
      for (let n = 0; n < indices.length; n++) apply(images, n, Math.floor((indices[n] as number) / count));
    },
  };
}

/** All images as they are and then, from `dataset.count` on, each mirrored from left to right: twice as many where there are few. */
export const mirrored = (dataset: Dataset): Dataset => inEachWay(dataset, variationsOf(dataset, { flip: true }));

/** Turns each row of `width` elements from `start` to `end` around. */
function mirrorRows(images: BatchImages, start: number, end: number, width: number): void {
  for (let row = start; row < end; row += width) images.subarray(row, row + width).reverse();
}

/** Moves the plane that begins at `start` by dx columns and dy rows; what comes in is `outside`. */
function move(images: BatchImages, start: number, width: number, height: number, dx: number, dy: number, outside: number): void {
  const end = start + width * height;
  const by = dy * width + dx;
  images.copyWithin(start + Math.max(0, by), start + Math.max(0, -by), end - Math.max(0, by));
  if (dy > 0) images.fill(outside, start, Math.min(end, start + dy * width));
  else if (dy < 0) images.fill(outside, Math.max(start, end + dy * width), end);
  const [first, last] = dx > 0 ? [0, Math.min(width, dx)] : [Math.max(0, width + dx), width];
  for (let x = first; x < last; x++) for (let at = start + x; at < end; at += width) images[at] = outside;
}

/** From where an output pixel is, relative to the middle, to where it comes from. */
type Matrix = readonly [xx: number, xy: number, yx: number, yy: number];

/** Uniform from −most to most. */
const upTo = (most: number, random: Random): number => (2 * random.uniform() - 1) * most;

function randomMatrix({ rotate, scale, shear }: Warp, random: Random): Matrix {
  const angle = (upTo(rotate, random) * Math.PI) / 180;
  const [wide, high, slant] = [1 + upTo(scale, random), 1 + upTo(scale, random), upTo(shear, random)];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [cos / wide, (slant * cos - sin) / wide, sin / high, (cos + slant * sin) / high];
}

/** The elements of a plane that are not `outside`: rows top … bottom and columns left … right. */
interface Box {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

function boxOf(images: BatchImages, start: number, width: number, height: number, outside: number): Box | undefined {
  const end = start + width * height;
  let [first, last] = [start, end - 1];
  while (first < end && images[first] === outside) first++;
  if (first === end) return undefined;
  while (images[last] === outside) last--;
  const [top, bottom] = [Math.floor((first - start) / width), Math.floor((last - start) / width)];
  let [left, right] = [0, width - 1];
  while (holdsOnly(images, start + top * width + left, end, width, outside)) left++;
  while (holdsOnly(images, start + top * width + right, end, width, outside)) right--;
  return { top, bottom, left, right };
}

/** Whether every `step`-th element from `start` to `end` has this value. */
function holdsOnly(images: BatchImages, start: number, end: number, step: number, value: number): boolean {
  for (let at = start; at < end; at += step) if (images[at] !== value) return false;
  return true;
}

let scratch = new Float64Array(0);

/**
 * Warps the plane that begins at `start`, by bilinear interpolation; what comes in is `outside`. Bytes are rounded. Only what comes from the box of elements that are not
 * `outside` is computed: of a digit, half.
 */
function resample(images: BatchImages, start: number, width: number, height: number, [xx, xy, yx, yy]: Matrix, outside: number): void {
  const box = boxOf(images, start, width, height, outside);
  if (box === undefined) return;
  // One row and column of `outside` before the box, two behind it. Coordinates begin there.
  const { top, bottom, left, right } = box;
  const [pitch, rows] = [right - left + 4, bottom - top + 4];
  if (scratch.length < pitch * rows) scratch = new Float64Array((width + 3) * (height + 3));
  const source = scratch;
  source.fill(outside, 0, pitch * rows);
  for (let y = top; y <= bottom; y++)
    for (let x = left, from = start + y * width + left, to = (y - top + 1) * pitch + 1; x <= right; x++, from++, to++) source[to] = images[from] as number;
  images.fill(outside, start, start + width * height);
  const bytes = images instanceof Uint8Array;
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  const [widest, highest] = [pitch - 2, rows - 2];
  for (let y = 0; y < height; y++) {
    const px = middleX + 1 - left + xy * (y - middleY) - xx * middleX;
    const py = middleY + 1 - top + yy * (y - middleY) - yx * middleX;
    const begin = Math.max(0, Math.ceil(Math.max(firstWithin(px, xx, widest), firstWithin(py, yx, highest))));
    const end = Math.min(width, Math.floor(Math.min(lastWithin(px, xx, widest), lastWithin(py, yx, highest))) + 1);
    for (let x = begin, to = start + y * width + begin; x < end; x++, to++) {
      const cx = px + xx * x;
      const cy = py + yx * x;
      const column = cx | 0;
      const line = cy | 0;
      const fx = cx - column;
      const at = line * pitch + column;
      const a = source[at] as number;
      const b = source[at + pitch] as number;
      const upper = a + fx * ((source[at + 1] as number) - a);
      const lower = b + fx * ((source[at + pitch + 1] as number) - b);
      const value = upper + (cy - line) * (lower - upper);
      // In two ways, each of which an engine knows to be of one type.
      if (bytes) images[to] = (value + 0.5) | 0;
      else images[to] = value;
    }
  }
}

/** The least x for which base + slope · x is from 0 to `most`. */
function firstWithin(base: number, slope: number, most: number): number {
  if (slope === 0) return base >= 0 && base <= most ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return ((slope > 0 ? 0 : most) - base) / slope;
}

/** The greatest x for which base + slope · x is from 0 to `most`. */
const lastWithin = (base: number, slope: number, most: number): number => -firstWithin(base, -slope, most);
