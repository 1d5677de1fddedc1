import { type DType, elementCount, makeData, type Tensor, type TensorType } from "../ir/types.ts";

export const floatTypes: readonly DType[] = ["float32"];
export const integerTypes: readonly DType[] = ["int32", "int64", "uint8", "int8"];
export const numericTypes: readonly DType[] = [...floatTypes, ...integerTypes];
export const allTypes: readonly DType[] = [...numericTypes, "bool"];

/** The elements as doubles; of int64 only those up to 2^53 are exact. */
export function numbersOf(tensor: Tensor): Exclude<Tensor["data"], BigInt64Array> | Float64Array {
  return tensor.data instanceof BigInt64Array ? Float64Array.from(tensor.data, Number) : tensor.data;
}

/** The elements of an integer or bool tensor, exactly. */
export function bigintsOf(tensor: Tensor): BigInt64Array {
  return tensor.data instanceof BigInt64Array ? tensor.data : BigInt64Array.from(tensor.data as ArrayLike<number>, (v) => BigInt(v));
}

const ranges: Readonly<Record<"int32" | "uint8" | "int8", readonly [number, number]>> = { int32: [-(2 ** 31), 2 ** 31 - 1], uint8: [0, 255], int8: [-128, 127] };
const int64Range = [-(2n ** 63n), 2n ** 63n - 1n] as const;

/** Doubles as elements of a type: rounded to float32; towards zero and saturated to integers, NaN giving 0; bool is "not 0". */
export function fromNumbers(type: TensorType, values: ArrayLike<number>): Tensor {
  const data = makeData(type.dtype, elementCount(type.shape));
  for (let i = 0; i < data.length; i++) data[i] = toElement(type.dtype, values[i] as number);
  return { ...type, data };
}

function toElement(dtype: DType, value: number): never {
  switch (dtype) {
    case "float32":
      return value as never;
    case "bool":
      return Number(value !== 0) as never;
    case "int64":
      return (Number.isNaN(value) ? 0n : value >= 2 ** 63 ? int64Range[1] : value < -(2 ** 63) ? int64Range[0] : BigInt(Math.trunc(value))) as never;
    default: {
      const [low, high] = ranges[dtype];
      return (Number.isNaN(value) ? 0 : Math.trunc(Math.min(Math.max(value, low), high))) as never;
    }
  }
}

/** Integers as elements of an integer or bool type, wrapped as in C; bool is "not 0". */
export function fromBigints(type: TensorType, values: BigInt64Array): Tensor {
  const { dtype } = type;
  if (dtype === "int64") return { ...type, data: values };
  const data = makeData(dtype as "int32", values.length);
  for (let i = 0; i < data.length; i++) {
    const v = values[i] as bigint;
    data[i] = dtype === "bool" ? Number(v !== 0n) : Number(BigInt.asIntN(32, v)); // typed arrays wrap the rest
  }
  return { ...type, data };
}
