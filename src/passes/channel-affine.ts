import { gridOf, type OnGrid } from "../artifact/grid.ts";
import type { Attrs, ConstantValue, Encoding, Node, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, type Tensor } from "../ir/types.ts";
import type { Rewriter } from "./rewrite.ts";

/** y[m] → gain[m] · y[m] + shift[m], for each output channel m. */
export interface ChannelAffine {
  readonly gain: readonly number[];
  readonly shift: readonly number[];
  /** Name of the user's tensor that the shift comes from: what a new bias is called after. */
  readonly from: string;
}

/** Where the output channels lie in a weight: index = (o · channels + j) · inner + i is of channel base(o) + j. */
interface ChannelLayout {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
  base(outer: number): number;
}

/** The ops whose weight and bias can take an affine map of their output channels. */
export const affineOps: readonly string[] = ["Conv", "ConvTranspose", "Gemm"];

/** Number of output channels of one of `affineOps`. */
export function outputChannels(node: Node): number {
  return (node.outputs[0]?.type.shape[1] ?? 0) as number;
}

function channelLayout(node: Node, w: ConstantValue): ChannelLayout {
  const [d0 = 1, d1 = 1, ...kernel] = w.type.shape;
  if (node.op === "ConvTranspose") {
    const perGroup = d0 / (node.attrs.group as number); // input channels of a group
    return { outer: d0, channels: d1, inner: elementCount(kernel), base: (o) => Math.floor(o / perGroup) * d1 };
  }
  if (node.op === "Gemm" && node.attrs.transB !== true) return { outer: d0, channels: d1, inner: 1, base: () => 0 };
  return { outer: 1, channels: d0, inner: d1 * elementCount(kernel), base: () => 0 };
}

/**
 * Inputs and attributes of `node` with the affine map folded into its weight and bias: w' = w · gain, b' = b · gain + shift,
 * each rounded once. Zeros stay zeros of positive sign. `undefined` where the bias is not one number a channel.
 */
export function foldAffine(
  rewriter: Rewriter,
  node: Node,
  x: Value,
  w: ConstantValue,
  b: ConstantValue | undefined,
  affine: ChannelAffine,
): { inputs: (Value | undefined)[]; attrs: Attrs } | undefined {
  const { gain, shift } = affine;
  const channels = outputChannels(node);
  const bias = biasOf(node, b, channels);
  if (bias === undefined) return undefined;
  const layout = channelLayout(node, w);
  const attrs = node.op === "Gemm" ? { ...node.attrs, beta: 1 } : node.attrs;
  const unscaled = gain.every((g) => g === 1);
  const scaledWeight = unscaled ? w : rewriter.constant(w.name, scaleChannels(w, layout, gain), scaledEncoding(w.encoding, layout, gain));
  if (b === undefined && shift.every((s) => s === 0)) return { inputs: [x, scaledWeight], attrs };
  const newBias = Float32Array.from(bias, (v, m) => v * (gain[m] as number) + (shift[m] as number));
  return { inputs: [x, scaledWeight, rewriter.constant(b?.name ?? affine.from, float32Tensor([channels], newBias))], attrs };
}

/** Channels on a grid stay on one, which a `.cadnn` file stores in a few bits a weight: the scale takes the gain. */
function scaleChannels(w: ConstantValue, { outer, channels, inner, base }: ChannelLayout, gain: readonly number[]): Tensor {
  const from = w.data as Float32Array;
  const to = new Float32Array(from.length);
  for (let o = 0, at = 0; o < outer; o++)
    for (let j = 0; j < channels; j++, at += inner) {
      const g = gain[base(o) + j] as number;
      const values = from.subarray(at, at + inner);
      const grid = inner > 1 ? gridIn(values) : undefined;
      const scale = Math.fround((grid?.scale ?? 1) * g);
      for (let i = 0; i < inner; i++) {
        const v = values[i] as number;
        to[at + i] = (grid === undefined ? v * g : scale * (grid.multiples.get(v) as number)) + 0; // −0 + 0 is 0
      }
    }
  return float32Tensor(w.type.shape, to);
}

function gridIn(values: Float32Array): OnGrid | undefined {
  const distinct = new Set<number>();
  for (let i = 0; i < values.length && distinct.size <= mostLevels; i++) distinct.add(values[i] as number);
  return distinct.size <= mostLevels ? gridOf(distinct) : undefined;
}

const mostLevels = 256;

/** The bias as one number a channel, 0 where there is none. */
function biasOf(node: Node, b: ConstantValue | undefined, channels: number): number[] | undefined {
  if (b === undefined) return new Array<number>(channels).fill(0);
  const count = elementCount(b.type.shape);
  const data = Array.from(b.data as Float32Array);
  if (node.op !== "Gemm") return count === channels ? data : undefined;
  const beta = node.attrs.beta as number;
  if (count === 1) return new Array<number>(channels).fill(beta * (data[0] as number));
  return count === channels && b.type.shape.at(-1) === channels ? data.map((v) => beta * v) : undefined;
}

/** Levels of a quantized weight belong to its first dimension: they scale with it, else only the zeros are worth keeping. */
function scaledEncoding(encoding: Encoding | undefined, layout: ChannelLayout, gain: readonly number[]): Encoding | undefined {
  if (encoding?.kind !== "quantized") return encoding;
  const { levels, bits } = encoding;
  if (layout.outer !== 1 || (levels.length !== 1 && levels.length !== layout.channels)) return { kind: "sparse" };
  return { kind: "quantized", bits, levels: gain.map((g, m) => (levels[levels.length === 1 ? 0 : m] as Float32Array).map((level) => level * g + 0)) };
}
