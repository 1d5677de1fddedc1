import { CadnnError } from "../errors.ts";
import { broadcastShapes, elementCount, makeData, sameShape, stridesOf, type Tensor, type TensorType } from "../ir/types.ts";
import { numbersOf } from "./numbers.ts";
import { defineOp, expectDType, expectRank, required } from "./op.ts";
import { broadcastOffsets, pick, viewOffsets } from "./strided.ts";

export type AxisAttrs = { readonly axis: number };
export type SplitAttrs = { readonly axis: number; readonly sizes: readonly number[] };
/** One entry a dimension: out[i] = in[start + i · step]. Steps may be negative. */
export type SliceAttrs = { readonly starts: readonly number[]; readonly sizes: readonly number[]; readonly steps: readonly number[] };
export type ShapeAttrs = { readonly shape: readonly number[] };
export type TransposeAttrs = { readonly perm: readonly number[] };
export type DepthToSpaceAttrs = { readonly blocksize: number; readonly mode: string };
export type SpaceToDepthAttrs = { readonly blocksize: number };

function expectAxis(op: string, axis: number, shape: readonly number[]): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length) throw new CadnnError("E_INVALID_ATTRIBUTE", `${op}: axis ${axis} for input [${shape.join(", ")}]`);
}

/** Joins tensors of any type along an axis. */
export const Concat = defineOp<AxisAttrs>({
  name: "Concat",
  infer(inputs, { axis }) {
    const types = inputs.map((_, i) => required(inputs, i, "Concat"));
    const first = required(types, 0, "Concat");
    expectAxis("Concat", axis, first.shape);
    for (const type of types) {
      if (type.dtype !== first.dtype) throw new CadnnError("E_DTYPE_MISMATCH", `Concat: inputs are ${first.dtype} and ${type.dtype}`);
      if (type.shape.length !== first.shape.length || type.shape.some((extent, d) => d !== axis && extent !== first.shape[d]))
        throw new CadnnError("E_SHAPE_MISMATCH", `Concat: inputs [${first.shape.join(", ")}] and [${type.shape.join(", ")}] along axis ${axis}`);
    }
    return [
      {
        dtype: first.dtype,
        shape: first.shape.with(
          axis,
          types.reduce((sum, type) => sum + (type.shape[axis] as number), 0),
        ),
      },
    ];
  },
  evaluate(inputs, { axis }, [type]) {
    const { dtype, shape } = type as TensorType;
    const data = makeData(dtype, elementCount(shape));
    const row = elementCount(shape.slice(axis));
    let column = 0;
    for (const x of inputs as Tensor[]) {
      const width = elementCount(x.shape.slice(axis));
      for (let from = 0, to = column; from < x.data.length; from += width, to += row) data.set(x.data.subarray(from, from + width) as never, to);
      column += width;
    }
    return [{ dtype, shape, data }];
  },
});

/** Cuts a tensor along an axis into pieces of the given sizes. */
export const Split = defineOp<SplitAttrs>({
  name: "Split",
  infer(inputs, { axis, sizes }) {
    const x = required(inputs, 0, "Split");
    expectAxis("Split", axis, x.shape);
    if (sizes.some((size) => size < 0) || sizes.reduce((sum, size) => sum + size, 0) !== x.shape[axis])
      throw new CadnnError("E_INVALID_ATTRIBUTE", `Split: sizes [${sizes.join(", ")}] along axis ${axis} of [${x.shape.join(", ")}]`);
    return sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.with(axis, size) }));
  },
  evaluate([input], { axis }, types) {
    const x = input as Tensor;
    const strides = stridesOf(x.shape);
    let start = 0;
    return types.map((type) => {
      const piece = pick(x, viewOffsets(type.shape, strides, start * (strides[axis] as number)), type);
      start += type.shape[axis] as number;
      return piece;
    });
  },
});

export const Slice = defineOp<SliceAttrs>({
  name: "Slice",
  infer(inputs, { starts, sizes, steps }) {
    const x = required(inputs, 0, "Slice");
    const fits = x.shape.every((extent, d) => {
      const [start, size, step] = [starts[d] as number, sizes[d] as number, steps[d] as number];
      const end = start + (size - 1) * step;
      return step !== 0 && size >= 0 && (size === 0 || (start >= 0 && start < extent && end >= 0 && end < extent));
    });
    if (!fits || [starts, sizes, steps].some((values) => values.length !== x.shape.length))
      throw new CadnnError("E_INVALID_ATTRIBUTE", `Slice: starts [${starts.join(", ")}], sizes [${sizes.join(", ")}], steps [${steps.join(", ")}] of [${x.shape.join(", ")}]`);
    return [{ dtype: x.dtype, shape: sizes }];
  },
  evaluate([input], { starts, steps }, [type]) {
    const x = input as Tensor;
    const strides = stridesOf(x.shape);
    const start = strides.reduce((sum, stride, d) => sum + stride * (starts[d] as number), 0);
    const offsets = viewOffsets(
      (type as TensorType).shape,
      strides.map((stride, d) => stride * (steps[d] as number)),
      start,
    );
    return [pick(x, offsets, type as TensorType)];
  },
});

