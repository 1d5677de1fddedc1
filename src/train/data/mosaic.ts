import { CadnnError } from "../../errors.ts";
import { type Dataset, imageDataset, type Normalization } from "./dataset.ts";

/** A decoded picture: pixels row by row, `channels` bytes each. */
export interface Mosaic {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/**
 * One picture that holds all images as square tiles, row by row. Labels: one byte a tile; there may be fewer than tiles.
 * Pixels become 0 … 1 unless `scale` says otherwise.
 */
export function mosaicDataset(mosaic: Mosaic, labels: ArrayLike<number>, options: Normalization & { readonly tile: number; readonly classes: number }): Dataset {
  const { width, height, channels, data } = mosaic;
  const { tile, classes } = options;
  const across = Math.floor(width / tile);
  if (width % tile !== 0 || height % tile !== 0 || data.length !== width * height * channels)
    throw new CadnnError("E_INVALID_DATASET", `a picture of ${width} × ${height} × ${channels} does not hold tiles of ${tile}`, {
      at: "mosaic",
      hint: "Give the tile size the picture was made with.",
    });
  if (labels.length > across * (height / tile))
    throw new CadnnError("E_INVALID_DATASET", `${labels.length} labels for ${across * (height / tile)} tiles`, {
      at: "labels",
      hint: "Give the labels that belong to the picture.",
    });
  const plane = tile * tile;
  const images = new Uint8Array(labels.length * channels * plane);
  for (let i = 0; i < labels.length; i++) {
    const left = (i % across) * tile;
    const top = Math.floor(i / across) * tile;
    for (let y = 0; y < tile; y++)
      for (let x = 0; x < tile; x++)
        for (let c = 0; c < channels; c++) images[(i * channels + c) * plane + y * tile + x] = data[((top + y) * width + left + x) * channels + c] as number;
  }
  return imageDataset({ scale: 1 / 255, ...options, images, labels, inputShape: [channels, tile, tile], classes });
}
