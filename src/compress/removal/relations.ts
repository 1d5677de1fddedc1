import { evaluateExpr } from "../../ir/expr.ts";
import type { Attrs, ConstantValue, Node, Value } from "../../ir/graph.ts";
import { elementCount } from "../../ir/types.ts";
import { elementwiseExpr } from "../../ops/elementwise.ts";
import { matrixOf, type WeightMatrix } from "../layers.ts";

/** How a node's output channels (axis 1) come from channels of its inputs. Other nodes cannot be followed; they keep all channels they touch. */
export type Relation = Mix | Channelwise;

/** Every output reads every input: Conv, Gemm, MatMul. y[o] = bias[o] + scale · Σ w[o, i] x[i]. */
export interface Mix {
  readonly kind: "mix";
  readonly x: Value;
  readonly y: Value;
  readonly weight: ConstantValue;
  readonly matrix: WeightMatrix;
  /** Where the bias lies among the node's inputs. */
  readonly bias: ConstantValue | undefined;
  readonly scale: number;
  /** Taps beyond the border read 0, so that a constant channel gives no constant. */
  readonly isPadded: boolean;
}

/** Output channel c depends on one channel of each source. */
export interface Channelwise {
  readonly kind: "channelwise";
  readonly y: Value;
  /** Of each output channel the source's channel, −1 where there is none. */
  readonly sources: readonly { readonly value: Value; readonly channel: Int32Array }[];
  /** Values that every output channel reads whole. */
  readonly whole: readonly Value[];
  /** Output channel c where all that it reads is constant; NaN where it varies with the image or over the plane. */
  constant(c: number, inputs: readonly number[]): number;
  /** Constant operands by their input's index, and the axis along which they have an element for each channel. */
  readonly operands: ReadonlyMap<number, number>;
  attrs?(kept: readonly number[]): Attrs;
}

const identity = (count: number): Int32Array => Int32Array.from({ length: count }, (_, c) => c);
export const channelsOf = (value: Value): number => value.type.shape[1] as number;
/** Values whose axis 1 may hold channels. */
export const hasChannels = (value: Value | undefined): value is Value =>
  value !== undefined && (value.kind === "computed" || value.kind === "input") && value.type.shape.length >= 2 && value.type.dtype === "float32";

/** `undefined` for what cannot be followed. `isOwn` tells constants that no other node reads. */
export function relationOf(node: Node, isOwn: (constant: ConstantValue) => boolean): Relation | undefined {
  const y = node.outputs[0];
  if (node.outputs.length !== 1 || !hasChannels(y)) return undefined;
  switch (node.op) {
    case "Conv":
      return node.attrs.group === 1 ? mixOf(node, y, isOwn) : depthwiseOf(node, y, isOwn);
    case "Gemm":
    case "MatMul":
      return mixOf(node, y, isOwn);
    case "Concat":
      return concatOf(node, y);
    case "Reshape":
      return reshapeOf(node, y);
    case "Pad":
      return padOf(node, y);
    case "Slice":
      return sliceOf(node, y);
    case "BatchNormalization":
      return batchNormOf(node, y, isOwn);
    case "MaxPool":
    case "GlobalAveragePool":
      return planewise(node, y, (c) => c);
    case "AveragePool":
      return planewise(node, y, (c) => (c === 0 || node.attrs.countIncludePad !== true || isUnpadded(node) ? c : Number.NaN));
    case "ReduceMean":
    case "ReduceMax":
      return (node.attrs.axes as readonly number[]).every((axis) => axis >= 2) ? planewise(node, y, (c) => c) : undefined;
    default:
      return elementwiseOf(node, y, isOwn);
  }
}

const isConstant = (value: Value | undefined): value is ConstantValue => value?.kind === "constant";
const isUnpadded = ({ attrs }: Node): boolean => ((attrs.pads as readonly number[] | undefined) ?? []).every((p) => p === 0);
const isVector = (value: ConstantValue, count: number): boolean => value.data.length === count && value.type.shape.at(-1) === count;

