import type { BatchImages, ByteScale, Dataset, Variations } from "./dataset.ts";

export interface Augmentation {
  /** Moves each image by a uniform −shift … shift pixels in both directions, zeros (of the normalized image's `fill`) following. */
  readonly shift?: number;
  /** Mirrors every other image from left to right. */
  readonly flip?: boolean;
  /** What comes in from outside. Default 0; for images normalized by mean and std, black is −mean / std. One entry, or one a channel. */
  readonly fill?: readonly number[];
}

/** The same images, varied at random whenever a batch is read with a source of random numbers. */
export function augment(dataset: Dataset, augmentation: Augmentation): Dataset {
  const { shift = 0, flip = false } = augmentation;
  const side = 2 * shift + 1;
  const { bytes, ...others } = dataset;
  const outside = outsideOf(dataset, augmentation);
  const variations = variationsOf(dataset, augmentation);
  return {
    ...others,
    ...(outside.bytes === undefined ? {} : { bytes }),
    augmentation,
    variations,
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
      }
    },
  };
}

/** What comes in from outside: as elements, a channel each, and as bytes, where the data set has bytes and some become these elements. */
function outsideOf(
  { inputShape: [channels = 1], bytes }: Dataset,
  { fill = [0] }: Augmentation,
): { readonly elements: readonly number[]; readonly bytes: readonly number[] | undefined } {
  const elements = Array.from({ length: channels }, (_, c) => fill[c] ?? fill[0] ?? 0);
  return { elements, bytes: bytes && asBytes(elements, bytes) };
}

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
      const coming = (images instanceof Uint8Array ? outside.bytes : undefined) ?? outside.elements;
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
