import { CadnnError } from "../errors.ts";
import { type Activation, activationExpr } from "../ir/activation.ts";
import { evaluateExpr } from "../ir/expr.ts";
import { elementCount, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import { defineOp, expectDType, type OpTensors, type OpTypes, required } from "./op.ts";

/** All arrays have one entry a spatial dimension, `pads` two: all begins, then all ends. `auto_pad` is resolved on import. */
export type ConvAttrs = {
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
  readonly group: number;
};
export type FusedConvAttrs = ConvAttrs & { readonly activation: Activation };

function inferConv(name: string, inputs: OpTypes, attrs: ConvAttrs): TensorType[] {
  const x = required(inputs, 0, name);
  const w = required(inputs, 1, name);
  const b = inputs[2];
  const spatial = x.shape.length - 2;
  expectDType(x, ["float32"], name, "input");
  if (spatial < 1 || w.shape.length !== x.shape.length)
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: input [${x.shape.join(", ")}] and weight [${w.shape.join(", ")}] differ in rank`);
  const [n = 0, c = 0, ...size] = x.shape;
  const [m = 0, cPerGroup = 0, ...kernel] = w.shape;
  if (c !== cPerGroup * attrs.group || m % attrs.group !== 0)
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: input has ${c} channels, weight [${w.shape.join(", ")}] with ${attrs.group} groups takes ${cPerGroup * attrs.group}`);
  if (b !== undefined && elementCount(b.shape) !== m) throw new CadnnError("E_SHAPE_MISMATCH", `${name}: bias [${b.shape.join(", ")}] for ${m} filters`);
  const out = size.map((d, i) => {
    const span = ((attrs.dilations[i] as number) * ((kernel[i] as number) - 1) + 1) as number;
    const padded = d + (attrs.pads[i] as number) + (attrs.pads[i + spatial] as number);
    if (padded < span) throw new CadnnError("E_SHAPE_MISMATCH", `${name}: kernel [${kernel.join(", ")}] does not fit input [${x.shape.join(", ")}]`);
    return Math.floor((padded - span) / (attrs.strides[i] as number)) + 1;
  });
  return [{ dtype: "float32", shape: [n, m, ...out] }];
}

/** y[n, m, o] = b[m] + Σ_c Σ_k x[n, c, o · stride + k · dilation − pad] · w[m, c, k], for any number of spatial dimensions. */
function evaluateConv(inputs: OpTensors, attrs: ConvAttrs, type: TensorType): Tensor<"float32"> {
  const x = inputs[0] as Tensor<"float32">;
  const w = inputs[1] as Tensor<"float32">;
  const b = inputs[2] as Tensor<"float32"> | undefined;
  const y = zeros("float32", type.shape);
  const spatial = x.shape.length - 2;
  const three = (a: readonly number[], fill: number) => [...new Array<number>(3 - spatial).fill(fill), ...a] as [number, number, number];
  const [D, H, W] = three(x.shape.slice(2), 1);
  const [OD, OH, OW] = three(type.shape.slice(2), 1);
  const [KD, KH, KW] = three(w.shape.slice(2), 1);
  const [sd, sh, sw] = three(attrs.strides, 1);
  const [dd, dh, dw] = three(attrs.dilations, 1);
  const [pd, ph, pw] = three(attrs.pads.slice(0, spatial), 0);
  const [N = 0, C = 0] = x.shape;
  const [M = 0, CG = 0] = w.shape;
  const perGroup = M / attrs.group;
  let o = 0;
  for (let n = 0; n < N; n++)
    for (let m = 0; m < M; m++) {
      const c0 = Math.floor(m / perGroup) * CG;
      for (let oz = 0; oz < OD; oz++)
        for (let oy = 0; oy < OH; oy++)
          for (let ox = 0; ox < OW; ox++) {
            let sum = b === undefined ? 0 : (b.data[m] as number);
            for (let c = 0; c < CG; c++)
              for (let kz = 0; kz < KD; kz++) {
                const z = oz * sd + kz * dd - pd;
                if (z < 0 || z >= D) continue;
                for (let ky = 0; ky < KH; ky++) {
                  const yy = oy * sh + ky * dh - ph;
                  if (yy < 0 || yy >= H) continue;
                  for (let kx = 0; kx < KW; kx++) {
                    const xx = ox * sw + kx * dw - pw;
                    if (xx < 0 || xx >= W) continue;
                    sum += (x.data[(((n * C + c0 + c) * D + z) * H + yy) * W + xx] as number) * (w.data[(((m * CG + c) * KD + kz) * KH + ky) * KW + kx] as number);
                  }
                }
              }
            y.data[o++] = sum;
          }
    }
  return y;
}

/** Convolution. x: [N, C, …], w: [M, C / groups, …], b: [M]. */
export const Conv = defineOp<ConvAttrs>({
  name: "Conv",
  infer: (inputs, attrs) => inferConv("Conv", inputs, attrs),
  evaluate: (inputs, attrs, [type]) => [evaluateConv(inputs, attrs, type as TensorType)],
});

/** activation(Conv(x, w, b) + residual). Inputs: x, w, b?, residual? (the type of the output). Made by passes. */
export const FusedConv = defineOp<FusedConvAttrs>({
  name: "FusedConv",
  infer: (inputs, attrs) => inferConv("FusedConv", inputs, attrs),
  evaluate(inputs, attrs, [type]) {
    const y = evaluateConv(inputs, attrs, type as TensorType);
    const residual = inputs[3] as Tensor<"float32"> | undefined;
    const activation = activationExpr(attrs.activation);
    for (let i = 0; i < y.data.length; i++) y.data[i] = evaluateExpr(activation, [(y.data[i] as number) + (residual === undefined ? 0 : (residual.data[i] as number))]);
    return [y];
  },
});

export const convOps = [Conv, FusedConv];
