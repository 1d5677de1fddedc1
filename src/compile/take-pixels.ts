import { CadnnError } from "../errors.ts";
import { channelStatistics, imageGeometry, type Preprocessing, parsePreprocessing } from "../image/index.ts";
import type { Graph, InputValue, Value } from "../ir/graph.ts";
import { float32Tensor, tensorType } from "../ir/types.ts";
import type { GraphBuilder } from "../ops/builder.ts";
import { replaceInput } from "../ops/replace-input.ts";

/** An input that is fed with pixels in place of floats: unsigned bytes, row by row, channels interleaved, as `ImageData.data` of a canvas has them. */
export interface ImageInput {
  /** The input's name; may be left out where only one takes images. */
  readonly input?: string;
  /** How bytes become what the net was trained on, as `--preprocess` of the command line takes it; default `none`: 0…255 as they are. */
  readonly preprocess?: string | Preprocessing;
  /** Channels of the pixels: 4 (default) for RGBA, whose A is ignored, 3 for RGB. */
  readonly channels?: 3 | 4;
  /** Height and width of the pixels; if the net takes another size, it resizes them first (bilinear, antialiased where it shrinks). */
  readonly size?: readonly [height: number, width: number];
}

/**
 * The same net with input [N, height, width, channels] of uint8 in place of floats, under the same name: channels are picked, resized and normalized in the
 * net. A net of one channel gets the luma of ITU-R 601. Throws `E_INPUT_NAME`, `E_SHAPE_MISMATCH`, `E_INVALID_OPTION`.
 */
export function takePixels(graph: Graph, image: ImageInput): Graph {
  const input = imageInputOf(graph, image.input);
  return replaceInput(graph, input, (builder) => addPixels(builder, input, image));
}

function imageInputOf(graph: Graph, name: string | undefined): InputValue {
  const candidates = graph.inputs.filter((v) => (name === undefined ? v.type.shape.length === 4 || v.type.shape.length === 3 : v.name === name));
  const [input] = candidates;
  if (input === undefined || candidates.length > 1) {
    const names = graph.inputs.map((v) => v.name).join(", ");
    throw new CadnnError("E_INPUT_NAME", name === undefined ? `${candidates.length} inputs could take the image` : `the net has no input "${name}"`, {
      at: name ?? "image",
      hint: `Name one of its inputs: ${names}.`,
    });
  }
  if (input.type.dtype !== "float32")
    throw new CadnnError("E_DTYPE_MISMATCH", `input ${input.name} is ${input.type.dtype}, not float32`, { at: input.name, hint: "Feed it as it is." });
  return input;
}

/** The luma of ITU-R 601 of R, G, B. */
const luma = [19595 / 65536, 38470 / 65536, 7471 / 65536] as const;

/** Adds the pixels' input and what turns them into the value of the old one. */
function addPixels(builder: GraphBuilder, input: InputValue, { preprocess = "none", channels = 4, size }: ImageInput): Value {
  const { name } = input;
  const { shape } = input.type;
  const geometry = imageGeometry(shape, name);
  const { height, width } = geometry;
  const [h, w] = size ?? [height, width];
  if (!(Number.isInteger(h) && Number.isInteger(w) && h > 0 && w > 0) || (channels !== 3 && channels !== 4))
    throw new CadnnError("E_INVALID_OPTION", `pixels of ${h}×${w} with ${channels} channels are no image`, {
      at: "image",
      hint: "Give a height and width of at least 1, and 3 or 4 channels.",
    });
  const batch = shape.length === 4 ? (shape[0] as number) : 1;
  const preprocessing = typeof preprocess === "string" ? parsePreprocessing(preprocess) : preprocess;
  const { mean, std } = channelStatistics(preprocessing, geometry.channels);
  const gain = std.map((s) => 1 / s);
  const shift = mean.map((m, c) => -m / (std[c] as number));
  const pixels = builder.input(name, tensorType("uint8", [batch, h, w, channels]));
  const rgb = preprocessing.bgr && geometry.channels === 3 ? [2, 1, 0] : [0, 1, 2];
  let value: Value;
  if (geometry.channels === 3) value = builder.add("PixelsToPlanes", [pixels], { channels: rgb, gain, shift }, `${name}.planes`);
  else {
    const planes = builder.add("PixelsToPlanes", [pixels], { channels: rgb, gain: [1, 1, 1], shift: [0, 0, 0] }, `${name}.planes`);
    const weights = luma.map((l) => l * (gain[0] as number));
    const operands = [planes, builder.constant(`${name}.luma`, float32Tensor([1, 3, 1, 1], weights)), builder.constant(`${name}.shift`, float32Tensor([1], shift))];
    value = builder.add("Conv", operands, { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 }, `${name}.gray`);
  }
  if (h !== height || w !== width) {
    const sizes = [batch, geometry.channels, height, width];
    const coordinates = { mode: "linear", coordinateMode: "half_pixel", nearestMode: "floor", cubicCoeff: -0.75, excludeOutside: true, extrapolationValue: 0, roi: [] };
    value = builder.add("Resize", [value], { scales: [1, 1, height / h, width / w], sizes, antialias: true, ...coordinates }, `${name}.resized`);
  }
  if (geometry.layout === "NHWC") value = builder.add("Transpose", [value], { perm: [0, 2, 3, 1] }, `${name}.interleaved`);
  return shape.length === 4 ? value : builder.add("Reshape", [value], { shape }, `${name}.image`);
}
