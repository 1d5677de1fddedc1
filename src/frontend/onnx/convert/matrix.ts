import type { Value } from "../../../ir/graph.ts";
import { normalizeAxis } from "../../../ir/types.ts";
import type { Converter, Converters, OnnxNode } from "./converter.ts";
import { reshapeTo } from "./shapes.ts";

const gemm: Converter = (n) =>
  n.emit("Gemm", [n.input(0), n.input(1), n.inputs[2]], {
    alpha: n.float("alpha", 1),
    beta: n.float("beta", 1),
    transA: n.int("transA", 0) !== 0,
    transB: n.int("transB", 0) !== 0,
  });

/** From opset 13 along one axis; before that over all dimensions from `axis` on. */
const softmax: Converter = (n) => {
  const x = n.input(0);
  const shape = x.type.shape;
  const axis = normalizeAxis(n.int("axis", n.opset < 13 ? Math.min(1, Math.max(0, shape.length - 1)) : -1), shape.length);
  if (n.opset >= 13 || shape.slice(axis + 1).every((d) => d === 1)) return n.emit(n.op, [x], { axis });
  const rows = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const flat = reshapeTo(n, x, [rows, shape.slice(axis).reduce((a, b) => a * b, 1)]);
  return n.emit("Reshape", [n.step(n.op, [flat], { axis: 1 })], { shape });
};

const batchNormalization: Converter = (n) => {
  const trainingOutputs = n.opset < 14 && [1, 2, 3, 4].some((i) => n.wants(i));
  if (n.int("training_mode", 0) !== 0 || trainingOutputs)
    throw n.error("E_UNSUPPORTED_OP", "BatchNormalization in training mode is not supported", "Export the net in evaluation mode (model.eval() in PyTorch).");
  if (n.int("spatial", 1) === 0)
    throw n.error("E_UNSUPPORTED_OP", "BatchNormalization with spatial = 0 is not supported", "Export with statistics per channel, or with opset 9 or later.");
  return n.emit(
    "BatchNormalization",
    [0, 1, 2, 3, 4].map((i) => n.input(i)),
    { epsilon: n.float("epsilon", 1e-5) },
  );
};

/** Mean and inverse standard deviation, where they are asked for, are computed on their own. */
const layerNormalization: Converter = (n) => {
  const x = n.input(0);
  const rank = x.type.shape.length;
  const axis = normalizeAxis(n.int("axis", -1), rank);
  const epsilon = n.float("epsilon", 1e-5);
  const y = n.emit("LayerNormalization", [x, n.input(1), n.inputs[2]], { axis, epsilon });
  if (!n.wants(1) && !n.wants(2)) return y;
  const axes = range(axis, rank);
  const { mean, variance } = moments(n, x, axes);
  return [y, mean, n.step("Reciprocal", [n.step("Sqrt", [n.step("Add", [variance, n.scalar(epsilon, x.type)])])])];
};

function moments(n: OnnxNode, x: Value, axes: readonly number[]): { mean: Value; centered: Value; variance: Value } {
  const mean = n.step("ReduceMean", [x], { axes, keepdims: true });
  const centered = n.step("Sub", [x, mean]);
  return { mean, centered, variance: n.step("ReduceMean", [n.step("Mul", [centered, centered])], { axes, keepdims: true }) };
}

/** y = scale[c] · (x − mean of c's group) / √(variance + ε) + bias[c], by normalizing groups as instances of one channel each. */
const groupNormalization: Converter = (n) => {
  const x = n.input(0);
  const shape = x.type.shape;
  const [batch = 1, channels = 1] = shape;
  const groups = n.int("num_groups", 1);
  const epsilon = n.float("epsilon", 1e-5);
  const grouped = reshapeTo(n, x, [batch, groups, x.type.shape.slice(1).reduce((a, b) => a * b, 1) / groups]);
  const { centered, variance } = moments(n, grouped, [2]);
  const deviation = n.step("Sqrt", [n.step("Add", [variance, n.scalar(epsilon, x.type)])]);
  const normal = reshapeTo(n, n.step("Div", [centered, deviation]), shape);
  // Opset 18 has one scale and bias a group, 21 one a channel.
  const perChannel = (v: Value) => {
    const expanded = v.type.shape[0] === groups && groups !== channels ? n.step("Expand", [reshapeTo(n, v, [groups, 1])], { shape: [groups, channels / groups] }) : v;
    return reshapeTo(n, expanded, [channels, ...shape.slice(2).map(() => 1)]);
  };
  return n.emit("Add", [n.step("Mul", [normal, perChannel(n.input(1))]), perChannel(n.input(2))]);
};

/** (x − mean) / (√(E[x²] − mean²) + 1e-9) over `axes`. */
const meanVariance: Converter = (n) => {
  const x = n.input(0);
  const axes = (n.ints("axes") ?? [0, 2, 3]).map((a) => normalizeAxis(a, x.type.shape.length)).sort((a, b) => a - b);
  const { centered, variance } = moments(n, x, axes);
  return n.emit("Div", [centered, n.step("Add", [n.step("Sqrt", [variance]), n.scalar(1e-9, x.type)])]);
};

/** x / ‖x‖ along one axis, p = 1 or 2. */
const lpNormalization: Converter = (n) => {
  const x = n.input(0);
  const axes = [normalizeAxis(n.int("axis", -1), x.type.shape.length)];
  return n.emit("Div", [x, n.step(n.int("p", 2) === 1 ? "ReduceL1" : "ReduceL2", [x], { axes, keepdims: true })]);
};

/** x / √(mean of x² + ε) · scale over the last dimensions, from `axis` on. */
const rmsNormalization: Converter = (n) => {
  const x = n.input(0);
  const axes = range(normalizeAxis(n.int("axis", -1), x.type.shape.length), x.type.shape.length);
  const square = n.step("ReduceMean", [n.step("Mul", [x, x])], { axes, keepdims: true });
  const norm = n.step("Sqrt", [n.step("Add", [square, n.scalar(n.float("epsilon", 1e-5), x.type)])]);
  return n.emit("Mul", [n.step("Div", [x, norm]), n.input(1)]);
};

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

export const matrix: Converters = {
  Gemm: gemm,
  MatMul: (n) => n.emit("MatMul", [n.input(0), n.input(1)]),
  Softmax: softmax,
  LogSoftmax: softmax,
  BatchNormalization: batchNormalization,
  InstanceNormalization: (n) => n.emit("InstanceNormalization", [n.input(0), n.input(1), n.input(2)], { epsilon: n.float("epsilon", 1e-5) }),
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  MeanVarianceNormalization: meanVariance,
  LpNormalization: lpNormalization,
  RMSNormalization: rmsNormalization,
  LRN: (n) => n.emit("LRN", [n.input(0)], { alpha: n.float("alpha", 1e-4), beta: n.float("beta", 0.75), bias: n.float("bias", 1), size: n.int("size", 1) }),
};
