import { CadnnError } from "../errors.ts";

/** Element types. `int64` is what ONNX uses for indices; generated code keeps it as 32 bits. */
export type DType = "float32" | "int32" | "int64" | "uint8" | "int8" | "bool";

/** The array that holds elements of each type; `bool` is 0 or 1 in a byte. */
export type DataOf = {
  float32: Float32Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  int8: Int8Array;
  bool: Uint8Array;
};
export type TensorData = DataOf[DType];

/** Shape and element type of a value. All dimensions are known: dynamic ones are bound on import. */
export interface TensorType<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
}

/** A value with its elements in row-major order, `data.length === elementCount(shape)`. */
export interface Tensor<D extends DType = DType> extends TensorType<D> {
  readonly data: DataOf[D];
}

export const elementBytes: Readonly<Record<DType, number>> = { float32: 4, int32: 4, int64: 8, uint8: 1, int8: 1, bool: 1 };

export function elementCount(shape: readonly number[]): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** Row-major strides in elements; the last one is 1. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= shape[i] as number;
  }
  return strides;
}

export function tensorType<D extends DType>(dtype: D, shape: readonly number[]): TensorType<D> {
  return { dtype, shape };
}

export function makeData<D extends DType>(dtype: D, length: number): DataOf[D];
export function makeData(dtype: DType, length: number): TensorData {
  switch (dtype) {
    case "float32":
      return new Float32Array(length);
    case "int32":
      return new Int32Array(length);
    case "int64":
      return new BigInt64Array(length);
    case "int8":
      return new Int8Array(length);
    case "uint8":
    case "bool":
      return new Uint8Array(length);
  }
}

/** A zero-filled tensor. */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
  return { dtype, shape, data: makeData(dtype, elementCount(shape)) };
}

export function float32Tensor(shape: readonly number[], data: Float32Array | readonly number[]): Tensor<"float32"> {
  return { dtype: "float32", shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}

export function int64Tensor(shape: readonly number[], data: readonly (number | bigint)[]): Tensor<"int64"> {
  return { dtype: "int64", shape, data: BigInt64Array.from(data, (v) => BigInt(v)) };
}

export function formatType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(", ")}]`;
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

export function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

/** Numpy broadcasting of any number of shapes; throws `E_SHAPE_MISMATCH` that shows them all. */
export function broadcastShapes(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    const shift = rank - shape.length;
    shape.forEach((d, i) => {
      const have = out[shift + i] as number;
      if (have === 1) out[shift + i] = d;
      else if (d !== 1 && d !== have) throw new CadnnError("E_SHAPE_MISMATCH", `shapes ${shapes.map((s) => `[${s.join(", ")}]`).join(" and ")} do not broadcast`);
    });
  }
  return out;
}

/** Maps −rank…rank−1 to 0…rank−1; throws `E_INVALID_ATTRIBUTE` outside of that. */
export function normalizeAxis(axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || a < 0 || a >= Math.max(rank, 1)) throw new CadnnError("E_INVALID_ATTRIBUTE", `axis ${axis} is out of range for rank ${rank}`);
  return a;
}
