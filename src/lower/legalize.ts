import { CadnnError } from "../errors.ts";
import { e } from "../ir/expr.ts";
import { type Graph, isConstant, type Node, tensorOf, type Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, int64Tensor } from "../ir/types.ts";
import { GraphBuilder } from "../ops/builder.ts";
import { evaluateNode } from "../ops/interpret.ts";
import { windowCounts } from "./pool.ts";
import { reachedPads, windowOf } from "./window-layout.ts";

/** Rewrites a node into simpler ones; the result takes the place of the node's only output. */
type Rewrite = (b: Builder, node: Node, inputs: readonly (Value | undefined)[]) => Value;

/** Adds nodes and computes at once what depends on constants alone. */
interface Builder {
  readonly graph: GraphBuilder;
  add(op: string, inputs: readonly (Value | undefined)[], attrs?: Node["attrs"]): Value;
}

/** Rewrites the ops that no kernel computes directly into ones that are. */
export function legalize(graph: Graph): Graph {
  if (!graph.nodes.some((node) => rewriteOf(node) !== undefined)) return graph;
  const builder = new GraphBuilder(graph.name);
  for (const input of graph.inputs) builder.addInput(input);
  const renamed = new Map<Value, Value>();
  const now = <V extends Value | undefined>(v: V): V => (v === undefined ? v : ((renamed.get(v) ?? v) as V));
  for (const node of graph.nodes) for (const out of node.outputs) builder.uniqueName(out.name);
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(now);
    const rewrite = rewriteOf(node);
    if (rewrite === undefined) builder.addNode({ ...node, inputs });
    else renamed.set(node.outputs[0] as Value, rewrite(folding(builder, node.name), node, inputs));
  }
  for (const output of graph.outputs) builder.output(output.name, now(output.value));
  for (const update of graph.updates) builder.update(update.parameter, now(update.value));
  return builder.finish();
}

function folding(graph: GraphBuilder, name: string): Builder {
  return {
    graph,
    add(op, inputs, attrs = {}) {
      if (inputs.every((v) => v === undefined || isConstant(v))) {
        const scratch = new GraphBuilder();
        const out = scratch.add(op, inputs, attrs, name);
        const tensor = evaluateNode(
          scratch.nodes[0] as Node,
          inputs.map((v) => (v === undefined ? undefined : tensorOf(v as Value & { kind: "constant" }))),
        )[0];
        if (tensor !== undefined) return graph.constant(`${(inputs[0] as Value).name}.${out.name}`, tensor);
      }
      return graph.add(op, inputs, attrs, graph.uniqueName(`${name}.${op.toLowerCase()}`));
    },
  };
}

function rewriteOf(node: Node): Rewrite | undefined {
  const rank = node.inputs[0]?.type.shape.length ?? 0;
  if (rank === 3 && ["Conv", "FusedConv", "MaxPool", "AveragePool", "ConvTranspose"].includes(node.op)) return liftToPlanes;
  return Object.hasOwn(rewrites, node.op) ? rewrites[node.op] : undefined;
}

/** One spatial dimension is two, the first of size 1. */
const liftToPlanes: Rewrite = (b, node, inputs) => {
  const up = (v: Value | undefined) =>
    v === undefined || v.type.shape.length !== 3 ? v : b.add("Reshape", [v], { shape: [v.type.shape[0] as number, v.type.shape[1] as number, 1, v.type.shape[2] as number] });
  const two = (name: string, fill: number) => {
    const a = node.attrs[name] as readonly number[] | undefined;
    return a === undefined ? {} : { [name]: name === "pads" ? [0, a[0] as number, 0, a[1] as number] : [fill, a[0] as number] };
  };
  const attrs = { ...node.attrs, ...two("strides", 1), ...two("dilations", 1), ...two("kernel", 1), ...two("pads", 0), ...two("outputPadding", 0) };
  const lifted = b.add(node.op === "ConvTranspose" ? "ConvTranspose" : node.op, inputs.map(up), attrs);
  return b.add("Reshape", [lifted], { shape: (node.outputs[0] as Value).type.shape });
};

