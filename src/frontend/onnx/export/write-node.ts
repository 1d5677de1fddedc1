import { CadnnError } from "../../../errors.ts";
import { type Activation, activationExpr } from "../../../ir/activation.ts";
import type { Expr } from "../../../ir/expr.ts";
import type { Node } from "../../../ir/graph.ts";
import type { DType } from "../../../ir/types.ts";
import { elementwiseExpr } from "../../../ops/elementwise.ts";
import { writeExpr } from "./write-expr.ts";
import { attr, dataTypes, type OnnxAttrs, type Writer } from "./writer.ts";

/** What writing a node needs beside it: the names of its outputs in the file and the batch, if that is to be symbolic. */
export interface NodeWriter extends Writer {
  readonly outputs: readonly string[];
  readonly batch: number | undefined;
}
type WriteNode = (node: Node, w: NodeWriter) => void;

const number = (node: Node, name: string) => node.attrs[name] as number;
const numbers = (node: Node, name: string) => node.attrs[name] as readonly number[];
const flag = (node: Node, name: string) => (node.attrs[name] as boolean | undefined) === true;
const shapeOf = (node: Node, input = 0) => node.inputs[input]?.type.shape ?? [];

/** The node under its own op; `attrs` gives the attributes that it has in ONNX. */
const same =
  (attrs: (node: Node) => OnnxAttrs = () => ({})): WriteNode =>
  (node, w) =>
    w.node(
      node.op,
      node.inputs.map((v) => w.nameOf(v)),
      w.outputs,
      attrs(node),
      node.name,
    );

const floats =
  (...names: readonly string[]) =>
  (node: Node): OnnxAttrs =>
    Object.fromEntries(names.map((name) => [name, node.attrs[name] === undefined ? undefined : attr.float(number(node, name))]));

const windowAttrs = (node: Node): OnnxAttrs => ({
  strides: attr.ints(numbers(node, "strides")),
  pads: attr.ints(numbers(node, "pads")),
  dilations: attr.ints(numbers(node, "dilations")),
});
const convAttrs = (node: Node): OnnxAttrs => ({ ...windowAttrs(node), group: attr.int(number(node, "group")), kernel_shape: attr.ints(shapeOf(node, 1).slice(2)) });
const gemmAttrs = (node: Node): OnnxAttrs => ({ ...floats("alpha", "beta")(node), transA: attr.int(flag(node, "transA")), transB: attr.int(flag(node, "transB")) });

/** Writes `y = activation(x)` under the node's output name. */
function writeActivation(node: Node, w: NodeWriter, x: string): void {
  const activation = node.attrs.activation as Activation;
  const [output = ""] = w.outputs;
  if (activation.kind === "clamp" && activation.low === 0 && activation.high === Number.POSITIVE_INFINITY) w.node("Relu", [x], [output], {}, node.name);
  else if (activation.kind === "clamp") w.node("Clip", [x, ...bounds(w, activation.low, activation.high)], [output], {}, node.name);
  else w.node("Identity", [writeExpr(w, activationExpr(activation), [[x, "float32"]], "float32", `${node.name}.act`)], [output], {}, node.name);
}

/** Conv or Gemm, then the residual, then the activation. */
const fused =
  (op: string, operands: number, attrs: (node: Node) => OnnxAttrs): WriteNode =>
  (node, w) => {
    const activation = node.attrs.activation as Activation;
    const residual = node.inputs[operands];
    const inputs = node.inputs.slice(0, operands).map((v) => w.nameOf(v));
    const plain = activation.kind === "none";
    if (plain && residual === undefined) return w.node(op, inputs, w.outputs, attrs(node), node.name);
    const product = w.step(op, inputs, `${node.name}.${op.toLowerCase()}`, attrs(node));
    if (residual === undefined) return writeActivation(node, w, product);
    if (plain) return w.node("Add", [product, w.nameOf(residual)], w.outputs, {}, node.name);
    return writeActivation(node, w, w.step("Add", [product, w.nameOf(residual)], `${node.name}.add`));
  };

