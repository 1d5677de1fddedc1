import { CadnnError } from "../errors.ts";
import type { Image8 } from "./image.ts";

/** Weights are whole multiples of 2^−22, so that a sum of products with bytes fits 32 bits. */
const precisionBits = 22;

/** For each output position: where its inputs begin, how many there are, and their weights, `stride` apart. */
interface Taps {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * Samples of a triangle filter, widened by the scale where it shrinks (so that no input is skipped), normalized and rounded half away
 * from zero. The same arithmetic as Pillow's `Image.resize(…, Image.BILINEAR)`, which TensorFlow and torchvision users train with.
 */
function triangleTaps(inputs: number, outputs: number): Taps {
  const scale = inputs / outputs;
  const support = Math.max(scale, 1);
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outputs);
  const counts = new Int32Array(outputs);
  const weights = new Int32Array(outputs * stride);
  const real = new Float64Array(stride);
  for (let o = 0; o < outputs; o++) {
    const center = (o + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(inputs, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const weight = Math.max(0, 1 - Math.abs((i + start - center + 0.5) * (1 / support)));
      real[i] = weight;
      sum += weight;
    }
    for (let i = 0; i < count; i++) weights[o * stride + i] = Math.trunc(0.5 + ((real[i] as number) / sum) * (1 << precisionBits));
    starts[o] = start;
    counts[o] = count;
  }
  return { starts, counts, weights, stride };
}

/** Resizes along one axis: element (a, o, b) of the result sums `taps` over (a, ·, b); `inner` elements lie between neighbours on the axis. */
function resample(data: Image8["data"], outer: number, inputs: number, outputs: number, inner: number): Uint8Array {
  const { starts, counts, weights, stride } = triangleTaps(inputs, outputs);
  const result = new Uint8Array(outer * outputs * inner);
  let at = 0;
  for (let a = 0; a < outer; a++)
    for (let o = 0; o < outputs; o++) {
      const base = (a * inputs + (starts[o] as number)) * inner;
      const count = counts[o] as number;
      const tap = o * stride;
      for (let b = 0; b < inner; b++) {
        let sum = 1 << (precisionBits - 1);
        for (let i = 0; i < count; i++) sum += (data[base + i * inner + b] as number) * (weights[tap + i] as number);
        result[at++] = Math.min(255, sum >> precisionBits);
      }
    }
  return result;
}

/**
 * Antialiased bilinear resize of the whole image, rows first, then columns, with 8-bit pixels in between: byte for byte what Pillow gives.
 * Throws `E_INVALID_IMAGE` for a size that is no positive integer.
 */
export function resizeBilinear(image: Image8, width: number, height: number): Image8 {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1)
    throw new CadnnError("E_INVALID_IMAGE", `cannot resize to ${width}×${height} pixels`, { hint: "Width and height must be positive whole numbers." });
  let { data } = image;
  if (width !== image.width) data = resample(data, image.height, image.width, width, image.channels);
  if (height !== image.height) data = resample(data, 1, image.height, height, width * image.channels);
  return { width, height, channels: image.channels, data };
}