/** The transpose of a convolution: dilate by the stride, then convolve with the flipped filters, channels exchanged. */
function transposedConv(b: Builder, y: Value, w: Value, bias: Value | undefined, attrs: Node["attrs"], shape: readonly number[]): Value {
  const group = attrs.group as number;
  const [m, perGroup, kh, kw] = w.type.shape as [number, number, number, number];
  const window = windowOf(attrs, [kh, kw]);
  const [n, , h, width] = y.type.shape as [number, number, number, number];
  const [sh, sw] = window.strides;
  const size = [(h - 1) * sh + 1, (width - 1) * sw + 1] as const;
  const dilated = sh * sw === 1 ? y : b.add("Dilate", [y], { starts: [0, 0, 0, 0], steps: [1, 1, sh, sw], shape: [n, m, ...size] });
  const perm = group === 1 ? b.add("Transpose", [w], { perm: [1, 0, 2, 3] }) : exchangeGroups(b, w, group);
  const filters = group === 1 ? [perGroup, m, kh, kw] : [perGroup * group, m / group, kh, kw];
  const flipped = kh * kw === 1 ? perm : b.add("Slice", [perm], { starts: [0, 0, kh - 1, kw - 1], sizes: filters, steps: [1, 1, -1, -1] });
  const begin = [0, 1].map((i) => window.dilations[i as 0 | 1] * ((i === 0 ? kh : kw) - 1) - window.pads[i as 0 | 1]) as [number, number];
  const end = [0, 1].map((i) => (shape[i + 2] as number) + window.dilations[i as 0 | 1] * ((i === 0 ? kh : kw) - 1) - (size[i] as number) - (begin[i] as number)) as [
    number,
    number,
  ];
  const crop = [...begin, ...end].some((p) => p < 0);
  const [top, left, bottom, right] = [...begin, ...end].map((p) => Math.min(0, p)) as [number, number, number, number];
  const source = crop ? b.add("Pad", [dilated], { pads: [0, 0, top, left, 0, 0, bottom, right], value: 0, mode: "constant" }) : dilated;
  return b.add("Conv", [source, flipped, bias], { strides: [1, 1], pads: [...begin, ...end].map((p) => Math.max(0, p)), dilations: [...window.dilations], group });
}

function exchangeGroups(b: Builder, w: Value, group: number): Value {
  const [m, perGroup, kh, kw] = w.type.shape as [number, number, number, number];
  const split = b.add("Reshape", [w], { shape: [group, m / group, perGroup, kh, kw] });
  const swapped = b.add("Transpose", [split], { perm: [0, 2, 1, 3, 4] });
  return b.add("Reshape", [swapped], { shape: [perGroup * group, m / group, kh, kw] });
}