/** The same elements in another shape. Flatten, Squeeze and Unsqueeze are this too. */
export const Reshape = defineOp<ShapeAttrs>({
  name: "Reshape",
  infer(inputs, { shape }) {
    const x = required(inputs, 0, "Reshape");
    if (elementCount(shape) !== elementCount(x.shape)) throw new CadnnError("E_SHAPE_MISMATCH", `Reshape: input [${x.shape.join(", ")}] to [${shape.join(", ")}]`);
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: ([x], { shape }) => [{ ...(x as Tensor), shape }],
});

/** Output dimension d is input dimension perm[d]. */
export const Transpose = defineOp<TransposeAttrs>({
  name: "Transpose",
  infer(inputs, { perm }) {
    const x = required(inputs, 0, "Transpose");
    if (
      !sameShape(
        perm.toSorted((a, b) => a - b),
        [...x.shape.keys()],
      )
    )
      throw new CadnnError("E_INVALID_ATTRIBUTE", `Transpose: perm [${perm.join(", ")}] of [${x.shape.join(", ")}]`);
    return [{ dtype: x.dtype, shape: perm.map((d) => x.shape[d] as number) }];
  },
  evaluate([input], { perm }, [type]) {
    const strides = stridesOf((input as Tensor).shape);
    const offsets = viewOffsets(
      (type as TensorType).shape,
      perm.map((d) => strides[d] as number),
    );
    return [pick(input as Tensor, offsets, type as TensorType)];
  },
});

/** Broadcasts to a shape, as numpy does; dimensions of 1 in `shape` keep the input's. */
export const Expand = defineOp<ShapeAttrs>({
  name: "Expand",
  infer(inputs, { shape }) {
    const x = required(inputs, 0, "Expand");
    return [{ dtype: x.dtype, shape: broadcastShapes(x.shape, shape) }];
  },
  evaluate: ([x], _, [type]) => [pick(x as Tensor, broadcastOffsets((x as Tensor).shape, (type as TensorType).shape), type as TensorType)],
});

/** out[…, i…, …] = data[…, indices[i…], …]; the dimension `axis` of data gives way to those of indices. Negative indices count from the end. */
export const Gather = defineOp<AxisAttrs>({
  name: "Gather",
  infer(inputs, { axis }) {
    const data = required(inputs, 0, "Gather");
    const indices = required(inputs, 1, "Gather");
    expectAxis("Gather", axis, data.shape);
    expectDType(indices, ["int32", "int64"], "Gather", "indices");
    return [{ dtype: data.dtype, shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)] }];
  },
  evaluate([first, second], { axis }, [output]) {
    const x = first as Tensor;
    const extent = x.shape[axis] as number;
    const indices = Array.from(numbersOf(second as Tensor), (index) => {
      if (index < -extent || index >= extent) throw new CadnnError("E_INVALID_GRAPH", `Gather: index ${index} is out of range for axis ${axis} of [${x.shape.join(", ")}]`);
      return index < 0 ? index + extent : index;
    });
    const inner = elementCount(x.shape.slice(axis + 1));
    const { dtype, shape } = output as TensorType;
    const data = makeData(dtype, elementCount(shape));
    let to = 0;
    for (let outer = 0; outer < elementCount(x.shape.slice(0, axis)); outer++)
      for (const index of indices) {
        const from = (outer * extent + index) * inner;
        data.set(x.data.subarray(from, from + inner) as never, to);
        to += inner;
      }
    return [{ dtype, shape, data }];
  },
});

/** Moves blocks of channels into the plane: [N, C, H, W] → [N, C / b², H · b, W · b]. `mode` says which part of the channel index is the block: "DCR" or "CRD". */
export const DepthToSpace = defineOp<DepthToSpaceAttrs>({
  name: "DepthToSpace",
  infer(inputs, { blocksize: b }) {
    const x = required(inputs, 0, "DepthToSpace");
    expectRank(x, 4, "DepthToSpace", "input");
    const [n = 0, c = 0, h = 0, w = 0] = x.shape;
    if (c % (b * b) !== 0) throw new CadnnError("E_SHAPE_MISMATCH", `DepthToSpace: ${c} channels in blocks of ${b} × ${b}`);
    return [{ dtype: x.dtype, shape: [n, c / (b * b), h * b, w * b] }];
  },
  evaluate([input], { blocksize: b, mode }, [type]) {
    const [n = 0, c = 0, h = 0, w = 0] = (input as Tensor).shape;
    const channels = c / (b * b);
    const [sn, sh, sw, plane] = [c * h * w, w, 1, h * w];
    // Strides of output channel, block row and block column within the input's channels.
    const [sc, sy, sx] = mode === "CRD" ? [b * b * plane, b * plane, plane] : [plane, b * channels * plane, channels * plane];
    return [pick(input as Tensor, viewOffsets([n, channels, h, b, w, b], [sn, sc, sh, sy, sw, sx]), type as TensorType)];
  },
});

/** The inverse of DepthToSpace "DCR": [N, C, H, W] → [N, C · b², H / b, W / b]. */
export const SpaceToDepth = defineOp<SpaceToDepthAttrs>({
  name: "SpaceToDepth",
  infer(inputs, { blocksize: b }) {
    const x = required(inputs, 0, "SpaceToDepth");
    expectRank(x, 4, "SpaceToDepth", "input");
    const [n = 0, c = 0, h = 0, w = 0] = x.shape;
    if (h % b !== 0 || w % b !== 0) throw new CadnnError("E_SHAPE_MISMATCH", `SpaceToDepth: [${x.shape.join(", ")}] in blocks of ${b} × ${b}`);
    return [{ dtype: x.dtype, shape: [n, c * b * b, h / b, w / b] }];
  },
  evaluate([input], { blocksize: b }, [type]) {
    const [n = 0, c = 0, h = 0, w = 0] = (input as Tensor).shape;
    return [pick(input as Tensor, viewOffsets([n, b, b, c, h / b, w / b], [c * h * w, w, 1, h * w, b * w, b]), type as TensorType)];
  },
});

export const shapeOps = [Concat, Split, Slice, Reshape, Transpose, Expand, Gather, DepthToSpace, SpaceToDepth];
