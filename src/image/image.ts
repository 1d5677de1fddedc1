import { CadnnError } from "../errors.ts";

/** Pixels of 8 bits a channel, row by row, channels interleaved; `data.length === width · height · channels`. 1 channel is luma, 3 are R, G, B. */
export interface Image8 {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Throws `E_INVALID_IMAGE` if the sizes are not positive or do not agree with the number of bytes. */
export function image8(width: number, height: number, channels: 1 | 3, data: Uint8Array | Uint8ClampedArray): Image8 {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1 || data.length !== width * height * channels)
    throw new CadnnError("E_INVALID_IMAGE", `${data.length} bytes are no image of ${width}×${height} pixels with ${channels} channels`, {
      hint: "Give one byte a channel, row by row, channels interleaved, without alpha.",
    });
  return { width, height, channels, data };
}

/** Drops the alpha channel of a canvas's pixels (`ImageData.data`, RGBA). */
export function fromRgba(width: number, height: number, rgba: Uint8Array | Uint8ClampedArray): Image8 {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; i < data.length; i += 3, j += 4) {
    data[i] = rgba[j] as number;
    data[i + 1] = rgba[j + 1] as number;
    data[i + 2] = rgba[j + 2] as number;
  }
  return image8(width, height, 3, data);
}

/** Luma by ITU-R 601 weights in 16-bit fixed point, rounded: (19595 R + 38470 G + 7471 B) / 65536. */
export function toLuma(image: Image8): Image8 {
  if (image.channels === 1) return image;
  const { data } = image;
  const luma = new Uint8Array(image.width * image.height);
  for (let i = 0, j = 0; i < luma.length; i++, j += 3) luma[i] = (19595 * (data[j] as number) + 38470 * (data[j + 1] as number) + 7471 * (data[j + 2] as number) + 0x8000) >> 16;
  return { ...image, channels: 1, data: luma };
}

/** Three equal channels in place of one. */
export function toRgb(image: Image8): Image8 {
  if (image.channels === 3) return image;
  const rgb = new Uint8Array(image.data.length * 3);
  for (let i = 0; i < image.data.length; i++) rgb.fill(image.data[i] as number, 3 * i, 3 * i + 3);
  return { ...image, channels: 3, data: rgb };
}

/** The pixels as a canvas has them, opaque. */
export function toRgba(image: Image8): Uint8Array {
  const { data } = toRgb(image);
  const rgba = new Uint8Array((data.length / 3) * 4).fill(255);
  for (let i = 0, j = 0; i < data.length; i += 3, j += 4) for (let c = 0; c < 3; c++) rgba[j + c] = data[i + c] as number;
  return rgba;
}

/** The part of `image` with its top left corner at (x, y). */
export function crop(image: Image8, x: number, y: number, width: number, height: number): Image8 {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * image.width + x) * channels;
    data.set(image.data.subarray(start, start + width * channels), row * width * channels);
  }
  return { width, height, channels, data };
}
