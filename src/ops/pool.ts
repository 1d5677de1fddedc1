import { CadnnError } from "../errors.ts";
import { elementCount, sameShape, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import { fromNumbers, numbersOf } from "./numbers.ts";
import { defineOp, expectDType, type OpTypes, required } from "./op.ts";
import { type WindowAttrs, windowOutput, windowRows } from "./window.ts";

export type PoolAttrs = WindowAttrs & { readonly kernel: readonly number[]; readonly ceilMode: boolean };
export type MaxPoolAttrs = PoolAttrs & { readonly withIndices?: boolean };
export type AveragePoolAttrs = PoolAttrs & { readonly countIncludePad: boolean };
export type AveragePoolGradAttrs = AveragePoolAttrs & { readonly inputShape: readonly number[] };

function inferPool(op: string, shape: readonly number[], attrs: PoolAttrs): number[] {
  if (shape.length < 3) throw new CadnnError("E_SHAPE_MISMATCH", `${op}: input has shape [${shape.join(", ")}], expected [N, C, …]`);
  return [...shape.slice(0, 2), ...windowOutput(op, shape.slice(2), attrs.kernel, attrs, attrs.ceilMode)];
}

/** Largest value of each window and its position in its plane, −1 where a window holds padding only. The first of equals wins, NaN wins over all. */
function largest(x: Tensor, shape: readonly number[], attrs: PoolAttrs): { values: Float64Array; positions: Int32Array; plane: number; outputs: number } {
  const data = numbersOf(x);
  const { rows, step, inputs, outputs } = windowRows(x.shape.slice(2), attrs.kernel, shape.slice(2), attrs);
  const count = elementCount(shape);
  const values = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
  const positions = new Int32Array(count).fill(-1);
  for (let p = 0; p * outputs < count; p++)
    for (let r = 0; r < rows.length; r += 4) {
      let xi = rows[r + 1] as number;
      const y0 = p * outputs + (rows[r + 2] as number);
      const y1 = y0 + (rows[r + 3] as number);
      for (let yi = y0; yi < y1; yi++, xi += step) {
        const value = data[p * inputs + xi] as number;
        const best = values[yi] as number;
        if (value > best || positions[yi] === -1 || (Number.isNaN(value) && !Number.isNaN(best))) {
          values[yi] = value;
          positions[yi] = xi;
        }
      }
    }
  return { values, positions, plane: inputs, outputs };
}

/** Largest element of each window; padding counts as −∞. With `withIndices` also where it is in the flattened input. */
export const MaxPool = defineOp<MaxPoolAttrs>({
  name: "MaxPool",
  infer(inputs, attrs) {
    const x = required(inputs, 0, "MaxPool");
    expectDType(x, ["float32", "int8", "uint8"], "MaxPool", "input");
    const shape = inferPool("MaxPool", x.shape, attrs);
    return attrs.withIndices === true
      ? [
          { dtype: x.dtype, shape },
          { dtype: "int64", shape },
        ]
      : [{ dtype: x.dtype, shape }];
  },
  evaluate(inputs, attrs, types) {
    const x = inputs[0] as Tensor;
    const [y, indices] = types as [TensorType, TensorType?];
    const { values, positions, plane, outputs } = largest(x, y.shape, attrs);
    const result = [fromNumbers(y, values)];
    if (indices === undefined) return result;
    return [
      ...result,
      fromNumbers(
        indices,
        Float64Array.from(positions, (position, i) => Math.floor(i / outputs) * plane + position),
      ),
    ];
  },
});

/** How many elements each window of a plane averages over: those of the input, or with `countIncludePad` those of the padded input. */
export function windowCounts(size: readonly number[], out: readonly number[], attrs: AveragePoolAttrs): Float64Array {
  // Counting cells of the padded input is counting cells of a larger input without padding.
  const rank = size.length;
  const padded = size.map((extent, d) => extent + (attrs.pads[d] as number) + (attrs.pads[d + rank] as number));
  const { rows, outputs } = attrs.countIncludePad
    ? windowRows(padded, attrs.kernel, out, { ...attrs, pads: new Array<number>(2 * rank).fill(0) })
    : windowRows(size, attrs.kernel, out, attrs);
  const counts = new Float64Array(outputs);
  for (let r = 0; r < rows.length; r += 4) {
    const y0 = rows[r + 2] as number;
    const y1 = y0 + (rows[r + 3] as number);
    for (let yi = y0; yi < y1; yi++) counts[yi] = (counts[yi] as number) + 1;
  }
  return counts.map((count) => Math.max(count, 1));
}

/** Mean of each window. Cells beyond the padded input, which `ceilMode` may reach, are never counted. */
export const AveragePool = defineOp<AveragePoolAttrs>({
  name: "AveragePool",
  infer(inputs, attrs) {
    const x = required(inputs, 0, "AveragePool");
    expectDType(x, ["float32"], "AveragePool", "input");
    return [{ dtype: "float32", shape: inferPool("AveragePool", x.shape, attrs) }];
  },
  evaluate(tensors, attrs, [type]) {
    const x = tensors[0] as Tensor<"float32">;
    const y = zeros("float32", (type as TensorType).shape);
    const size = x.shape.slice(2);
    const out = y.shape.slice(2);
    const { rows, step, inputs, outputs } = windowRows(size, attrs.kernel, out, attrs);
    const counts = windowCounts(size, out, attrs);
    const sums = new Float64Array(outputs);
    for (let p = 0; p * outputs < y.data.length; p++) {
      sums.fill(0);
      for (let r = 0; r < rows.length; r += 4) {
        let xi = p * inputs + (rows[r + 1] as number);
        const y0 = rows[r + 2] as number;
        const y1 = y0 + (rows[r + 3] as number);
        for (let yi = y0; yi < y1; yi++, xi += step) sums[yi] = (sums[yi] as number) + (x.data[xi] as number);
      }
      for (let i = 0; i < outputs; i++) y.data[p * outputs + i] = (sums[i] as number) / (counts[i] as number);
    }
    return [y];
  },
});

function inferGlobalPool(op: string, inputs: OpTypes): TensorType[] {
  const x = required(inputs, 0, op);
  expectDType(x, ["float32"], op, "input");
  if (x.shape.length < 3) throw new CadnnError("E_SHAPE_MISMATCH", `${op}: input has shape [${x.shape.join(", ")}], expected [N, C, …]`);
  return [{ dtype: "float32", shape: x.shape.map((d, i) => (i < 2 ? d : 1)) }];
}

function evaluateGlobalPool(x: Tensor<"float32">, type: TensorType, pool: (plane: Float32Array) => number): Tensor<"float32"> {
  const y = zeros("float32", type.shape);
  const plane = elementCount(x.shape.slice(2));
  for (let p = 0; p < y.data.length; p++) y.data[p] = pool(x.data.subarray(p * plane, (p + 1) * plane));
  return y;
}

/** Mean of each plane: [N, C, …] → [N, C, 1, …]. */
export const GlobalAveragePool = defineOp({
  name: "GlobalAveragePool",
  infer: (inputs) => inferGlobalPool("GlobalAveragePool", inputs),
  evaluate: ([x], _, [type]) => [evaluateGlobalPool(x as Tensor<"float32">, type as TensorType, (plane) => plane.reduce((sum, v) => sum + v, 0) / plane.length)],
});

/** Largest element of each plane: [N, C, …] → [N, C, 1, …]. */
export const GlobalMaxPool = defineOp({
  name: "GlobalMaxPool",
  infer: (inputs) => inferGlobalPool("GlobalMaxPool", inputs),
  evaluate: ([x], _, [type]) => [evaluateGlobalPool(x as Tensor<"float32">, type as TensorType, (plane) => plane.reduce((best, v) => Math.max(best, v), Number.NEGATIVE_INFINITY))],
});

/** ∂loss/∂x of MaxPool. Inputs: x, y, dy. Each window's gradient goes to its first largest element. */
export const MaxPoolGrad = defineOp<MaxPoolAttrs>({
  name: "MaxPoolGrad",
  infer(inputs, attrs) {
    const [x, y, dy] = [0, 1, 2].map((i) => required(inputs, i, "MaxPoolGrad")) as [TensorType, TensorType, TensorType];
    const shape = inferPool("MaxPoolGrad", x.shape, attrs);
    if (!sameShape(y.shape, shape) || !sameShape(dy.shape, shape))
      throw new CadnnError("E_SHAPE_MISMATCH", `MaxPoolGrad: output [${y.shape.join(", ")}] and gradient [${dy.shape.join(", ")}], expected [${shape.join(", ")}]`);
    return [{ dtype: "float32", shape: x.shape }];
  },
  evaluate([x, , gradient], attrs) {
    const dy = gradient as Tensor<"float32">;
    const { positions, plane, outputs } = largest(x as Tensor, dy.shape, attrs);
    const dx = new Float64Array(elementCount((x as Tensor).shape));
    positions.forEach((position, i) => {
      const xi = Math.floor(i / outputs) * plane + position;
      if (position >= 0) dx[xi] = (dx[xi] as number) + (dy.data[i] as number);
    });
    return [fromNumbers({ dtype: "float32", shape: (x as Tensor).shape }, dx)];
  },
});

/** ∂loss/∂x of AveragePool. Input: dy; gives a tensor of `inputShape`. */
export const AveragePoolGrad = defineOp<AveragePoolGradAttrs>({
  name: "AveragePoolGrad",
  infer(inputs, attrs) {
    const dy = required(inputs, 0, "AveragePoolGrad");
    const shape = inferPool("AveragePoolGrad", attrs.inputShape, attrs);
    if (!sameShape(dy.shape, shape)) throw new CadnnError("E_SHAPE_MISMATCH", `AveragePoolGrad: gradient [${dy.shape.join(", ")}], expected [${shape.join(", ")}]`);
    return [{ dtype: "float32", shape: attrs.inputShape }];
  },
  evaluate([gradient], attrs) {
    const dy = gradient as Tensor<"float32">;
    const size = attrs.inputShape.slice(2);
    const out = dy.shape.slice(2);
    const { rows, step, inputs, outputs } = windowRows(size, attrs.kernel, out, attrs);
    const counts = windowCounts(size, out, attrs);
    const dx = new Float64Array(elementCount(attrs.inputShape));
    for (let p = 0; p * outputs < dy.data.length; p++)
      for (let r = 0; r < rows.length; r += 4) {
        let xi = p * inputs + (rows[r + 1] as number);
        const y0 = rows[r + 2] as number;
        const y1 = y0 + (rows[r + 3] as number);
        for (let yi = y0; yi < y1; yi++, xi += step) dx[xi] = (dx[xi] as number) + (dy.data[p * outputs + yi] as number) / (counts[yi] as number);
      }
    return [fromNumbers({ dtype: "float32", shape: attrs.inputShape }, dx)];
  },
});

export const poolOps = [MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPoolGrad, AveragePoolGrad];
