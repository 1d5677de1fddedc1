import { CadnnError } from "../errors.ts";
import { type Image8, toLuma, toRgb } from "./image.ts";
import { resizeBilinear } from "./resize.ts";

/** How bytes become the numbers that a net was trained on: (byte − mean) / std, a value for each of the net's channels, in their order. */
export interface Preprocessing {
  /** On the 0…255 scale. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** The net's channels are B, G, R. */
  readonly bgr: boolean;
}

const triple = (value: number): [number, number, number] => [value, value, value];
const timesByte = ([a, b, c]: readonly [number, number, number]): [number, number, number] => [255 * a, 255 * b, 255 * c];

/** `tf`: −1…1. `torch`: ImageNet's mean and standard deviation. `caffe`: B, G, R minus their means. `none`: 0…255 as they are. */
export const preprocessings: Readonly<Record<"tf" | "torch" | "caffe" | "none", Preprocessing>> = {
  tf: { mean: triple(127.5), std: triple(127.5), bgr: false },
  torch: { mean: timesByte([0.485, 0.456, 0.406]), std: timesByte([0.229, 0.224, 0.225]), bgr: false },
  caffe: { mean: [103.939, 116.779, 123.68], std: triple(1), bgr: true },
  none: { mean: triple(0), std: triple(1), bgr: false },
};

/**
 * Reads `tf`, `torch`, `caffe`, `none`, or `mean=a[,b,c],std=a[,b,c]` on the 0…1 scale; each may be followed by `,bgr` (means and standard
 * deviations are then in the order B, G, R). Throws `E_INVALID_OPTION`.
 *
 * @example parsePreprocessing("mean=0.485,0.456,0.406,std=0.229,0.224,0.225")
 */
export function parsePreprocessing(text: string): Preprocessing {
  const swapped = /^(.*),bgr$/.exec(text.trim());
  const body = swapped === null ? text.trim() : (swapped[1] as string);
  if (Object.hasOwn(preprocessings, body)) {
    const known = preprocessings[body as keyof typeof preprocessings];
    return swapped === null ? known : { mean: known.bgr ? known.mean : reversed(known.mean), std: known.bgr ? known.std : reversed(known.std), bgr: true };
  }
  const parts = /^(?:mean=([^=]*?))?(?:(?:^|,)std=([^=]*))?$/.exec(body);
  if (parts === null || (parts[1] === undefined && parts[2] === undefined)) throw invalid(text, "it is none of the forms known");
  const std = parts[2] === undefined ? triple(1) : numbers(text, parts[2]);
  if (std.some((s) => s === 0)) throw invalid(text, "a standard deviation is 0");
  return { mean: timesByte(parts[1] === undefined ? triple(0) : numbers(text, parts[1])), std: timesByte(std), bgr: swapped !== null };
}

const reversed = ([a, b, c]: readonly [number, number, number]): [number, number, number] => [c, b, a];

function numbers(text: string, list: string): [number, number, number] {
  const values = list.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (values.some((v) => !Number.isFinite(v))) throw invalid(text, `"${list}" is no list of numbers`);
  if (values.length === 1) return triple(values[0] as number);
  if (values.length !== 3) throw invalid(text, `${values.length} numbers where 1 or 3 are expected`);
  return values as [number, number, number];
}

function invalid(text: string, why: string): CadnnError {
  return new CadnnError("E_INVALID_OPTION", `cannot read the preprocessing "${text}": ${why}`, {
    at: "preprocess",
    hint: "Use tf, torch, caffe, none, or for instance mean=0.485,0.456,0.406,std=0.229,0.224,0.225 (on the 0…1 scale), each optionally with ,bgr.",
  });
}

/** What a net takes: an image of this size, channels first or last. */
export interface ImageGeometry {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  readonly layout: "NCHW" | "NHWC";
}

/** Reads the geometry from an input's shape [N, C, H, W], [N, H, W, C] or [C, H, W]; throws `E_SHAPE_MISMATCH` if no dimension can be channels. */
export function imageGeometry(shape: readonly number[], inputName: string): ImageGeometry {
  const [a = 0, b = 0, c = 0] = shape.length === 4 ? shape.slice(1) : shape.length === 3 ? shape : [];
  if (a === 1 || a === 3) return { channels: a, height: b, width: c, layout: "NCHW" };
  if (c === 1 || c === 3) return { channels: c, height: a, width: b, layout: "NHWC" };
  throw new CadnnError("E_SHAPE_MISMATCH", `input ${inputName} of shape [${shape.join(", ")}] takes no image`, {
    at: inputName,
    hint: "Images go to inputs of shape [N, 3, height, width] or [N, 1, height, width]; give other inputs as .npy files.",
  });
}

/** Resizes the whole image to the net's input and brings it into the net's channels, which take turns or follow each other as its layout says. */
export function netPixels(image: Image8, geometry: ImageGeometry, bgr: boolean): Uint8Array {
  const { channels, height, width, layout } = geometry;
  const { data } = resizeBilinear(channels === 1 ? toLuma(image) : toRgb(image), width, height);
  const pixels = width * height;
  const result = new Uint8Array(channels * pixels);
  for (let c = 0; c < channels; c++) {
    const from = bgr && channels === 3 ? 2 - c : c;
    const [start, step] = layout === "NCHW" ? [c * pixels, 1] : [c, channels];
    for (let i = 0; i < pixels; i++) result[start + i * step] = data[i * channels + from] as number;
  }
  return result;
}

/** Mean and standard deviation of each of the net's channels on the 0…255 scale; a net of one channel gets the means of the three. */
export function channelStatistics({ mean, std }: Preprocessing, channels: 1 | 3): { readonly mean: readonly number[]; readonly std: readonly number[] } {
  return channels === 3 ? { mean, std } : { mean: [average(mean)], std: [average(std)] };
}

/** Resizes the whole image to the net's input, converts it to the net's channels and normalizes it. Gives channels · height · width numbers. */
export function preprocess(image: Image8, geometry: ImageGeometry, preprocessing: Preprocessing): Float32Array {
  const { channels, height, width, layout } = geometry;
  const pixels = netPixels(image, geometry, preprocessing.bgr);
  const { mean, std } = channelStatistics(preprocessing, channels);
  const result = new Float32Array(pixels.length);
  for (let c = 0; c < channels; c++) {
    const normalized = Float32Array.from({ length: 256 }, (_, byte) => (byte - (mean[c] as number)) / (std[c] as number));
    const [start, end, step] = layout === "NCHW" ? [c * width * height, (c + 1) * width * height, 1] : [c, pixels.length, channels];
    for (let i = start; i < end; i += step) result[i] = normalized[pixels[i] as number] as number;
  }
  return result;
}

const average = ([a, b, c]: readonly [number, number, number]): number => (a + b + c) / 3;
