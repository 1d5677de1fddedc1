import type { Dataset } from "./dataset.ts";

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
  const { shift = 0, flip = false, fill = [0] } = augmentation;
  const [channels = 1, height = 1, width = 1] = dataset.inputShape;
  const plane = height * width;
  const before = new Float32Array(plane);
  return {
    ...dataset,
    augmentation,
    batch(indices, images, labels, random) {
      dataset.batch(indices, images, labels, random);
      if (random === undefined) return;
      for (let n = 0; n < indices.length; n++) {
        const dy = shift === 0 ? 0 : Math.floor(random.uniform() * (2 * shift + 1)) - shift;
        const dx = shift === 0 ? 0 : Math.floor(random.uniform() * (2 * shift + 1)) - shift;
        const mirror = flip && random.uniform() < 0.5;
        if (dx === 0 && dy === 0 && !mirror) continue;
        for (let c = 0; c < channels; c++) {
          const start = (n * channels + c) * plane;
          const outside = fill[c] ?? fill[0] ?? 0;
          before.set(images.subarray(start, start + plane));
          for (let y = 0; y < height; y++)
            for (let x = 0; x < width; x++) {
              const sy = y - dy;
              const sx = (mirror ? width - 1 - x : x) - dx;
              images[start + y * width + x] = sy >= 0 && sy < height && sx >= 0 && sx < width ? (before[sy * width + sx] as number) : outside;
            }
        }
      }
    },
  };
}