const rewrites: Readonly<Record<string, Rewrite>> = {
  ConvTranspose: (b, node, [x, w, bias]) => transposedConv(b, x as Value, w as Value, bias, node.attrs, (node.outputs[0] as Value).type.shape),
  ConvGradInput: (b, node, [dy, w]) => transposedConv(b, dy as Value, w as Value, undefined, node.attrs, node.attrs.inputShape as readonly number[]),
  /** Each gradient goes in equal parts to its window: the transpose of a depthwise convolution with ones. */
  AveragePoolGrad: (b, node, [dy]) => {
    const shape = node.attrs.inputShape as readonly number[];
    const out = (dy as Value).type.shape;
    const kernel = node.attrs.kernel as readonly number[];
    const counts = windowCounts(node, reachedPads(windowOf(node.attrs, kernel), shape, out), shape, out);
    const factors = b.graph.constant(
      `${node.name}.factors`,
      float32Tensor(
        [1, 1, ...out.slice(2)],
        counts.map((c) => 1 / c),
      ),
    );
    const scaled = b.add("Map", [dy, factors], { expr: e.mul(e.input(0), e.input(1)) });
    const channels = shape[1] as number;
    const ones = b.graph.constant(`${node.name}.ones`, float32Tensor([channels, 1, ...kernel], new Float32Array(channels * elementCount(kernel)).fill(1)));
    return transposedConv(b, scaled, ones, undefined, { ...node.attrs, group: channels }, shape);
  },
  /** The window over channels is average pooling over one tall plane. */
  LRN: (b, node, [x]) => {
    const { alpha, beta, bias, size } = node.attrs as { alpha: number; beta: number; bias: number; size: number };
    const { shape } = (x as Value).type;
    const [n, c] = shape as [number, number];
    const plane = elementCount(shape.slice(2));
    const squares = b.add("Map", [x], { expr: e.mul(e.input(0), e.input(0)) });
    const tall = b.add("Reshape", [squares], { shape: [n, 1, c, plane] });
    const before = Math.floor((size - 1) / 2);
    const attrs = { kernel: [size, 1], strides: [1, 1], dilations: [1, 1], pads: [before, 0, size - 1 - before, 0], ceilMode: false, countIncludePad: true };
    const mean = b.add("Reshape", [b.add("AveragePool", [tall], attrs)], { shape });
    const base = e.add(bias, e.mul(e.input(1), alpha));
    // x^-3/4 by two square roots is exact to the last bits and far cheaper than exp and log.
    const power = beta === 0.75 ? e.mul(e.sqrt(base), e.sqrt(e.sqrt(base))) : e.pow(base, beta);
    return b.add("Map", [x, mean], { expr: e.div(e.input(0), power) });
  },
  /** Along each resized axis it is linear: multiplied with the matrix whose columns are the op's answers to unit vectors. */
  Resize: (b, node, [x]) => {
    const sizes = node.attrs.sizes as readonly number[];
    const scales = node.attrs.scales as readonly number[];
    let current = x as Value;
    const changed = sizes.map((_, i) => i).filter((i) => sizes[i] !== (x as Value).type.shape[i] || scales[i] !== 1);
    if (node.attrs.extrapolationValue !== 0 && node.attrs.coordinateMode === "tf_crop_and_resize")
      throw new CadnnError("E_UNSUPPORTED_OP", "Resize with tf_crop_and_resize and an extrapolation value cannot be compiled", { at: node.name });
    for (const axis of changed) current = resizeAxis(b, node, current, axis, sizes[axis] as number);
    return current;
  },
  DepthToSpace: (b, node, [x]) => {
    const [n, c, h, w] = (x as Value).type.shape as [number, number, number, number];
    const s = node.attrs.blocksize as number;
    const dcr = node.attrs.mode === "DCR";
    const split = b.add("Reshape", [x], { shape: dcr ? [n, s, s, c / s / s, h, w] : [n, c / s / s, s, s, h, w] });
    const swapped = b.add("Transpose", [split], { perm: dcr ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3] });
    return b.add("Reshape", [swapped], { shape: [n, c / s / s, h * s, w * s] });
  },
  SpaceToDepth: (b, node, [x]) => {
    const [n, c, h, w] = (x as Value).type.shape as [number, number, number, number];
    const s = node.attrs.blocksize as number;
    const split = b.add("Reshape", [x], { shape: [n, c, h / s, s, w / s, s] });
    const swapped = b.add("Transpose", [split], { perm: [0, 3, 5, 1, 2, 4] });
    return b.add("Reshape", [swapped], { shape: [n, c * s * s, h / s, w / s] });
  },
  ReduceLogSumExp: (b, node, [x]) => {
    const keep = { ...node.attrs, keepdims: true };
    const top = b.add("ReduceMax", [x], keep);
    const powers = b.add("Map", [x, top], { expr: e.exp(e.sub(e.input(0), e.input(1))) });
    const total = b.add("ReduceSum", [powers], keep);
    const result = b.add("Map", [total, top], { expr: e.add(e.log(e.input(0)), e.input(1)) });
    const { shape } = (node.outputs[0] as Value).type;
    return b.add("Reshape", [result], { shape });
  },
  /** Reflecting, repeating and wrapping pads are gathers along each padded axis. */
  Pad: (b, node, [x]) => {
    const pads = node.attrs.pads as readonly number[];
    const rank = pads.length / 2;
    if (node.attrs.mode === "constant") return b.add("Pad", [x], node.attrs);
    let current = x as Value;
    for (let axis = 0; axis < rank; axis++) {
      const [before, after] = [pads[axis] as number, pads[axis + rank] as number];
      if (before === 0 && after === 0) continue;
      const size = current.type.shape[axis] as number;
      const line = float32Tensor(
        [size],
        Float32Array.from({ length: size }, (_, i) => i),
      );
      const scratch = b.graph.constant(`${node.name}.line`, line);
      const positions = b.add("Pad", [scratch], { ...node.attrs, pads: [before, after] });
      const indices = b.graph.constant(`${node.name}.indices`, int64Tensor([size + before + after], [...(positions as Value & { kind: "constant"; data: Float32Array }).data]));
      current = b.add("Gather", [current, indices], { axis });
    }
    return current;
  },
};

function resizeAxis(b: Builder, node: Node, x: Value, axis: number, size: number): Value {
  const { shape } = x.type;
  const d = shape[axis] as number;
  const unit = new Float32Array(d * d);
  for (let i = 0; i < d; i++) unit[i * d + i] = 1;
  const scales = node.attrs.scales as readonly number[];
  const roi = (node.attrs.roi as readonly number[] | undefined) ?? [];
  const attrs = {
    ...node.attrs,
    scales: [1, scales[axis] as number],
    sizes: [d, size],
    roi: roi.length === 0 ? [] : [0, roi[axis] as number, 1, roi[axis + shape.length] as number],
  };
  const identity = b.graph.constant(`${node.name}.unit`, float32Tensor([d, d], unit));
  // Row i is the answer to unit vector i: [d, size].
  const scratch = new GraphBuilder();
  scratch.add("Resize", [identity], attrs, node.name);
  const matrix = evaluateNode(scratch.nodes[0] as Node, [tensorOf(identity)])[0];
  if (matrix === undefined) throw new CadnnError("E_INTERNAL", "Resize gave no matrix");
  const weights = b.graph.constant(`${node.name}.axis${axis}`, matrix);
  const rows = elementCount(shape.slice(0, axis));
  const inner = elementCount(shape.slice(axis + 1));
  const out = [...shape.slice(0, axis), size, ...shape.slice(axis + 1)];
  if (inner === 1) return b.add("Reshape", [b.add("MatMul", [b.add("Reshape", [x], { shape: [rows, d] }), weights])], { shape: out });
  const left = b.add("Transpose", [weights], { perm: [1, 0] });
  const product = b.add("MatMul", [left, b.add("Reshape", [x], { shape: [rows, d, inner] })]);
  return b.add("Reshape", [product], { shape: out });
}
