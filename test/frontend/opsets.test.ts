import { TensorProto_DataType as T } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { exportOnnx, importableOps, importOnnx } from "../../src/frontend/onnx/index.ts";
import { elementCount, float32Tensor, int64Tensor, type Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { expectClose } from "./compare.ts";
import { type AttrInit, type GraphInit, makeModel, type NodeInit } from "./models.ts";
import { runOnnxruntime } from "./onnxruntime.ts";

const required =
  "Conv ConvTranspose Gemm MatMul BatchNormalization Relu LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Softmax Add Sub Mul Div MaxPool AveragePool GlobalAveragePool GlobalMaxPool ReduceMean Concat Split Slice Reshape Flatten Transpose Squeeze Unsqueeze Resize Upsample Pad Gather LRN Identity Dropout Constant Shape Cast ConstantOfShape Expand Floor Ceil Sqrt Exp Erf";

test("every operator that is promised can be imported", () => {
  expect(importableOps).toEqual(expect.arrayContaining(required.split(" ")));
});

const wave = (shape: readonly number[], phase = 0, scale = 1): Tensor<"float32"> =>
  float32Tensor(
    shape,
    Float32Array.from({ length: elementCount(shape) }, (_, i) => scale * Math.sin(i * 0.7 + phase) + 0.1 * Math.cos(i * 3.1 + phase)),
  );
const ints = (...values: readonly number[]) => int64Tensor([values.length], values);
const floats = (...values: readonly number[]) => float32Tensor([values.length], values);
const scalar = (value: number) => float32Tensor([], [value]);
const bool = (value: boolean): Tensor<"bool"> => ({ dtype: "bool", shape: [], data: Uint8Array.of(Number(value)) });

interface Variant extends GraphInit {
  readonly opsets: readonly number[];
}

/** One node y = op(x, initializers…) on an input of the given shape. */
function one(
  op: string,
  shape: readonly number[],
  attrs: Readonly<Record<string, AttrInit>>,
  extra: Readonly<Record<string, Tensor | undefined>> = {},
  opsets: readonly number[] = [17],
): Variant {
  const given = Object.entries(extra);
  const node: NodeInit = { op, name: "node", inputs: ["x", ...given.map(([name, t]) => (t === undefined ? "" : name))], attrs };
  const initializers = Object.fromEntries(given.filter((entry): entry is [string, Tensor] => entry[1] !== undefined));
  return { opsets, nodes: [node], inputs: { x: shape }, initializers };
}

const image = [2, 4, 7, 9];
const square = { kernel_shape: [3, 3], strides: [2, 2] };

const variants: Readonly<Record<string, Variant>> = {
  "Conv SAME_UPPER": one("Conv", image, { auto_pad: "SAME_UPPER", strides: [2, 3] }, { w: wave([6, 4, 3, 2]), b: wave([6]) }, [7, 11, 22]),
  "Conv SAME_LOWER, grouped": one("Conv", image, { auto_pad: "SAME_LOWER", strides: [2, 2], group: 2 }, { w: wave([6, 2, 4, 4]) }, [7, 11]),
  "Conv VALID, dilated": one("Conv", image, { auto_pad: "VALID", dilations: [2, 3], kernel_shape: [3, 2] }, { w: wave([3, 4, 3, 2]) }, [7]),
  "Conv in one dimension": one("Conv", [2, 3, 11], { pads: [2, 1], strides: [2] }, { w: wave([5, 3, 4]), b: wave([5]) }, [11]),
  "Conv in three dimensions": one("Conv", [1, 2, 4, 5, 6], { pads: [1, 0, 1, 0, 1, 1] }, { w: wave([3, 2, 2, 3, 2]) }, [11]),
  ConvTranspose: one("ConvTranspose", image, { strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 2], group: 2 }, { w: wave([4, 3, 3, 2]), b: wave([6]) }, [7, 11]),
  "ConvTranspose with output_shape": one("ConvTranspose", image, { strides: [2, 2], output_shape: [15, 18] }, { w: wave([4, 3, 4, 3]) }, [11]),
  "ConvTranspose SAME_UPPER": one("ConvTranspose", image, { strides: [2, 2], auto_pad: "SAME_UPPER" }, { w: wave([4, 3, 3, 3]) }, [11]),
  Gemm: one("Gemm", [3, 5], { transA: 1, transB: 1, alpha: 0.5, beta: 2.5 }, { b: wave([4, 3]), c: wave([5, 1]) }, [7, 9, 13]),
  "Gemm without bias": one("Gemm", [3, 5], {}, { b: wave([5, 4]) }, [11]),
  "MatMul of stacks": one("MatMul", [2, 1, 3, 5], {}, { b: wave([4, 5, 2]) }, [9, 13]),
  "MatMul with a vector": one("MatMul", [2, 3, 5], {}, { b: wave([5]) }, [13]),
  BatchNormalization: one("BatchNormalization", image, { epsilon: 0.01 }, { s: wave([4]), b: wave([4], 1), m: wave([4], 2), v: floats(1, 2, 0.5, 3) }, [7, 9, 14, 15]),
  "MaxPool with ceil_mode": one("MaxPool", image, { ...square, ceil_mode: 1 }, {}, [10, 12]),
  "MaxPool SAME_LOWER": one("MaxPool", image, { ...square, auto_pad: "SAME_LOWER" }, {}, [8, 11]),
  "MaxPool dilated": one("MaxPool", image, { ...square, dilations: [2, 2], pads: [1, 1, 1, 1] }, {}, [10]),
  "AveragePool SAME_UPPER": one("AveragePool", image, { ...square, auto_pad: "SAME_UPPER" }, {}, [7, 11]),
  "AveragePool counting pads": one("AveragePool", image, { ...square, pads: [1, 1, 0, 1], count_include_pad: 1 }, {}, [7, 11]),
  "AveragePool with ceil_mode": one("AveragePool", image, { ...square, pads: [1, 0, 1, 1], ceil_mode: 1 }, {}, [10, 19]),
  "Softmax over the rest": one("Softmax", [2, 3, 4], { axis: 1 }, {}, [7, 11]),
  "Softmax along an axis": one("Softmax", [2, 3, 4], { axis: 1 }, {}, [13]),
  "Softmax by default": one("Softmax", [2, 3, 4], {}, {}, [11, 13]),
  "LogSoftmax over the rest": one("LogSoftmax", [2, 3, 4], { axis: 0 }, {}, [11]),
  "Clip by attributes": one("Clip", image, { min: { float: -0.5 }, max: { float: 0.25 } }, {}, [6, 10]),
  "Clip by inputs": one("Clip", image, {}, { low: undefined, high: scalar(0.25) }, [11, 13]),
  "Resize nearest of old": one("Resize", [1, 2, 3, 4], { mode: "nearest" }, { s: floats(1, 1, 2, 2.6) }, [10]),
  "Upsample by attribute": one("Upsample", [1, 2, 3, 4], { mode: "nearest", scales: { floats: [1, 1, 2, 3] } }, {}, [7]),
  "Upsample linear": one("Upsample", [1, 2, 3, 4], { mode: "linear" }, { s: floats(1, 1, 2, 2) }, [9]),
  "Resize linear to sizes": one("Resize", [1, 2, 5, 4], { mode: "linear" }, { roi: undefined, s: undefined, sizes: ints(1, 2, 8, 7) }, [13, 19]),
  "Resize of some axes": one("Resize", [1, 2, 5, 4], { mode: "linear", axes: [2, 3] }, { roi: undefined, s: undefined, sizes: ints(8, 7) }, [18]),
  "Resize cubic": one("Resize", [1, 2, 5, 4], { mode: "cubic", cubic_coeff_a: -0.5 }, { roi: floats(), s: floats(1, 1, 1.5, 2) }, [11, 13]),
  "Resize asymmetric": one("Resize", [1, 2, 5, 4], { coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" }, { roi: floats(), s: floats(1, 1, 2, 2) }, [11]),
  "Resize align_corners": one("Resize", [1, 2, 5, 4], { mode: "linear", coordinate_transformation_mode: "align_corners" }, { roi: floats(), s: floats(1, 1, 2, 3) }, [11]),
  "Resize with antialias": one("Resize", [1, 1, 9, 8], { mode: "linear", antialias: 1 }, { roi: undefined, s: floats(1, 1, 0.5, 0.5) }, [18]),
  "Pad by attribute": one("Pad", image, { pads: [0, 0, 1, 2, 0, 0, 3, 0], mode: "reflect" }, {}, [10]),
  "Pad by inputs": one("Pad", image, {}, { p: ints(0, 0, 1, 2, 0, 0, 3, 0), v: scalar(1.5) }, [11, 13]),
  "Pad of some axes, negative": one("Pad", image, { mode: "constant" }, { p: ints(-1, 2, 1, -2), v: undefined, a: ints(-1, 2) }, [18]),
  "Pad edge": one("Pad", image, { mode: "edge" }, { p: ints(0, 1, 1, 2, 0, 0, 3, 0) }, [13]),
  "Pad wrap": one("Pad", [2, 5], { mode: "wrap" }, { p: ints(0, 3, 0, 2) }, [19]),
  "Slice by attributes": one("Slice", image, { starts: [1, -5], ends: [100, -1], axes: [1, 3] }, {}, [7, 9]),
  "Slice backwards": one("Slice", image, {}, { s: ints(-1, 5), e: ints(-100, 0), a: ints(3, 2), by: ints(-2, -1) }, [10, 13]),
  "Squeeze by attribute": one("Squeeze", [1, 3, 1, 2], { axes: [0, -2] }, {}, [11]),
  "Squeeze by input": one("Squeeze", [1, 3, 1, 2], {}, { a: ints(2) }, [13]),
  "Unsqueeze by attribute": one("Unsqueeze", [3, 2], { axes: [0, 3] }, {}, [7, 11]),
  "Unsqueeze by input": one("Unsqueeze", [3, 2], {}, { a: ints(-1, 0) }, [13]),
  Reshape: one("Reshape", [2, 3, 4], {}, { s: ints(0, -1) }, [7, 13, 21]),
  Flatten: one("Flatten", [2, 3, 4], { axis: -1 }, {}, [11, 13]),
  "Flatten before the first axis": one("Flatten", [2, 3, 4], { axis: 0 }, {}, [9]),
  "ReduceMean by attribute": one("ReduceMean", [2, 3, 4], { axes: [-1, 0], keepdims: 0 }, {}, [7, 11, 13]),
  "ReduceMean by input": one("ReduceMean", [2, 3, 4], {}, { a: ints(1) }, [18]),
  "ReduceSum by input": one("ReduceSum", [2, 3, 4], { keepdims: 0 }, { a: ints(1, 2) }, [13]),
  "ReduceSum of nothing": one("ReduceSum", [2, 3, 4], { noop_with_empty_axes: 1 }, {}, [13]),
  "ReduceL2 of all": one("ReduceL2", [2, 3, 4], {}, {}, [11, 18]),
  "Dropout of old": one("Dropout", image, { ratio: 0.25 }, {}, [7, 10]),
  Dropout: one("Dropout", image, {}, { r: scalar(0.25), t: bool(false) }, [12, 13]),
  LRN: one("LRN", image, { size: 3, alpha: 0.3, beta: 0.5, bias: { float: 2 } }, {}, [7, 13]),
  PRelu: one("PRelu", image, {}, { slope: wave([4, 1, 1]) }, [7, 9, 16]),
  Gather: one("Gather", image, { axis: 1 }, { i: int64Tensor([2, 2], [0, -1, 2, 1]) }, [11, 13]),
  Tile: one("Tile", [2, 3], {}, { r: ints(2, 3) }, [13]),
  Expand: one("Expand", [3, 1], {}, { s: ints(2, 1, 4) }, [13]),
  InstanceNormalization: one("InstanceNormalization", image, {}, { s: wave([4]), b: wave([4]) }, [7, 22]),
  LayerNormalization: one("LayerNormalization", [2, 3, 4], { axis: 1 }, { s: wave([3, 4]), b: wave([3, 4]) }, [17]),
  "GroupNormalization of opset 18": one("GroupNormalization", image, { num_groups: 2 }, { s: wave([2]), b: wave([2]) }, [18]),
  "GroupNormalization of opset 21": one("GroupNormalization", image, { num_groups: 2 }, { s: wave([4]), b: wave([4]) }, [21]),
  RMSNormalization: one("RMSNormalization", [2, 3, 4], { axis: -1 }, { s: wave([4]) }, [23]),
  "Gelu, exact": one("Gelu", image, {}, {}, [20]),
  "Gelu, by tanh": one("Gelu", image, { approximate: "tanh" }, {}, [20]),
  Mish: one("Mish", image, {}, {}, [18]),
  HardSwish: one("HardSwish", image, {}, {}, [14]),
  HardSigmoid: one("HardSigmoid", image, { alpha: 0.3 }, {}, [7, 22]),
  Celu: one("Celu", image, { alpha: { float: 2 } }, {}, [12]),
  ThresholdedRelu: one("ThresholdedRelu", image, { alpha: 0.3 }, {}, [10]),
  Shrink: one("Shrink", image, { lambd: 0.3, bias: 0.1 }, {}, [9]),
  LpNormalization: one("LpNormalization", [2, 3, 4], { axis: 1, p: 2 }, {}, [7]),
  Hardmax: one("Hardmax", [2, 3, 4], { axis: 1 }, {}, [11, 13]),
  Trilu: one("Trilu", [2, 3, 4], { upper: 0 }, { k: int64Tensor([], [1]) }, [14]),
  "Split by attribute": { opsets: [7, 11], inputs: { x: [2, 7] }, nodes: [{ op: "Split", attrs: { axis: 1, split: [3, 4] }, outputs: ["y", "z"] }], outputs: ["y", "z"] },
  "Split by input": {
    opsets: [13],
    inputs: { x: [2, 7] },
    nodes: [{ op: "Split", inputs: ["x", "s"], attrs: { axis: -1 }, outputs: ["y", "z"] }],
    outputs: ["z", "y"],
    initializers: { s: ints(3, 4) },
  },
  "Split in parts": { opsets: [18], inputs: { x: [2, 7] }, nodes: [{ op: "Split", attrs: { axis: 1, num_outputs: 3 }, outputs: ["a", "b", "y"] }], outputs: ["a", "y"] },
  "MaxPool with indices": {
    opsets: [11],
    inputs: { x: image },
    nodes: [{ op: "MaxPool", attrs: square, outputs: ["y", "i"] }],
    outputs: ["y", "i"],
    types: { i: T.INT64 },
  },
  "Min, Max, Sum and Mean of several": {
    opsets: [8, 13],
    inputs: { x: [2, 3], b: [3], c: [2, 1] },
    nodes: ["Min", "Max", "Sum", "Mean"].map((op) => ({ op, inputs: ["x", "b", "c"], outputs: [op] })),
    outputs: ["Min", "Max", "Sum", "Mean"],
  },
  "comparisons and logic": {
    opsets: [12, 16],
    inputs: { x: [2, 3], b: [3] },
    nodes: [
      { op: "Less", inputs: ["x", "b"], outputs: ["l"] },
      { op: "GreaterOrEqual", inputs: ["x", "b"], outputs: ["g"] },
      { op: "Xor", inputs: ["l", "g"], outputs: ["e"] },
      { op: "Not", inputs: ["l"], outputs: ["n"] },
      { op: "And", inputs: ["e", "n"], outputs: ["a"] },
      { op: "Where", inputs: ["a", "x", "b"] },
    ],
    outputs: ["y", "e"],
    types: { e: T.BOOL },
  },
  "Clip by bounds known at run time": { opsets: [13], inputs: { x: [2, 3], low: [], high: [] }, nodes: [{ op: "Clip", inputs: ["x", "low", "high"] }] },
  "a shape computed from a shape": {
    opsets: [7, 13],
    inputs: { x: [2, 3, 4] },
    nodes: [
      { op: "Shape", outputs: ["shape"] },
      { op: "Constant", inputs: [], outputs: ["zero"], attrs: { value: int64Tensor([1], [0]) } },
      { op: "Gather", inputs: ["shape", "zero"], outputs: ["batch"] },
      { op: "Constant", inputs: [], outputs: ["rest"], attrs: { value: int64Tensor([1], [-1]) } },
      { op: "Concat", inputs: ["batch", "rest"], outputs: ["target"], attrs: { axis: 0 } },
      { op: "Reshape", inputs: ["x", "target"] },
    ],
  },
  "a constant, an input and a value used twice as outputs": {
    opsets: [13],
    inputs: { x: [2, 3] },
    nodes: [{ op: "Relu" }, { op: "Identity", inputs: ["y"], outputs: ["again"] }, { op: "Identity", inputs: ["k"], outputs: ["same"] }],
    outputs: ["y", "again", "same"],
    initializers: { k: floats(1, 2) },
  },
};

describe.each(Object.entries(variants))("%s", (_, { opsets, ...graph }) => {
  test.each(opsets)("opset %i", async (opset) => {
    const bytes = makeModel({ opset, ...graph });
    const feeds = Object.fromEntries(Object.entries(graph.inputs ?? {}).map(([name, shape], i) => [name, wave(shape as number[], i)]));
    const imported = importOnnx(bytes);
    const reference = Object.fromEntries(interpret(imported, feeds).outputs);
    const written = await runOnnxruntime(exportOnnx(imported, { opset: 19 }), feeds);
    const original = await runOnnxruntime(bytes, feeds);
    expect(Object.keys(reference)).toEqual(graph.outputs ?? ["y"]);
    for (const name of Object.keys(reference)) {
      expectClose(reference[name], original[name]);
      expectClose(written[name], original[name]);
    }
  });
});
