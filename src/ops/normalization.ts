import { CadnnError } from "../errors.ts";
import { broadcastShapes, elementCount, sameShape, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import { defineOp, expectDType, required } from "./op.ts";
import { broadcastOffsets } from "./strided.ts";

export type LrnAttrs = { readonly alpha: number; readonly beta: number; readonly bias: number; readonly size: number };
export type InstanceNormAttrs = { readonly epsilon: number };
export type LayerNormAttrs = { readonly axis: number; readonly epsilon: number };

/** y = x / (bias + alpha / size · Σ x²)^beta, the sum over `size` neighbouring channels. x: [N, C, …]. */
export const LRN = defineOp<LrnAttrs>({
  name: "LRN",
  infer(inputs) {
    const x = required(inputs, 0, "LRN");
    expectDType(x, ["float32"], "LRN", "input");
    if (x.shape.length < 2) throw new CadnnError("E_SHAPE_MISMATCH", `LRN: input has shape [${x.shape.join(", ")}], expected [N, C, …]`);
    return [x];
  },
  evaluate([input], { alpha, beta, bias, size }) {
    const x = input as Tensor<"float32">;
    const y = zeros("float32", x.shape);
    const [n = 0, c = 0] = x.shape;
    const plane = elementCount(x.shape.slice(2));
    for (let i = 0; i < n; i++)
      for (let channel = 0; channel < c; channel++) {
        const first = Math.max(0, channel - Math.floor((size - 1) / 2));
        const last = Math.min(c - 1, channel + Math.ceil((size - 1) / 2));
        for (let p = 0; p < plane; p++) {
          let squares = 0;
          for (let k = first; k <= last; k++) squares += (x.data[(i * c + k) * plane + p] as number) ** 2;
          const at = (i * c + channel) * plane + p;
          y.data[at] = (x.data[at] as number) / (bias + (alpha / size) * squares) ** beta;
        }
      }
    return [y];
  },
});

/** Mean of `length` elements from `start`, and 1 / √(biased variance + epsilon). */
function moments(x: Float32Array, start: number, length: number, epsilon: number): { mean: number; inverse: number } {
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += x[i] as number;
  const mean = sum / length;
  let squares = 0;
  for (let i = start; i < start + length; i++) squares += ((x[i] as number) - mean) ** 2;
  return { mean, inverse: 1 / Math.sqrt(squares / length + epsilon) };
}

/** Normalizes each plane by itself. x: [N, C, …]; scale, bias: [C]. */
export const InstanceNormalization = defineOp<InstanceNormAttrs>({
  name: "InstanceNormalization",
  infer(inputs) {
    const [x, scale, bias] = [0, 1, 2].map((i) => required(inputs, i, "InstanceNormalization")) as [TensorType, TensorType, TensorType];
    expectDType(x, ["float32"], "InstanceNormalization", "input");
    if (x.shape.length < 3 || [scale, bias].some((t) => !sameShape(t.shape, [x.shape[1] as number])))
      throw new CadnnError("E_SHAPE_MISMATCH", `InstanceNormalization: input [${x.shape.join(", ")}], scale [${scale.shape.join(", ")}], bias [${bias.shape.join(", ")}]`);
    return [x];
  },
  evaluate(inputs, { epsilon }) {
    const [x, scale, bias] = inputs as [Tensor<"float32">, Tensor<"float32">, Tensor<"float32">];
    const y = zeros("float32", x.shape);
    const c = x.shape[1] as number;
    const plane = elementCount(x.shape.slice(2));
    for (let start = 0, p = 0; start < x.data.length; start += plane, p++) {
      const { mean, inverse } = moments(x.data, start, plane, epsilon);
      for (let i = start; i < start + plane; i++) y.data[i] = ((x.data[i] as number) - mean) * inverse * (scale.data[p % c] as number) + (bias.data[p % c] as number);
    }
    return [y];
  },
});

/** Normalizes over the dimensions from `axis` on. Scale and bias? broadcast to x. */
export const LayerNormalization = defineOp<LayerNormAttrs>({
  name: "LayerNormalization",
  infer(inputs, { axis }) {
    const x = required(inputs, 0, "LayerNormalization");
    const scale = required(inputs, 1, "LayerNormalization");
    expectDType(x, ["float32"], "LayerNormalization", "input");
    if (!Number.isInteger(axis) || axis < 0 || axis >= x.shape.length)
      throw new CadnnError("E_INVALID_ATTRIBUTE", `LayerNormalization: axis ${axis} for input [${x.shape.join(", ")}]`);
    for (const t of [scale, inputs[2]])
      if (t !== undefined && !sameShape(broadcastShapes(t.shape, x.shape), x.shape))
        throw new CadnnError("E_SHAPE_MISMATCH", `LayerNormalization: scale or bias [${t.shape.join(", ")}] for input [${x.shape.join(", ")}]`);
    return [x];
  },
  evaluate(inputs, { axis, epsilon }) {
    const [x, scale, bias] = inputs as [Tensor<"float32">, Tensor<"float32">, Tensor<"float32">?];
    const y = zeros("float32", x.shape);
    const scaleOffsets = broadcastOffsets(scale.shape, x.shape);
    const biasOffsets = bias === undefined ? undefined : broadcastOffsets(bias.shape, x.shape);
    const length = elementCount(x.shape.slice(axis));
    for (let start = 0; start < x.data.length; start += length) {
      const { mean, inverse } = moments(x.data, start, length, epsilon);
      for (let i = start; i < start + length; i++) {
        const shift = bias === undefined || biasOffsets === undefined ? 0 : (bias.data[biasOffsets[i] as number] as number);
        y.data[i] = ((x.data[i] as number) - mean) * inverse * (scale.data[scaleOffsets[i] as number] as number) + shift;
      }
    }
    return [y];
  },
});

export const normalizationOps = [LRN, InstanceNormalization, LayerNormalization];