const bounds = (w: Writer, low: number, high: number): string[] => [Number.isFinite(low) ? w.scalar(low) : "", Number.isFinite(high) ? w.scalar(high) : ""];

/** By the op's expression, as standard ops. */
const byExpr: WriteNode = (node, w) => {
  const expr = elementwiseExpr(node.op, node.attrs) as Expr;
  const type = node.outputs[0]?.type.dtype as DType;
  const result = writeExpr(
    w,
    expr,
    node.inputs.map((v) => [w.nameOf(v), v?.type.dtype ?? "float32"] as const),
    type,
    `${node.name}.map`,
  );
  // The last step may be an input or a constant; the output must have the shape of all inputs broadcast, and its own name.
  const last = w.nodes.at(-1);
  const broadcast = node.outputs[0]?.type.shape ?? [];
  if (last?.output[0] === result && node.inputs.every((v) => v?.type.shape.length === broadcast.length && v.type.shape.every((d, i) => d === broadcast[i]))) {
    last.output[0] = w.outputs[0] as string;
    last.name = node.name;
  } else w.node("Expand", [result, w.ints(broadcast)], w.outputs, {}, node.name);
};
const since =
  (opset: number, write: WriteNode): WriteNode =>
  (node, w) =>
    (w.opset >= opset ? write : byExpr)(node, w);

const averagePool: WriteNode = (node, w) => {
  const { dilations, ...attrs } = windowAttrs(node);
  const dilated = numbers(node, "dilations").some((d) => d !== 1);
  if (dilated && w.opset < 19) throw tooOld(node, w, 19);
  const pool = { ...attrs, dilations: dilated ? dilations : undefined, kernel_shape: attr.ints(numbers(node, "kernel")), ceil_mode: attr.int(flag(node, "ceilMode")) };
  w.node("AveragePool", [w.nameOf(node.inputs[0])], w.outputs, { ...pool, count_include_pad: attr.int(flag(node, "countIncludePad")) }, node.name);
};

/** Axes are an input of ReduceSum from opset 13 on, of the others from 18 on. No axes at all leave the elementwise part. */
const reduce: WriteNode = (node, w) => {
  const x = w.nameOf(node.inputs[0]);
  const axes = numbers(node, "axes");
  if (axes.length === 0) {
    const alone: Readonly<Record<string, string>> = { ReduceL1: "Abs", ReduceL2: "Abs", ReduceLogSum: "Log" };
    if (node.op === "ReduceSumSquare") w.node("Mul", [x, x], w.outputs, {}, node.name);
    else w.node(alone[node.op] ?? "Identity", [x], w.outputs, {}, node.name);
    return;
  }
  const asInput = w.opset >= (node.op === "ReduceSum" ? 13 : 18);
  w.node(node.op, asInput ? [x, w.ints(axes)] : [x], w.outputs, { keepdims: attr.int(flag(node, "keepdims")), axes: asInput ? undefined : attr.ints(axes) }, node.name);
};

const slice: WriteNode = (node, w) => {
  const shape = shapeOf(node);
  const [starts, sizes, steps] = [numbers(node, "starts"), numbers(node, "sizes"), numbers(node, "steps")];
  const axes = shape.flatMap((d, i) => (starts[i] === 0 && sizes[i] === d && steps[i] === 1 ? [] : [i]));
  const ends = axes.map((a) => {
    const end = (starts[a] as number) + (sizes[a] as number) * (steps[a] as number);
    return end < 0 ? -(shape[a] as number) - 1 : end; // before the first element
  });
  const at = (values: readonly number[]) => w.ints(axes.map((a) => values[a] as number));
  w.node("Slice", [w.nameOf(node.inputs[0]), at(starts), w.ints(ends), w.ints(axes), at(steps)], w.outputs, {}, node.name);
};

