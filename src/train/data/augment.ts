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

function randomMatrix({ rotate, scale, shear }: Warp, random: Random): Matrix {
  const upTo = (most: number) => (2 * random.uniform() - 1) * most;
  const angle = (upTo(rotate) * Math.PI) / 180;
  const [wide, high, slant] = [1 + upTo(scale), 1 + upTo(scale), upTo(shear)];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [cos / wide, (slant * cos - sin) / wide, sin / high, (cos + slant * sin) / high];
}

let scratch = new Float32Array(0);

/** Warps the plane that begins at `start`, by bilinear interpolation; what comes in is `outside`. Bytes are rounded. */
function resample(images: BatchImages, start: number, width: number, height: number, [xx, xy, yx, yy]: Matrix, outside: number): void {
  // One row and column of `outside` before the image, two behind it: coordinates are cut off there.
  const pitch = width + 3;
  if (scratch.length < pitch * (height + 3)) scratch = new Float32Array(pitch * (height + 3));
  scratch.fill(outside);
  for (let y = 0; y < height; y++) scratch.set(images.subarray(start + y * width, start + (y + 1) * width), (y + 1) * pitch + 1);
  const rounding = images instanceof Uint8Array ? 0.5 : 0;
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  for (let y = 0, to = start; y < height; y++) {
    let px = middleX + 1 + xy * (y - middleY) - xx * middleX;
    let py = middleY + 1 + yy * (y - middleY) - yx * middleX;
    for (let x = 0; x < width; x++, to++, px += xx, py += yx) {
      const cx = Math.min(Math.max(px, 0), width + 1);
      const cy = Math.min(Math.max(py, 0), height + 1);
      const left = cx | 0;
      const top = cy | 0;
      const fx = cx - left;
      const at = top * pitch + left;
      const a = scratch[at] as number;
      const b = scratch[at + pitch] as number;
      const upper = a + fx * ((scratch[at + 1] as number) - a);
      const lower = b + fx * ((scratch[at + pitch + 1] as number) - b);
      images[to] = upper + (cy - top) * (lower - upper) + rounding;
    }
  }
}
