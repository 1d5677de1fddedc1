import { e } from "../ir/expr.ts";
import type { ConstantValue, Node, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, int64Tensor, type Tensor } from "../ir/types.ts";
import { type AveragePoolAttrs, windowCounts } from "../ops/pool.ts";
import { resize } from "./rewrite-resize.ts";
import { transposedConv } from "./transposed-conv.ts";

/** Rewrites a node into simpler ones; gives what takes the place of its outputs. */
export type Rewrite = (b: RewriteBuilder, node: Node) => readonly Value[];

/** Adds nodes to the rewritten graph. */
export interface RewriteBuilder {
  /** A constant, named after the node. */
  constant(hint: string, tensor: Tensor): ConstantValue;
  /** A node's first output. */
  add(op: string, inputs: readonly (Value | undefined)[], attrs?: Node["attrs"]): Value;
  addMany(op: string, inputs: readonly (Value | undefined)[], attrs?: Node["attrs"]): readonly Value[];
}

/** How the node is to be rewritten; `undefined` if it stays. */
export function rewriteOf(node: Node): Rewrite | undefined {
  return rules.find(({ ops, when }) => ops.includes(node.op) && (when === undefined || when(node)))?.rewrite;
}

interface Rule {
  readonly ops: readonly string[];
  readonly when?: (node: Node) => boolean;
  readonly rewrite: Rewrite;
}

const input = (node: Node, i = 0): Value => node.inputs[i] as Value;
const output = (node: Node, i = 0): Value => node.outputs[i] as Value;
const isInteger = (node: Node): boolean => input(node).type.dtype !== "float32";
const [x0, x1] = [e.input(0), e.input(1)];

/** Bytes are exact in float32, and larger integers nobody resizes. */
const byWayOfFloats: Rewrite = (b, node) => {
  const [first, ...others] = b.addMany(node.op, [b.add("Cast", [input(node)], { to: "float32" })], node.attrs);
  return [b.add("Cast", [first], { to: output(node).type.dtype }), ...others];
};

/** One spatial dimension is two, the first of size 1. */
const liftToPlanes: Rewrite = (b, node) => {
  const up = (v: Value | undefined) =>
    v === undefined || v.type.shape.length !== 3 ? v : b.add("Reshape", [v], { shape: [v.type.shape[0] as number, v.type.shape[1] as number, 1, v.type.shape[2] as number] });
  const two = (name: string, fill: number) => {
    const a = node.attrs[name] as readonly number[] | undefined;
    return a === undefined ? {} : { [name]: name === "pads" ? [0, a[0] as number, 0, a[1] as number] : [fill, a[0] as number] };
  };
  const attrs = { ...node.attrs, ...two("strides", 1), ...two("dilations", 1), ...two("kernel", 1), ...two("pads", 0), ...two("outputPadding", 0) };
  return [b.add("Reshape", [b.add(node.op, node.inputs.map(up), attrs)], { shape: output(node).type.shape })];
};

/** Each gradient goes in equal parts to its window: the transpose of a depthwise convolution with ones. */
const averagePoolGrad: Rewrite = (b, node) => {
  const shape = node.attrs.inputShape as readonly number[];
  const kernel = node.attrs.kernel as readonly number[];
  const out = input(node).type.shape.slice(2);
  const counts = windowCounts(shape.slice(2), out, node.attrs as unknown as AveragePoolAttrs);
  const factors = b.constant(
    "factors",
    float32Tensor(
      [1, 1, ...out],
      Float32Array.from(counts, (c) => 1 / c),
    ),
  );
  const scaled = b.add("Map", [input(node), factors], { expr: e.mul(x0, x1) });
  const channels = shape[1] as number;
  const ones = b.constant("ones", float32Tensor([channels, 1, ...kernel], new Float32Array(channels * elementCount(kernel)).fill(1)));
  return [transposedConv(b, scaled, ones, undefined, { ...node.attrs, group: channels }, shape)];
};

/** The window over channels is average pooling over one tall plane. */
const localResponse: Rewrite = (b, node) => {
  const { alpha, beta, bias, size } = node.attrs as { alpha: number; beta: number; bias: number; size: number };
  const { shape } = input(node).type;
  const [n, c] = shape as [number, number];
  const squares = b.add("Map", [input(node)], { expr: e.mul(x0, x0) });
  const tall = b.add("Reshape", [squares], { shape: [n, 1, c, elementCount(shape.slice(2))] });
  const before = Math.floor((size - 1) / 2);
  const attrs = { kernel: [size, 1], strides: [1, 1], dilations: [1, 1], pads: [before, 0, size - 1 - before, 0], ceilMode: false, countIncludePad: true };
  const mean = b.add("Reshape", [b.add("AveragePool", [tall], attrs)], { shape });
  const base = e.add(bias, e.mul(x1, alpha));
  // x^-3/4 by two square roots is exact to the last bits and far cheaper than exp and log.
  const power = beta === 0.75 ? e.mul(e.sqrt(base), e.sqrt(e.sqrt(base))) : e.pow(base, beta);
  return [b.add("Map", [input(node), mean], { expr: e.div(x0, power) })];
};

