import { CadnnError } from "../errors.ts";
import { type Activation, activationExpr, noActivation } from "../ir/activation.ts";
import { evaluateExpr } from "../ir/expr.ts";
import { elementCount, sameShape, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import { defineOp, expectDType, type OpTensors, type OpTypes, required } from "./op.ts";
import { type WindowAttrs, type WindowRows, windowOutput, windowRows } from "./window.ts";

/** All arrays have one entry a spatial dimension, `pads` two: all begins, then all ends. `auto_pad` is resolved on import. */
export type ConvAttrs = WindowAttrs & { readonly group: number };
export type FusedConvAttrs = ConvAttrs & { readonly activation: Activation };

function inferConv(name: string, inputs: OpTypes, attrs: ConvAttrs): TensorType[] {
  const x = required(inputs, 0, name);
  const w = required(inputs, 1, name);
  const b = inputs[2];
  const residual = inputs[3];
  expectDType(x, ["float32"], name, "input");
  expectDType(w, ["float32"], name, "weight");
  if (x.shape.length < 3 || w.shape.length !== x.shape.length)
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: input [${x.shape.join(", ")}] and weight [${w.shape.join(", ")}] differ in rank`);
  const [n = 0, c = 0, ...size] = x.shape;
  const [m = 0, cPerGroup = 0, ...kernel] = w.shape;
  if (c !== cPerGroup * attrs.group || m % attrs.group !== 0)
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: input has ${c} channels, weight [${w.shape.join(", ")}] with ${attrs.group} groups takes ${cPerGroup * attrs.group}`);
  if (b !== undefined && elementCount(b.shape) !== m) throw new CadnnError("E_SHAPE_MISMATCH", `${name}: bias [${b.shape.join(", ")}] for ${m} filters`);
  const shape = [n, m, ...windowOutput(name, size, kernel, attrs)];
  if (residual !== undefined && !sameShape(residual.shape, shape))
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: residual [${residual.shape.join(", ")}] for output [${shape.join(", ")}]`);
  return [{ dtype: "float32", shape }];
}

/** y[n, m, o] = act(b[m] + Σ_c Σ_k x[n, c, o · stride + k · dilation − pad] · w[m, c, k] + residual[n, m, o]), for one to three spatial dimensions. */
function evaluateConv(inputs: OpTensors, attrs: ConvAttrs, activation: Activation, type: TensorType): Tensor<"float32"> {
  const x = inputs[0] as Tensor<"float32">;
  const w = inputs[1] as Tensor<"float32">;
  const b = inputs[2] as Tensor<"float32"> | undefined;
  const residual = inputs[3] as Tensor<"float32"> | undefined;
  const y = zeros("float32", type.shape);
  const [N = 0, C = 0, ...size] = x.shape;
  const [M = 0, CG = 0, ...kernel] = w.shape;
  const window = windowRows(size, kernel, type.shape.slice(2), attrs);
  const sums = new Float64Array(window.outputs);
  const expr = activationExpr(activation);
  for (let n = 0; n < N; n++)
    for (let m = 0; m < M; m++) {
      const firstChannel = Math.floor(m / (M / attrs.group)) * CG;
      sums.fill(b === undefined ? 0 : (b.data[m] as number));
      let c = 0;
      for (; c + 4 <= CG; c += 4) accumulate4(sums, x.data, (n * C + firstChannel + c) * window.inputs, w.data, (m * CG + c) * window.taps, window);
      for (; c < CG; c++) accumulate(sums, x.data, (n * C + firstChannel + c) * window.inputs, w.data, (m * CG + c) * window.taps, window);
      const o = (n * M + m) * window.outputs;
      if (residual !== undefined) for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (residual.data[o + i] as number);
      if (activation.kind !== "none") for (let i = 0; i < sums.length; i++) sums[i] = evaluateExpr(expr, [sums[i] as number]);
      y.data.set(sums, o);
    }
  return y;
}

/** Adds one input plane, convolved with one kernel plane, to the sums. */
function accumulate(sums: Float64Array, x: Float32Array, xBase: number, w: Float32Array, wBase: number, { rows, step }: WindowRows): void {
  for (let r = 0; r < rows.length; r += 4) {
    const weight = w[wBase + (rows[r] as number)] as number;
    let xi = xBase + (rows[r + 1] as number);
    const y0 = rows[r + 2] as number;
    const y1 = y0 + (rows[r + 3] as number);
    for (let yi = y0; yi < y1; yi++, xi += step) sums[yi] = (sums[yi] as number) + (x[xi] as number) * weight;
  }
}

/** The same for four neighbouring channels at a time, which reads and writes the sums a quarter as often. */
function accumulate4(sums: Float64Array, x: Float32Array, xBase: number, w: Float32Array, wBase: number, { rows, step, taps, inputs }: WindowRows): void {
  for (let r = 0; r < rows.length; r += 4) {
    const wi = wBase + (rows[r] as number);
    const [w0, w1, w2, w3] = [w[wi] as number, w[wi + taps] as number, w[wi + 2 * taps] as number, w[wi + 3 * taps] as number];
    let xi = xBase + (rows[r + 1] as number);
    const y0 = rows[r + 2] as number;
    const y1 = y0 + (rows[r + 3] as number);
    for (let yi = y0; yi < y1; yi++, xi += step)
      sums[yi] = (sums[yi] as number) + (x[xi] as number) * w0 + (x[xi + inputs] as number) * w1 + (x[xi + 2 * inputs] as number) * w2 + (x[xi + 3 * inputs] as number) * w3;
  }
}

/** Convolution. x: [N, C, …], w: [M, C / groups, …], b: [M]. */
export const Conv = defineOp<ConvAttrs>({
  name: "Conv",
  infer: (inputs, attrs) => inferConv("Conv", inputs.slice(0, 3), attrs),
  evaluate: (inputs, attrs, [type]) => [evaluateConv(inputs, attrs, noActivation, type as TensorType)],
});

/** activation(Conv(x, w, b) + residual). Inputs: x, w, b?, residual? (the type of the output). Made by passes. */
export const FusedConv = defineOp<FusedConvAttrs>({
  name: "FusedConv",
  infer: (inputs, attrs) => inferConv("FusedConv", inputs, attrs),
  evaluate: (inputs, attrs, [type]) => [evaluateConv(inputs, attrs, attrs.activation, type as TensorType)],
});

export const convOps = [Conv, FusedConv];