/** With a symbolic batch, 0 copies the leading dimension and −1 takes what the other dimensions leave. */
const reshape: WriteNode = (node, w) => {
  const shape = [...numbers(node, "shape")];
  const [from, to] = [shapeOf(node)[0], shape[0]];
  const leading = w.batch === undefined || shape.includes(0) || (from !== w.batch && to !== w.batch) ? undefined : from === to ? 0 : -1;
  if (leading !== undefined && to !== undefined) shape[0] = leading;
  const literal = leading === undefined && shape.includes(0);
  w.node("Reshape", [w.nameOf(node.inputs[0]), w.ints(shape)], w.outputs, literal ? { allowzero: attr.int(1) } : {}, node.name);
};

const pad: WriteNode = (node, w) => {
  const mode = node.attrs.mode as string;
  if (mode === "wrap" && w.opset < 19) throw tooOld(node, w, 19);
  const x = node.inputs[0];
  const value = number(node, "value");
  const dtype = x?.type.dtype ?? "float32";
  const filled = mode === "constant" && value !== 0;
  const fill = !filled ? "" : dtype === "float32" ? w.scalar(value) : w.step("Cast", [w.scalar(value)], `${node.name}.value`, { to: attr.int(dataTypes[dtype]) });
  w.node("Pad", [w.nameOf(x), w.ints(numbers(node, "pads")), fill], w.outputs, { mode: attr.string(mode) }, node.name);
};

/** By scales if they give the same shape in float32, as they must with a symbolic batch; else by sizes. */
const resize: WriteNode = (node, w) => {
  const [scales, sizes, shape] = [numbers(node, "scales"), numbers(node, "sizes"), shapeOf(node)];
  if (flag(node, "antialias") && w.opset < 18) throw tooOld(node, w, 18);
  const exact = shape.every((d, i) => Math.floor(Math.fround(d * Math.fround(scales[i] as number))) === sizes[i]);
  const vector = (values: readonly number[]) => w.constant({ dtype: "float32", shape: [values.length], data: Float32Array.from(values) });
  const roi = node.attrs.roi as readonly number[] | undefined;
  const inputs = [w.nameOf(node.inputs[0]), roi === undefined ? "" : vector(roi), exact ? vector(scales) : "", exact ? "" : w.ints(sizes)];
  const attrs: OnnxAttrs = {
    mode: attr.string(node.attrs.mode as string),
    coordinate_transformation_mode: attr.string(node.attrs.coordinateMode as string),
    nearest_mode: attr.string(node.attrs.nearestMode as string),
    cubic_coeff_a: attr.float(number(node, "cubicCoeff")),
    exclude_outside: attr.int(flag(node, "excludeOutside")),
    extrapolation_value: attr.float(number(node, "extrapolationValue")),
    antialias: flag(node, "antialias") ? attr.int(1) : undefined,
  };
  w.node("Resize", inputs, w.outputs, attrs, node.name);
};

const layerNormalization: WriteNode = (node, w) => {
  if (w.opset < 17) throw tooOld(node, w, 17);
  same((n) => ({ axis: attr.int(number(n, "axis")), ...floats("epsilon")(n) }))(node, w);
};

function tooOld(node: Node, w: Writer, opset: number): CadnnError {
  return new CadnnError("E_INVALID_OPTION", `${node.op} of node ${node.name} cannot be expressed in opset ${w.opset}`, {
    at: "opset",
    hint: `Export with opset ${opset} or newer.`,
  });
}

const axis = (node: Node): OnnxAttrs => ({ axis: attr.int(number(node, "axis")) });
const plainOps =
  "MatMul GlobalAveragePool GlobalMaxPool Add Sub Mul Div Pow Min Max Neg Abs Sqrt Exp Log Erf Floor Ceil Round Sign Reciprocal Relu PRelu Sigmoid Tanh Softplus Softsign Equal Less LessOrEqual Greater GreaterOrEqual And Or Not Where Identity".split(
    " ",
  );
const reductions = "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp".split(" ");
const argument = same((n) => ({ ...axis(n), keepdims: attr.int(flag(n, "keepdims")), select_last_index: attr.int(flag(n, "selectLast")) }));

