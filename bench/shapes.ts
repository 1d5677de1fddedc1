import { type Activation, noActivation, relu } from "../src/ir/activation.ts";
import type { Graph, Node, Value } from "../src/ir/graph.ts";
import { float32Tensor, type Tensor } from "../src/ir/types.ts";
import { GraphBuilder } from "../src/ops/builder.ts";
import { createRandom } from "../src/zoo/random.ts";

/** One line of bench/shapes/*.txt: a convolution, pooling or fully connected layer as it is once everything is fused that can be. */
export interface LayerShape {
  /** Layers of the net that have this shape. */
  readonly count: number;
  readonly kind: "conv" | "max-pool" | "average-pool" | "fc";
  /** conv: [filters, channels / group, kernel height, kernel width]; pooling: [channels, kernel height, kernel width]; fc: [outputs, inputs]. */
  readonly kernel: readonly number[];
  readonly channels: number;
  readonly input: readonly [height: number, width: number];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly fused: readonly ("bias" | "residual" | "relu" | "relu6")[];
  /** Weights to measure it with; none for pooling. */
  readonly weights: readonly LayerWeights[];
  /** The first such layer. */
  readonly node: string;
}

/** A share of zeros, each for itself at random, or in blocks of as many filters (at the same input and tap). */
export interface LayerWeights {
  readonly sparsity: number;
  readonly blockRows: 1 | 2;
}

export const dense: LayerWeights = { sparsity: 0, blockRows: 1 };

/** `dense`, `0.89`, `0.89/2x1`. */
export const formatWeights = ({ sparsity, blockRows }: LayerWeights): string => (sparsity === 0 ? "dense" : `${sparsity}${blockRows === 1 ? "" : `/${blockRows}x1`}`);

function parseWeights(text: string): LayerWeights {
  const [sparsity, block] = text.split("/");
  return text === "dense" ? dense : { sparsity: Number(sparsity), blockRows: block === undefined ? 1 : 2 };
}

/** Height and width of the output. */
export function outputSize({ kind, kernel, input, strides, pads }: LayerShape): readonly [number, number] {
  if (kind === "fc") return [1, 1];
  const size = (i: 0 | 1) => Math.floor((input[i] + (pads[i] ?? 0) + (pads[i + 2] ?? 0) - (kernel.at(i - 2) ?? 1)) / (strides[i] ?? 1)) + 1;
  return [size(0), size(1)];
}

export const isDepthwise = ({ kind, kernel, channels }: LayerShape): boolean => kind === "conv" && kernel[1] === 1 && channels > 1;

/** Where pruning leaves an image large, blocks of two filters are worth while. */
const blockPixels = 196;

/** The weights that a net pruned so far gives the layer: first and depthwise convolutions stay dense. */
export function weightsOf(shape: LayerShape, sparsity: number): LayerWeights[] {
  if (shape.kind !== "conv" && shape.kind !== "fc") return [];
  if (isDepthwise(shape) || shape.channels <= 3) return [dense];
  const [h, w] = outputSize(shape);
  return [dense, { sparsity, blockRows: 1 }, ...(h * w >= blockPixels ? [{ sparsity, blockRows: 2 } as const] : [])];
}

export function formatShape(s: LayerShape): string {
  const times = (list: readonly number[]) => list.join("x");
  const fused = s.fused.length > 0 ? ` ${s.fused.join(" ")}` : "";
  const weights = s.weights.length > 0 ? ` weights ${s.weights.map(formatWeights).join(",")}` : "";
  return `${s.count} ${s.kind} ${times(s.kernel)} of ${s.channels} channels ${times(s.input)} stride ${times(s.strides)} pads ${s.pads.join(",")}${fused}${weights} # ${s.node}`;
}

const pattern =
  /^(?<count>\d+) (?<kind>conv|max-pool|average-pool|fc) (?<kernel>[\dx]+) of (?<channels>\d+) channels (?<input>[\dx]+) stride (?<strides>[\dx]+) pads (?<pads>[\d,]+)(?<fused>(?: (?:bias|residual|relu6?))*)(?: weights (?<weights>\S+))? # (?<node>.*)$/;

/** Throws on a line that `formatShape` would not have written. */
export function parseShape(line: string): LayerShape {
  const g = pattern.exec(line)?.groups;
  if (g === undefined) throw new Error(`not a layer's shape: ${line}`);
  const numbers = (text: string | undefined) => (text ?? "").split(/[x,]/).map(Number);
  const [height = 0, width = 0] = numbers(g.input);
  return {
    count: Number(g.count),
    kind: g.kind as LayerShape["kind"],
    kernel: numbers(g.kernel),
    channels: Number(g.channels),
    input: [height, width],
    strides: numbers(g.strides),
    pads: numbers(g.pads),
    fused: (g.fused ?? "").split(" ").filter((f) => f !== "") as LayerShape["fused"],
    weights: g.weights?.split(",").map(parseWeights) ?? [],
    node: g.node ?? "",
  };
}

function fusedActivation(activation: Activation | undefined): LayerShape["fused"] {
  if (activation?.kind !== "clamp" || activation.low !== 0) return [];
  return [activation.high === 6 ? "relu6" : "relu"];
}

