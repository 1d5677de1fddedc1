import { elementCount, makeData, stridesOf, type Tensor, type TensorType } from "../ir/types.ts";

/** For each element of `shape` in row-major order: `start` + Σ index[d] · strides[d]. Every transposed, sliced, expanded or broadcast view is this. */
export function viewOffsets(shape: readonly number[], strides: readonly number[], start = 0): Int32Array {
  const offsets = new Int32Array(elementCount(shape));
  if (offsets.length === 0) return offsets;
  // Grow from the innermost dimension: copies of what is there, shifted by the stride of the next dimension.
  offsets[0] = start;
  let length = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    const extent = shape[d] as number;
    for (let i = 1; i < extent; i++) {
      const shift = i * (strides[d] as number);
      for (let j = 0; j < length; j++) offsets[i * length + j] = (offsets[j] as number) + shift;
    }
    length *= extent;
  }
  return offsets;
}

/** Strides with which a tensor of shape `from` is read as one of shape `to`: 0 along dimensions that are broadcast. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const strides = stridesOf(from);
  const shift = to.length - from.length;
  return to.map((_, d) => (d < shift || from[d - shift] === 1 ? 0 : (strides[d - shift] as number)));
}

/** For each element of shape `to`: where broadcasting finds it in a tensor of shape `from`. */
export function broadcastOffsets(from: readonly number[], to: readonly number[]): Int32Array {
  return viewOffsets(to, broadcastStrides(from, to));
}

/** out[i] = x[offsets[i]], and `fill` where the offset is negative. */
export function pick(x: Tensor, offsets: Int32Array, type: TensorType, fill = 0): Tensor {
  const data = makeData(type.dtype, offsets.length);
  const copy = (out: { [i: number]: number | bigint }, from: { readonly [i: number]: number | bigint }, none: number | bigint) => {
    for (let i = 0; i < offsets.length; i++) {
      const o = offsets[i] as number;
      out[i] = o < 0 ? none : (from[o] as number | bigint);
    }
  };
  copy(data as never, x.data as never, data instanceof BigInt64Array ? BigInt(fill) : fill);
  return { ...type, data };
}
