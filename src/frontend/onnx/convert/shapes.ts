import type { Value } from "../../../ir/graph.ts";
import { broadcastShapes, elementCount, int64Tensor, makeData, normalizeAxis, type Tensor, zeros } from "../../../ir/types.ts";
import { dtypeOf } from "../read-tensor.ts";
import type { Converter, Converters, OnnxNode } from "./converter.ts";

/** A Reshape, or the value itself where it has that shape already. */
export function reshapeTo(n: OnnxNode, value: Value, shape: readonly number[]): Value {
  return value.type.shape.length === shape.length && value.type.shape.every((d, i) => d === shape[i]) ? value : n.step("Reshape", [value], { shape });
}

/** Integers that newer opsets take as input `index` and older ones as an attribute. */
export function intsOf(n: OnnxNode, index: number, attribute: string): number[] | undefined {
  return n.numbers(index) ?? n.ints(attribute);
}

const reshape: Converter = (n) => {
  const from = n.typeOf(0).shape;
  const wanted = intsOf(n, 1, "shape") ?? [];
  const shape = wanted.map((d, i) => (d === 0 && n.int("allowzero", 0) === 0 ? (from[i] ?? 0) : d));
  const free = shape.indexOf(-1);
  const rest = shape.reduce((a, d, i) => (i === free ? a : a * d), 1);
  if (free >= 0) shape[free] = rest === 0 ? 0 : elementCount(from) / rest;
  if (shape.some((d) => d < 0 || !Number.isInteger(d)) || elementCount(shape) !== elementCount(from))
    throw n.error(
      "E_SHAPE_MISMATCH",
      `Reshape of [${from.join(", ")}] to [${wanted.join(", ")}]`,
      "If the batch size is part of the shape, bind it by the option inputShapes to what the net was exported for.",
    );
  return n.emit("Reshape", [n.input(0)], { shape });
};

const flatten: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const axis = n.int("axis", 1);
  const split = axis < 0 ? axis + shape.length : axis;
  return n.emit("Reshape", [n.input(0)], { shape: [elementCount(shape.slice(0, split)), elementCount(shape.slice(split))] });
};

const squeeze: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const axes = intsOf(n, 1, "axes")?.map((a) => normalizeAxis(a, shape.length));
  const bad = axes?.find((a) => shape[a] !== 1);
  if (bad !== undefined)
    throw n.error("E_SHAPE_MISMATCH", `Squeeze of dimension ${bad} of [${shape.join(", ")}], which is not 1`, "Check the shapes bound by the option inputShapes.");
  return n.emit("Reshape", [n.input(0)], { shape: shape.filter((d, i) => (axes === undefined ? d !== 1 : !axes.includes(i))) });
};

const unsqueeze: Converter = (n) => {
  const from = n.typeOf(0).shape;
  const given = intsOf(n, 1, "axes") ?? [];
  const rank = from.length + given.length;
  const axes = new Set(given.map((a) => normalizeAxis(a, rank)));
  if (axes.size !== given.length) throw n.error("E_INVALID_ATTRIBUTE", `Unsqueeze repeats an axis in [${given.join(", ")}]`, "Export the net again.");
  const rest = from.values();
  return n.emit("Reshape", [n.input(0)], { shape: Array.from({ length: rank }, (_, i) => (axes.has(i) ? 1 : (rest.next().value as number))) });
};

const shape: Converter = (n) => {
  const dims = n.typeOf(0).shape;
  const part = dims.slice(n.int("start", 0), n.int("end", dims.length));
  return n.result(int64Tensor([part.length], part));
};

const constant: Converter = (n) => {
  const ints = n.ints("value_ints");
  const floats = n.floats("value_floats");
  const tensor =
    n.tensor("value") ??
    n.tensor("sparse_value") ??
    (n.has("value_float") ? ({ dtype: "float32", shape: [], data: Float32Array.of(n.float("value_float", 0)) } as const) : undefined) ??
    (n.has("value_int") ? int64Tensor([], [n.int("value_int", 0)]) : undefined) ??
    (floats === undefined ? undefined : ({ dtype: "float32", shape: [floats.length], data: Float32Array.from(floats) } as const)) ??
    (ints === undefined ? undefined : int64Tensor([ints.length], ints));
  if (tensor === undefined) throw n.error("E_UNSUPPORTED_TYPE", "Constant holds no tensor of numbers", "Strings and sequences are not supported.");
  return n.result(tensor);
};

const constantOfShape: Converter = (n) => {
  const dims = n.numbers(0) ?? [];
  const value = n.tensor("value") ?? zeros("float32", [1]);
  const data = makeData(value.dtype, checkedCount(n, dims));
  data.fill(value.data[0] as never);
  return n.result({ dtype: value.dtype, shape: dims, data } as Tensor);
};

function checkedCount(n: OnnxNode, dims: readonly number[]): number {
  const count = elementCount(dims);
  if (dims.some((d) => d < 0) || !(count < 2 ** 31))
    throw n.error("E_SHAPE_MISMATCH", `${n.op} of shape [${dims.join(", ")}]`, "Check the shapes bound by the option inputShapes.");
  return count;
}

/** start, start + delta, … before limit. */
const range: Converter = (n) => {
  const { dtype } = n.typeOf(0);
  const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => n.numbers(i)?.[0]);
  const data = makeData(dtype, checkedCount(n, [Math.max(0, Math.ceil((limit - start) / delta))]));
  for (let i = 0; i < data.length; i++) data[i] = (dtype === "int64" ? BigInt(start + i * delta) : start + i * delta) as never;
  return n.result({ dtype, shape: [data.length], data } as Tensor);
};

/** Positions of the elements that are not 0, shape [rank, count]; only of what is known on import. */
const nonZero: Converter = (n) => {
  const x = n.constant(0) as Tensor;
  const hits: number[] = [];
  for (let i = 0; i < x.data.length; i++) if (Number(x.data[i]) !== 0) hits.push(i);
  let inner = x.data.length;
  const rows = x.shape.map((d) => {
    inner /= d;
    const step = inner;
    return hits.map((h) => Math.floor(h / step) % d);
  });
  return n.result(int64Tensor([x.shape.length, hits.length], rows.flat()));
};

const eyeLike: Converter = (n) => {
  const [rows = 0, columns = 0] = n.typeOf(0).shape;
  const k = n.int("k", 0);
  const eye = zeros("float32", [rows, columns]);
  for (let r = 0; r < rows; r++) if (r + k >= 0 && r + k < columns) eye.data[r * columns + r + k] = 1;
  const dtype = n.has("dtype") ? n.int("dtype", 1) : undefined;
  return n.emit("Cast", [n.literal(eye, "eye")], { to: dtype === undefined ? n.typeOf(0).dtype : dtypeOf(dtype, n.name) });
};

export const shapes: Converters = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Shape: shape,
  Size: (n) => n.result(int64Tensor([], [elementCount(n.typeOf(0).shape)])),
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  NonZero: nonZero,
  EyeLike: eyeLike,
  Expand: (n) => n.emit("Expand", [n.input(0)], { shape: broadcastShapes(n.typeOf(0).shape, n.numbers(1) ?? []) }),
};