/** The shape of a node that bench/kernels.ts measures, without weights. */
export function shapeOf(node: Node): LayerShape | undefined {
  const [x, w, bias, residual] = node.inputs;
  if (node.op === "FusedGemm" || node.op === "Gemm") return fcShape(node);
  if (x === undefined || x.type.shape.length !== 4) return undefined;
  const [, channels, height, width] = x.type.shape as [number, number, number, number];
  const common = { count: 1, channels, input: [height, width] as const, strides: node.attrs.strides as number[], pads: node.attrs.pads as number[], weights: [], node: node.name };
  if ((node.op === "Conv" || node.op === "FusedConv") && w !== undefined) {
    const parts = [...(bias === undefined ? [] : ["bias" as const]), ...(residual === undefined ? [] : ["residual" as const])];
    return { ...common, kind: "conv", kernel: w.type.shape, fused: [...parts, ...fusedActivation(node.attrs.activation as Activation | undefined)] };
  }
  if (node.op === "MaxPool" || node.op === "AveragePool")
    return { ...common, kind: node.op === "MaxPool" ? "max-pool" : "average-pool", kernel: [channels, ...(node.attrs.kernel as number[])], fused: [] };
  return undefined;
}

function fcShape(node: Node): LayerShape | undefined {
  const [x, w, bias] = node.inputs;
  if (x?.type.shape[0] !== 1 || w === undefined) return undefined;
  const [m = 0, k = 0] = node.attrs.transB === true ? w.type.shape : [...w.type.shape].reverse();
  const fused = [...(bias === undefined ? [] : ["bias" as const]), ...fusedActivation(node.attrs.activation as Activation | undefined)];
  return { count: 1, kind: "fc", kernel: [m, k], channels: k, input: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0], fused, weights: [], node: node.name };
}

/** The layers of an optimized net, equal ones counted, in the order in which they come. */
export function shapesOf(graph: Graph): LayerShape[] {
  const known = new Map<string, LayerShape>();
  for (const node of graph.nodes) {
    const shape = shapeOf(node);
    if (shape === undefined) continue;
    const key = JSON.stringify({ ...shape, node: "" });
    const before = known.get(key);
    known.set(key, before === undefined ? shape : { ...before, count: before.count + 1 });
  }
  return [...known.values()];
}

/** A graph of this one layer with random weights, pruned as asked for. */
export function layerGraph(s: LayerShape, weights: LayerWeights = dense): Graph {
  const builder = new GraphBuilder(s.node);
  const random = createRandom(1, s.node);
  const tensor = (...shape: number[]) =>
    float32Tensor(
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() * 0.1),
    );
  const w = (): Value => builder.constant("w", pruned(tensor(...s.kernel), weights));
  const bias = (): Value | undefined => (s.fused.includes("bias") ? builder.constant("b", tensor(s.kernel[0] as number)) : undefined);
  const activation: Activation = s.fused.includes("relu6") ? { kind: "clamp", low: 0, high: 6 } : s.fused.includes("relu") ? relu : noActivation;
  const x = builder.input("x", { dtype: "float32", shape: s.kind === "fc" ? [1, s.channels] : [1, s.channels, ...s.input] });
  const dilations = [1, 1];
  let y: Value;
  if (s.kind === "conv") {
    const [m = 0, perGroup = 1] = s.kernel;
    const attrs = { strides: s.strides, pads: s.pads, dilations, group: s.channels / perGroup };
    const residual = s.fused.includes("residual") ? builder.input("residual", { dtype: "float32", shape: [1, m, ...outputSize(s)] }) : undefined;
    y = builder.add("FusedConv", [x, w(), bias(), residual], { ...attrs, activation }, s.node);
  } else if (s.kind === "fc") {
    y = builder.add("FusedGemm", [x, w(), bias()], { alpha: 1, beta: 1, transA: false, transB: true, activation }, s.node);
  } else {
    const attrs = { kernel: s.kernel.slice(1), strides: s.strides, pads: s.pads, dilations, ceilMode: false };
    y = s.kind === "max-pool" ? builder.add("MaxPool", [x], attrs, s.node) : builder.add("AveragePool", [x], { ...attrs, countIncludePad: true }, s.node);
  }
  builder.output("y", y);
  return builder.finish();
}

/** Sets to zero a share of a weight's elements, or of its blocks of filters: those of the least sum of magnitudes. */
export function pruned(w: Tensor, { sparsity, blockRows }: LayerWeights): Tensor {
  if (sparsity === 0) return w;
  const m = w.shape[0] as number;
  const depth = w.data.length / m;
  const data = Float32Array.from(w.data as Float32Array);
  const members = (block: number) =>
    Array.from({ length: blockRows }, (_, r) => (Math.floor(block / depth) * blockRows + r) * depth + (block % depth)).filter((index) => index < data.length);
  const sums = Float32Array.from({ length: Math.ceil(m / blockRows) * depth }, (_, block) => members(block).reduce((sum, i) => sum + Math.abs(data[i] as number), 0));
  const bound = sums.slice().sort()[Math.floor(sparsity * sums.length)] ?? Number.POSITIVE_INFINITY;
  sums.forEach((sum, block) => {
    if (sum < bound) for (const i of members(block)) data[i] = 0;
  });
  return float32Tensor(w.shape, data);
}
