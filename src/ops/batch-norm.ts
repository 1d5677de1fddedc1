import { CadnnError } from "../errors.ts";
import { elementCount, sameShape, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import { defineOp, expectDType, type OpTypes, required } from "./op.ts";

export type BatchNormAttrs = { readonly epsilon: number };

/** Checks that x is [N, C, …] and that each of the inputs `first` … `last` holds one number a channel. */
function expectChannels(op: string, inputs: OpTypes, first: number, last: number): TensorType {
  const x = required(inputs, 0, op);
  expectDType(x, ["float32"], op, "input");
  if (x.shape.length < 2) throw new CadnnError("E_SHAPE_MISMATCH", `${op}: input has shape [${x.shape.join(", ")}], expected [N, C, …]`);
  for (let i = first; i <= last; i++) {
    const channels = required(inputs, i, op);
    if (!sameShape(channels.shape, [x.shape[1] as number]))
      throw new CadnnError("E_SHAPE_MISMATCH", `${op}: input ${i} has shape [${channels.shape.join(", ")}], expected [${x.shape[1]}] for input [${x.shape.join(", ")}]`);
  }
  return x;
}

/** Calls `each` with every element's index, channel by channel. */
function forChannel([n = 0, c = 0, ...size]: readonly number[], channel: number, each: (index: number) => void): void {
  const plane = elementCount(size);
  for (let i = 0; i < n; i++) {
    const start = (i * c + channel) * plane;
    for (let j = start; j < start + plane; j++) each(j);
  }
}

/** Inference form. x: [N, C, …]; scale, bias, mean, var: [C]. y = (x − mean) / √(var + epsilon) · scale + bias. */
export const BatchNormalization = defineOp<BatchNormAttrs>({
  name: "BatchNormalization",
  infer: (inputs) => [expectChannels("BatchNormalization", inputs, 1, 4)],
  evaluate(inputs, { epsilon }) {
    const [x, scale, bias, mean, variance] = inputs as Tensor<"float32">[] as [Tensor<"float32">, Tensor<"float32">, Tensor<"float32">, Tensor<"float32">, Tensor<"float32">];
    const y = zeros("float32", x.shape);
    for (let c = 0; c < scale.data.length; c++) {
      const gain = (scale.data[c] as number) / Math.sqrt((variance.data[c] as number) + epsilon);
      const [center, shift] = [mean.data[c] as number, bias.data[c] as number];
      forChannel(x.shape, c, (i) => {
        y.data[i] = ((x.data[i] as number) - center) * gain + shift;
      });
    }
    return [y];
  },
});

/** Training form. x: [N, C, …]; scale, bias: [C] → y, and the mean and biased variance over N and all positions, [C] each. */
export const BatchNormTraining = defineOp<BatchNormAttrs>({
  name: "BatchNormTraining",
  infer(inputs) {
    const x = expectChannels("BatchNormTraining", inputs, 1, 2);
    const channels: TensorType = { dtype: "float32", shape: [x.shape[1] as number] };
    return [x, channels, channels];
  },
  evaluate(inputs, { epsilon }) {
    const [x, scale, bias] = inputs as Tensor<"float32">[] as [Tensor<"float32">, Tensor<"float32">, Tensor<"float32">];
    const y = zeros("float32", x.shape);
    const means = zeros("float32", scale.shape);
    const variances = zeros("float32", scale.shape);
    for (let c = 0; c < scale.data.length; c++) {
      const count = x.data.length / scale.data.length;
      let sum = 0;
      forChannel(x.shape, c, (i) => {
        sum += x.data[i] as number;
      });
      const mean = sum / count;
      let squares = 0;
      forChannel(x.shape, c, (i) => {
        squares += ((x.data[i] as number) - mean) ** 2;
      });
      const variance = squares / count;
      const gain = (scale.data[c] as number) / Math.sqrt(variance + epsilon);
      forChannel(x.shape, c, (i) => {
        y.data[i] = ((x.data[i] as number) - mean) * gain + (bias.data[c] as number);
      });
      means.data[c] = mean;
      variances.data[c] = variance;
    }
    return [y, means, variances];
  },
});

/**
 * Gradients of BatchNormTraining, mean and variance depending on x. Inputs: x, dy: [N, C, …]; scale, mean, var: [C] → dx, dscale, dbias.
 * With x̂ = (x − mean) / √(var + epsilon) and m elements a channel: dbias = Σ dy, dscale = Σ dy · x̂,
 * dx = scale / √(var + epsilon) · (dy − dbias / m − x̂ · dscale / m).
 */
export const BatchNormGrad = defineOp<BatchNormAttrs>({
  name: "BatchNormGrad",
  infer(inputs) {
    const x = expectChannels("BatchNormGrad", inputs, 2, 4);
    const dy = required(inputs, 1, "BatchNormGrad");
    if (!sameShape(x.shape, dy.shape)) throw new CadnnError("E_SHAPE_MISMATCH", `BatchNormGrad: gradient [${dy.shape.join(", ")}] for input [${x.shape.join(", ")}]`);
    const channels: TensorType = { dtype: "float32", shape: [x.shape[1] as number] };
    return [x, channels, channels];
  },
  evaluate(inputs, { epsilon }) {
    const [x, dy, scale, mean, variance] = inputs as Tensor<"float32">[] as [Tensor<"float32">, Tensor<"float32">, Tensor<"float32">, Tensor<"float32">, Tensor<"float32">];
    const dx = zeros("float32", x.shape);
    const dscale = zeros("float32", scale.shape);
    const dbias = zeros("float32", scale.shape);
    for (let c = 0; c < scale.data.length; c++) {
      const count = x.data.length / scale.data.length;
      const inverse = 1 / Math.sqrt((variance.data[c] as number) + epsilon);
      const normalized = (i: number) => ((x.data[i] as number) - (mean.data[c] as number)) * inverse;
      let [sum, product] = [0, 0];
      forChannel(x.shape, c, (i) => {
        sum += dy.data[i] as number;
        product += (dy.data[i] as number) * normalized(i);
      });
      forChannel(x.shape, c, (i) => {
        dx.data[i] = (scale.data[c] as number) * inverse * ((dy.data[i] as number) - sum / count - (normalized(i) * product) / count);
      });
      dscale.data[c] = product;
      dbias.data[c] = sum;
    }
    return [dx, dscale, dbias];
  },
});

export const batchNormOps = [BatchNormalization, BatchNormTraining, BatchNormGrad];
