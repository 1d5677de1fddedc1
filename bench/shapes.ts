import { type Activation, noActivation, relu } from "../src/ir/activation.ts";
import { type Graph, isConstant, type Node, type Value } from "../src/ir/graph.ts";
import { float32Tensor } from "../src/ir/types.ts";
import { GraphBuilder } from "../src/ops/builder.ts";
import { createRandom } from "../src/zoo/random.ts";

/** One line of bench/shapes/*.txt: a convolution or pooling as it is once everything is fused that can be. */
export interface LayerShape {
  /** Layers of the net that have this shape. */
  readonly count: number;
  readonly kind: "conv" | "max-pool" | "average-pool";
  /** conv: [filters, channels / group, kernel height, kernel width]; pooling: [channels, kernel height, kernel width]. */
  readonly kernel: readonly number[];
  readonly channels: number;
  readonly input: readonly [height: number, width: number];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly fused: readonly ("bias" | "residual" | "relu" | "relu6")[];
  /** The first such layer. */
  readonly node: string;
}

export function formatShape(s: LayerShape): string {
  const times = (list: readonly number[]) => list.join("x");
  const fused = s.fused.length > 0 ? ` ${s.fused.join(" ")}` : "";
  return `${s.count} ${s.kind} ${times(s.kernel)} of ${s.channels} channels ${times(s.input)} stride ${times(s.strides)} pads ${s.pads.join(",")}${fused} # ${s.node}`;
}

const pattern =
  /^(?<count>\d+) (?<kind>conv|max-pool|average-pool) (?<kernel>[\dx]+) of (?<channels>\d+) channels (?<input>[\dx]+) stride (?<strides>[\dx]+) pads (?<pads>[\d,]+)(?<fused>[ a-z\d]*) # (?<node>.*)$/;

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
    node: g.node ?? "",
  };
}

function fusedActivation(activation: Activation | undefined): LayerShape["fused"] {
  if (activation?.kind !== "clamp" || activation.low !== 0) return [];
  return [activation.high === 6 ? "relu6" : "relu"];
}

/** The shape of a node that one of the three kernels may compute. */
export function shapeOf(node: Node): LayerShape | undefined {
  const [x, w, bias, residual] = node.inputs;
  if (x === undefined || x.type.shape.length !== 4) return undefined;
  const [, channels, height, width] = x.type.shape as [number, number, number, number];
  const common = { count: 1, channels, input: [height, width] as const, strides: node.attrs.strides as number[], pads: node.attrs.pads as number[], node: node.name };
  if ((node.op === "Conv" || node.op === "FusedConv") && w !== undefined) {
    const parts = [...(bias === undefined ? [] : ["bias" as const]), ...(residual === undefined ? [] : ["residual" as const])];
    return { ...common, kind: "conv", kernel: w.type.shape, fused: [...parts, ...fusedActivation(node.attrs.activation as Activation | undefined)] };
  }
  if (node.op === "MaxPool" || node.op === "AveragePool")
    return { ...common, kind: node.op === "MaxPool" ? "max-pool" : "average-pool", kernel: [channels, ...(node.attrs.kernel as number[])], fused: [] };
  return undefined;
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

/** A graph of this one layer with random weights. */
export function layerGraph(s: LayerShape): Graph {
  const builder = new GraphBuilder(s.node);
  const random = createRandom(1, s.node);
  const tensor = (...shape: number[]) =>
    float32Tensor(
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() * 0.1),
    );
  const x = builder.input("x", { dtype: "float32", shape: [1, s.channels, ...s.input] });
  const dilations = [1, 1];
  let y: Value;
  if (s.kind === "conv") {
    const [m = 0, perGroup = 1] = s.kernel;
    const attrs = { strides: s.strides, pads: s.pads, dilations, group: s.channels / perGroup };
    const bias = s.fused.includes("bias") ? builder.constant("b", tensor(m)) : undefined;
    const w = builder.constant("w", tensor(...s.kernel));
    const out = s.input.map((size, i) => Math.floor((size + (s.pads[i] ?? 0) + (s.pads[i + 2] ?? 0) - (s.kernel[i + 2] ?? 1)) / (s.strides[i] ?? 1)) + 1);
    const residual = s.fused.includes("residual") ? builder.input("residual", { dtype: "float32", shape: [1, m, ...out] }) : undefined;
    const activation: Activation = s.fused.includes("relu6") ? { kind: "clamp", low: 0, high: 6 } : s.fused.includes("relu") ? relu : noActivation;
    y = builder.add("FusedConv", [x, w, bias, residual], { ...attrs, activation }, s.node);
  } else {
    const attrs = { kernel: s.kernel.slice(1), strides: s.strides, pads: s.pads, dilations, ceilMode: false };
    y = s.kind === "max-pool" ? builder.add("MaxPool", [x], attrs, s.node) : builder.add("AveragePool", [x], { ...attrs, countIncludePad: true }, s.node);
  }
  builder.output("y", y);
  return builder.finish();
}

/** A weight with a share of its elements, the smallest ones, set to zero. */
export function pruneSmallest(w: Value, sparsity: number): Float32Array {
  if (!isConstant(w)) throw new Error("only constants can be pruned");
  const data = Float32Array.from(w.data as Float32Array);
  const bound = data.map(Math.abs).sort()[Math.floor(sparsity * data.length)] ?? Number.POSITIVE_INFINITY;
  return data.map((v) => (Math.abs(v) < bound ? 0 : v));
}