const logSumExp: Rewrite = (b, node) => {
  const keep = { ...node.attrs, keepdims: true };
  const top = b.add("Map", [b.add("ReduceMax", [input(node)], keep)], { expr: e.select(e.eq(e.abs(x0), Number.POSITIVE_INFINITY), 0, x0) });
  const powers = b.add("Map", [input(node), top], { expr: e.exp(e.sub(x0, x1)) });
  const result = b.add("Map", [b.add("ReduceSum", [powers], keep), top], { expr: e.add(e.log(x0), x1) });
  return [b.add("Reshape", [result], { shape: output(node).type.shape })];
};

/** Reflecting, repeating and wrapping pads are gathers along each padded axis. */
const padByGather: Rewrite = (b, node) => {
  const pads = node.attrs.pads as readonly number[];
  const rank = pads.length / 2;
  let current = input(node);
  for (let axis = 0; axis < rank; axis++) {
    const [before, after] = [pads[axis] as number, pads[axis + rank] as number];
    if (before === 0 && after === 0) continue;
    const size = current.type.shape[axis] as number;
    const line = b.constant("line", int64Tensor([size], [...Array(size).keys()]));
    current = b.add("Gather", [current, b.add("Pad", [line], { ...node.attrs, pads: [before, after] })], { axis });
  }
  return [current];
};

/** Moves between channels and plane: a transpose of six dimensions. */
const depthToSpace: Rewrite = (b, node) => {
  const [n, c, h, w] = input(node).type.shape as [number, number, number, number];
  const s = node.attrs.blocksize as number;
  const dcr = node.attrs.mode === "DCR";
  const split = b.add("Reshape", [input(node)], { shape: dcr ? [n, s, s, c / s / s, h, w] : [n, c / s / s, s, s, h, w] });
  const swapped = b.add("Transpose", [split], { perm: dcr ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3] });
  return [b.add("Reshape", [swapped], { shape: output(node).type.shape })];
};

const spaceToDepth: Rewrite = (b, node) => {
  const [n, c, h, w] = input(node).type.shape as [number, number, number, number];
  const s = node.attrs.blocksize as number;
  const split = b.add("Reshape", [input(node)], { shape: [n, c, h / s, s, w / s, s] });
  const swapped = b.add("Transpose", [split], { perm: [0, 3, 5, 1, 2, 4] });
  return [b.add("Reshape", [swapped], { shape: output(node).type.shape })];
};

/** A 1×1 window with strides reads every so manyth pixel: those alone are kept, and the window slides by 1. */
const subsample: Rewrite = (b, node) => {
  const [x, ...rest] = node.inputs as [Value, ...(Value | undefined)[]];
  const strides = node.attrs.strides as readonly number[];
  const rank = x.type.shape.length - strides.length;
  const sizes = x.type.shape.map((size, i) => (i < rank ? size : Math.ceil(size / (strides[i - rank] as number))));
  const steps = x.type.shape.map((_, i) => (i < rank ? 1 : (strides[i - rank] as number)));
  const kept = b.add("Slice", [x], { starts: sizes.map(() => 0), sizes, steps });
  return [b.add(node.op, [kept, ...rest], { ...node.attrs, strides: strides.map(() => 1) })];
};

/** Whether a convolution of several channels skips pixels that no filter sees. */
function skipsPixels(node: Node): boolean {
  const { strides, pads } = node.attrs as { strides: readonly number[]; pads: readonly number[] };
  const kernel = input(node, 1).type.shape.slice(2);
  return strides.some((s) => s > 1) && kernel.every((k) => k === 1) && pads.every((p) => p === 0) && !isInteger(node);
}

const rules: readonly Rule[] = [
  { ops: ["MaxPool", "Resize", "ReduceL2"], when: isInteger, rewrite: byWayOfFloats },
  {
    ops: ["Conv", "FusedConv", "MaxPool", "AveragePool", "ConvTranspose"],
    when: (node) => input(node).type.shape.length === 3 && node.outputs.length === 1,
    rewrite: liftToPlanes,
  },
  { ops: ["Conv", "FusedConv"], when: skipsPixels, rewrite: subsample },
  { ops: ["ConvTranspose"], rewrite: (b, node) => [transposedConv(b, input(node), input(node, 1), node.inputs[2], node.attrs, output(node).type.shape)] },
  { ops: ["ConvGradInput"], rewrite: (b, node) => [transposedConv(b, input(node), input(node, 1), undefined, node.attrs, node.attrs.inputShape as readonly number[])] },
  { ops: ["AveragePoolGrad"], rewrite: averagePoolGrad },
  { ops: ["LRN"], rewrite: localResponse },
  { ops: ["Resize"], rewrite: resize },
  { ops: ["DepthToSpace"], rewrite: depthToSpace },
  { ops: ["SpaceToDepth"], rewrite: spaceToDepth },
  { ops: ["ReduceLogSumExp"], rewrite: logSumExp },
  { ops: ["Pad"], when: (node) => node.attrs.mode !== "constant", rewrite: padByGather },
];