const table: ReadonlyMap<string, WriteNode> = new Map<string, WriteNode>([
  ...plainOps.map((op) => [op, same()] as const),
  ...reductions.map((op) => [op, reduce] as const),
  ["Conv", same(convAttrs)],
  ["FusedConv", fused("Conv", 3, convAttrs)],
  ["ConvTranspose", same((n) => ({ ...convAttrs(n), output_padding: attr.ints(numbers(n, "outputPadding")) }))],
  ["Gemm", same(gemmAttrs)],
  ["FusedGemm", fused("Gemm", 3, gemmAttrs)],
  ["BatchNormalization", same(floats("epsilon"))],
  ["InstanceNormalization", same(floats("epsilon"))],
  ["LayerNormalization", layerNormalization],
  ["LRN", same((n) => ({ ...floats("alpha", "beta", "bias")(n), size: attr.int(number(n, "size")) }))],
  ["MaxPool", same((n) => ({ ...windowAttrs(n), kernel_shape: attr.ints(numbers(n, "kernel")), ceil_mode: attr.int(flag(n, "ceilMode")) }))],
  ["AveragePool", averagePool],
  ["LeakyRelu", same(floats("alpha"))],
  ["HardSigmoid", same(floats("alpha", "beta"))],
  ["Elu", same(floats("alpha"))],
  ["Selu", same(floats("alpha", "gamma"))],
  ["HardSwish", same()],
  ["Mish", since(18, same())],
  [
    "Gelu",
    since(
      20,
      same((n) => ({ approximate: attr.string(n.attrs.approximate as string) })),
    ),
  ],
  ["Map", byExpr],
  ["Clip", (n, w) => w.node("Clip", [w.nameOf(n.inputs[0]), ...clipBounds(n, w)], w.outputs, {}, n.name)],
  ["Cast", same((n) => ({ to: attr.int(dataTypes[n.attrs.to as DType]) }))],
  ["Dropout", (n, w) => w.node("Dropout", [w.nameOf(n.inputs[0]), w.scalar(number(n, "ratio"))], w.outputs, {}, n.name)],
  ["Softmax", same(axis)],
  ["LogSoftmax", same(axis)],
  ["ArgMax", argument],
  ["ArgMin", argument],
  ["Concat", same(axis)],
  ["Split", (n, w) => w.node("Split", [w.nameOf(n.inputs[0]), w.ints(numbers(n, "sizes"))], w.outputs, axis(n), n.name)],
  ["Slice", slice],
  ["Reshape", reshape],
  ["Transpose", same((n) => ({ perm: attr.ints(numbers(n, "perm")) }))],
  ["Pad", pad],
  ["Expand", (n, w) => w.node("Expand", [w.nameOf(n.inputs[0]), w.ints(numbers(n, "shape"))], w.outputs, {}, n.name)],
  ["Gather", same(axis)],
  ["Resize", resize],
  ["DepthToSpace", same((n) => ({ blocksize: attr.int(number(n, "blocksize")), mode: attr.string(n.attrs.mode as string) }))],
  ["SpaceToDepth", same((n) => ({ blocksize: attr.int(number(n, "blocksize")) }))],
]);

/** Bounds have the type of x. */
function clipBounds(node: Node, w: Writer): string[] {
  const dtype = node.inputs[0]?.type.dtype ?? "float32";
  return bounds(w, number(node, "min"), number(node, "max")).map((name) =>
    name === "" || dtype === "float32" ? name : w.step("Cast", [name], `${node.name}.bound`, { to: attr.int(dataTypes[dtype]) }),
  );
}

/** Appends standard nodes that compute what `node` does; throws `E_UNSUPPORTED_OP` for ops of training graphs. */
export function writeNode(node: Node, w: NodeWriter): void {
  const write = table.get(node.op);
  if (write === undefined)
    throw new CadnnError("E_UNSUPPORTED_OP", `${node.op} has no equivalent in ONNX`, { at: node.name, hint: "Export the graph for inference, not the one for training." });
  write(node, w);
}
