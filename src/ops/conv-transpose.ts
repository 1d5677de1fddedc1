import { CadnnError } from "../errors.ts";
import { elementCount, sameShape, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import type { ConvAttrs } from "./conv.ts";
import { defineOp, expectDType, required } from "./op.ts";
import { windowOutput, windowRows } from "./window.ts";

export type ConvTransposeAttrs = ConvAttrs & { readonly outputPadding: readonly number[] };
export type ConvGradInputAttrs = ConvAttrs & { readonly inputShape: readonly number[] };
export type ConvGradWeightAttrs = ConvAttrs & { readonly weightShape: readonly number[] };

/**
 * The transpose of convolution as a linear map: x[n, c, o · stride + k · dilation − pad] = Σ_m Σ_k y[n, m, o] · w[m, c, k] + b[c].
 * y: [N, M, …], w: [M, C / groups, …], result: [N, C, …].
 */
function scatterConv(y: Tensor<"float32">, w: Tensor<"float32">, b: Tensor<"float32"> | undefined, shape: readonly number[], attrs: ConvAttrs): Tensor<"float32"> {
  const x = zeros("float32", shape);
  const [N = 0, C = 0, ...size] = shape;
  const [M = 0, CG = 0, ...kernel] = w.shape;
  const { rows, step, taps, inputs, outputs } = windowRows(size, kernel, y.shape.slice(2), attrs);
  const sums = new Float64Array(inputs);
  const filters = M / attrs.group;
  for (let n = 0; n < N; n++)
    for (let c = 0; c < C; c++) {
      sums.fill(b === undefined ? 0 : (b.data[c] as number));
      const group = Math.floor(c / CG);
      for (let m = group * filters; m < (group + 1) * filters; m++) {
        const yBase = (n * M + m) * outputs;
        const wBase = (m * CG + (c % CG)) * taps;
        for (let r = 0; r < rows.length; r += 4) {
          const weight = w.data[wBase + (rows[r] as number)] as number;
          let xi = rows[r + 1] as number;
          const y0 = yBase + (rows[r + 2] as number);
          const y1 = y0 + (rows[r + 3] as number);
          for (let yi = y0; yi < y1; yi++, xi += step) sums[xi] = (sums[xi] as number) + (y.data[yi] as number) * weight;
        }
      }
      x.data.set(sums, (n * C + c) * inputs);
    }
  return x;
}

/** Transposed convolution. x: [N, C, …], w: [C, M / groups, …], b: [M]; extent = (in − 1) · stride + (k − 1) · dilation + 1 − pads + outputPadding. */
export const ConvTranspose = defineOp<ConvTransposeAttrs>({
  name: "ConvTranspose",
  infer(inputs, attrs) {
    const x = required(inputs, 0, "ConvTranspose");
    const w = required(inputs, 1, "ConvTranspose");
    const b = inputs[2];
    expectDType(x, ["float32"], "ConvTranspose", "input");
    const [n = 0, c = 0, ...size] = x.shape;
    const [wc = 0, mPerGroup = 0, ...kernel] = w.shape;
    if (x.shape.length < 3 || w.shape.length !== x.shape.length || wc !== c || c % attrs.group !== 0)
      throw new CadnnError("E_SHAPE_MISMATCH", `ConvTranspose: input [${x.shape.join(", ")}] and weight [${w.shape.join(", ")}] with ${attrs.group} groups do not fit`);
    const m = mPerGroup * attrs.group;
    if (b !== undefined && elementCount(b.shape) !== m) throw new CadnnError("E_SHAPE_MISMATCH", `ConvTranspose: bias [${b.shape.join(", ")}] for ${m} filters`);
    const out = size.map((extent, d) => {
      const span = (attrs.dilations[d] as number) * ((kernel[d] as number) - 1) + 1;
      const padding = (attrs.pads[d] as number) + (attrs.pads[d + size.length] as number);
      return (attrs.strides[d] as number) * (extent - 1) + span - padding + (attrs.outputPadding[d] as number);
    });
    if (out.some((extent) => !(extent > 0))) throw new CadnnError("E_SHAPE_MISMATCH", `ConvTranspose: input [${x.shape.join(", ")}] gives output of size [${out.join(", ")}]`);
    return [{ dtype: "float32", shape: [n, m, ...out] }];
  },
  evaluate: ([x, w, b], attrs, [type]) => [scatterConv(x as Tensor<"float32">, w as Tensor<"float32">, b as Tensor<"float32"> | undefined, (type as TensorType).shape, attrs)],
});

/** ∂loss/∂x of Conv. dy: [N, M, …], w: [M, C / groups, …]; gives a tensor of `inputShape`. */
export const ConvGradInput = defineOp<ConvGradInputAttrs>({
  name: "ConvGradInput",
  infer(inputs, attrs) {
    const dy = required(inputs, 0, "ConvGradInput");
    const w = required(inputs, 1, "ConvGradInput");
    expectConv("ConvGradInput", attrs.inputShape, w.shape, dy.shape, attrs);
    return [{ dtype: "float32", shape: attrs.inputShape }];
  },
  evaluate: ([dy, w], attrs) => [scatterConv(dy as Tensor<"float32">, w as Tensor<"float32">, undefined, attrs.inputShape, attrs)],
});

/** ∂loss/∂w of Conv: dw[m, c, k] = Σ_n Σ_o dy[n, m, o] · x[n, c, o · stride + k · dilation − pad]. Gives a tensor of `weightShape`. */
export const ConvGradWeight = defineOp<ConvGradWeightAttrs>({
  name: "ConvGradWeight",
  infer(inputs, attrs) {
    const x = required(inputs, 0, "ConvGradWeight");
    const dy = required(inputs, 1, "ConvGradWeight");
    expectConv("ConvGradWeight", x.shape, attrs.weightShape, dy.shape, attrs);
    return [{ dtype: "float32", shape: attrs.weightShape }];
  },
  evaluate(inputs, attrs) {
    const x = inputs[0] as Tensor<"float32">;
    const dy = inputs[1] as Tensor<"float32">;
    const [N = 0, C = 0, ...size] = x.shape;
    const [M = 0, CG = 0, ...kernel] = attrs.weightShape;
    const { rows, step, taps, inputs: plane, outputs } = windowRows(size, kernel, dy.shape.slice(2), attrs);
    const dw = zeros("float32", attrs.weightShape);
    const sums = new Float64Array(taps);
    for (let m = 0; m < M; m++)
      for (let c = 0; c < CG; c++) {
        const channel = Math.floor(m / (M / attrs.group)) * CG + c;
        sums.fill(0);
        for (let n = 0; n < N; n++)
          for (let r = 0; r < rows.length; r += 4) {
            let xi = (n * C + channel) * plane + (rows[r + 1] as number);
            const y0 = (n * M + m) * outputs + (rows[r + 2] as number);
            const y1 = y0 + (rows[r + 3] as number);
            let sum = 0;
            for (let yi = y0; yi < y1; yi++, xi += step) sum += (dy.data[yi] as number) * (x.data[xi] as number);
            const tap = rows[r] as number;
            sums[tap] = (sums[tap] as number) + sum;
          }
        dw.data.set(sums, (m * CG + c) * taps);
      }
    return [dw];
  },
});

/** Checks that convolving `x` with `w` gives a tensor of shape `dy`. */
function expectConv(op: string, x: readonly number[], w: readonly number[], dy: readonly number[], attrs: ConvAttrs): void {
  const [n = 0, c = 0, ...size] = x;
  const [m = 0, cPerGroup = 0, ...kernel] = w;
  const y = [n, m, ...windowOutput(op, size, kernel, attrs)];
  if (c !== cPerGroup * attrs.group || !sameShape(y, dy))
    throw new CadnnError("E_SHAPE_MISMATCH", `${op}: input [${x.join(", ")}], weight [${w.join(", ")}] and gradient [${dy.join(", ")}] do not fit`);
}

export const convTransposeOps = [ConvTranspose, ConvGradInput, ConvGradWeight];