function mixOf(node: Node, y: Value, isOwn: (constant: ConstantValue) => boolean): Mix | undefined {
  const [x, weight, bias] = node.inputs;
  const { alpha = 1, beta = 1, transA } = node.attrs as { alpha?: number; beta?: number; transA?: boolean };
  if (!hasChannels(x) || !isConstant(weight) || !isOwn(weight) || transA === true || beta !== 1) return undefined;
  if (node.op !== "Conv" && (x.type.shape.length !== 2 || weight.type.shape.length !== 2)) return undefined;
  if (bias !== undefined && !(isConstant(bias) && isOwn(bias) && isVector(bias, channelsOf(y)))) return undefined;
  return { kind: "mix", x, y, weight, matrix: matrixOf(node, weight), bias, scale: alpha, isPadded: !isUnpadded(node) };
}

function depthwiseOf(node: Node, y: Value, isOwn: (constant: ConstantValue) => boolean): Channelwise | undefined {
  const [x, weight, bias] = node.inputs;
  const count = channelsOf(y);
  if (!hasChannels(x) || node.attrs.group !== count || channelsOf(x) !== count || !isConstant(weight) || !isOwn(weight)) return undefined;
  if (bias !== undefined && !(isConstant(bias) && isOwn(bias))) return undefined;
  const taps = elementCount(weight.type.shape) / count;
  const w = weight.data as Float32Array;
  return {
    kind: "channelwise",
    y,
    sources: [{ value: x, channel: identity(count) }],
    whole: [],
    constant(c, [value = Number.NaN]) {
      const row = w.subarray(c * taps, (c + 1) * taps);
      const b = Number(bias?.data[c] ?? 0);
      if (row.every((v) => v === 0)) return b;
      return value === 0 || isUnpadded(node) ? b + value * row.reduce((sum, v) => sum + v, 0) : Number.NaN;
    },
    operands: new Map(
      bias === undefined
        ? [[1, 0]]
        : [
            [1, 0],
            [2, 0],
          ],
    ),
    attrs: (kept) => ({ ...node.attrs, group: kept.length }),
  };
}

/** Ops that work on each plane by itself. */
function planewise(node: Node, y: Value, constant: (input: number) => number, attrs?: (kept: readonly number[]) => Attrs): Channelwise | undefined {
  const [x] = node.inputs;
  if (!hasChannels(x) || channelsOf(x) !== channelsOf(y)) return undefined;
  const sources = [{ value: x, channel: identity(channelsOf(y)) }];
  return { kind: "channelwise", y, sources, whole: [], constant: (_, [value = Number.NaN]) => constant(value), operands: new Map(), ...(attrs === undefined ? {} : { attrs }) };
}

function concatOf(node: Node, y: Value): Channelwise | undefined {
  if (node.attrs.axis !== 1 || !node.inputs.every(hasChannels)) return undefined;
  let offset = 0;
  const sources = (node.inputs as readonly Value[]).map((value) => {
    const start = offset;
    offset += channelsOf(value);
    return { value, channel: Int32Array.from({ length: channelsOf(y) }, (_, c) => (c >= start && c < start + channelsOf(value) ? c - start : -1)) };
  });
  return { kind: "channelwise", y, sources, whole: [], constant: (c, inputs) => inputs[sources.findIndex((s) => s.channel[c] !== -1)] as number, operands: new Map() };
}

/** [N, C, P…] → [N, C · k, P / k…]: each channel becomes k neighbouring ones, as Flatten does. */
function reshapeOf(node: Node, y: Value): Channelwise | undefined {
  const [x] = node.inputs;
  const shape = y.type.shape;
  if (!hasChannels(x) || x.type.shape[0] !== shape[0]) return undefined;
  const [from, to] = [elementCount(x.type.shape.slice(2)), elementCount(shape.slice(2))];
  if (from % to !== 0) return undefined;
  const channel = Int32Array.from({ length: channelsOf(y) }, (_, c) => Math.floor((c * to) / from));
  const attrs = (kept: readonly number[]): Attrs => ({ ...node.attrs, shape: shape.with(1, kept.length) });
  return { kind: "channelwise", y, sources: [{ value: x, channel }], whole: [], constant: (_, [value = Number.NaN]) => value, operands: new Map(), attrs };
}

/** Padding may add channels, which are constant. */
function padOf(node: Node, y: Value): Channelwise | undefined {
  const [x] = node.inputs;
  const { pads, value, mode } = node.attrs as { pads: readonly number[]; value: number; mode: string };
  if (!hasChannels(x)) return undefined;
  const rank = x.type.shape.length;
  const [before, after] = [pads[1] as number, pads[rank + 1] as number];
  if (pads[0] !== 0 || pads[rank] !== 0 || before < 0 || after < 0 || (mode !== "constant" && before + after > 0)) return undefined;
  const isBordered = pads.some((p, d) => p !== 0 && d % rank >= 2);
  const channel = Int32Array.from({ length: channelsOf(y) }, (_, c) => (c >= before && c < before + channelsOf(x) ? c - before : -1));
  return {
    kind: "channelwise",
    y,
    sources: [{ value: x, channel }],
    whole: [],
    constant: (c, [inner = Number.NaN]) => (channel[c] === -1 ? value : isBordered && mode === "constant" && inner !== value ? Number.NaN : inner),
    operands: new Map(),
    attrs: (kept) => ({ ...node.attrs, pads: pads.with(1, kept.filter((c) => c < before).length).with(rank + 1, kept.filter((c) => c >= before + channelsOf(x)).length) }),
  };
}

function sliceOf(node: Node, y: Value): Channelwise | undefined {
  const { sizes, steps } = node.attrs as { sizes: readonly number[]; steps: readonly number[] };
  const shape = node.inputs[0]?.type.shape;
  if (sizes[0] !== shape?.[0] || sizes[1] !== shape?.[1] || steps[0] !== 1 || steps[1] !== 1) return undefined;
  return planewise(
    node,
    y,
    (c) => c,
    (kept) => ({ ...node.attrs, sizes: sizes.with(1, kept.length) }),
  );
}

function batchNormOf(node: Node, y: Value, isOwn: (constant: ConstantValue) => boolean): Channelwise | undefined {
  const [x, ...parameters] = node.inputs;
  if (!hasChannels(x) || !parameters.every((p) => isConstant(p) && isOwn(p))) return undefined;
  const [scale, bias, mean, variance] = parameters.map((p) => (p as ConstantValue).data as Float32Array) as [Float32Array, Float32Array, Float32Array, Float32Array];
  return {
    kind: "channelwise",
    y,
    sources: [{ value: x, channel: identity(channelsOf(y)) }],
    whole: [],
    constant(c, [value = Number.NaN]) {
      const gain = (scale[c] as number) / Math.sqrt((variance[c] as number) + (node.attrs.epsilon as number));
      return gain === 0 ? (bias[c] as number) : (value - (mean[c] as number)) * gain + (bias[c] as number);
    },
    operands: new Map([1, 2, 3, 4].map((index) => [index, 0])),
  };
}

function elementwiseOf(node: Node, y: Value, isOwn: (constant: ConstantValue) => boolean): Channelwise | undefined {
  const expr = elementwiseExpr(node.op, node.attrs);
  if (expr === undefined) return undefined;
  const [rank, count] = [y.type.shape.length, channelsOf(y)];
  const sources: { value: Value; channel: Int32Array }[] = [];
  const whole: Value[] = [];
  const operands = new Map<number, number>();
  /** Of each input the value in channel c, given those of the sources. */
  const readers: ((c: number, inputs: readonly number[]) => number)[] = [];
  for (const [index, value] of node.inputs.entries()) {
    if (value === undefined) return undefined;
    const { shape } = value.type;
    const axis = 1 - (rank - shape.length);
    const isPerChannel = axis >= 0 && shape[axis] === count && count > 1;
    if (isConstant(value)) {
      if (isPerChannel && !isOwn(value)) return undefined;
      if (isPerChannel) operands.set(index, axis);
      const { data } = value;
      readers.push(isPerChannel ? (c) => (data.length === count ? Number(data[c]) : Number.NaN) : () => (data.length === 1 ? Number(data[0]) : Number.NaN));
    } else if (hasChannels(value) && axis === 1 && shape[1] === count) {
      const source = sources.push({ value, channel: identity(count) }) - 1;
      readers.push((_, inputs) => inputs[source] as number);
    } else if (hasChannels(value)) {
      whole.push(value);
      readers.push(() => Number.NaN);
    } else return undefined;
  }
  const constant = (c: number, inputs: readonly number[]): number => {
    const args = readers.map((read) => read(c, inputs));
    if (node.op === "Mul" && args.includes(0)) return 0;
    return args.some(Number.isNaN) ? Number.NaN : evaluateExpr(expr, args);
  };
  return sources.length === 0 ? undefined : { kind: "channelwise", y, sources, whole, constant, operands };
}
