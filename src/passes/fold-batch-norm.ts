import { e } from "../ir/expr.ts";
import type { ConstantValue } from "../ir/graph.ts";
import { float32Tensor } from "../ir/types.ts";
import { affineOps, type ChannelAffine, foldAffine } from "./channel-affine.ts";
import { rulePass } from "./pass.ts";
import { any, constantOf, maybe, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

interface Statistics {
  readonly scale: ConstantValue;
  readonly bias: ConstantValue;
  readonly mean: ConstantValue;
  readonly variance: ConstantValue;
}
const statistics = [constantOf("scale"), constantOf("bias"), constantOf("mean"), constantOf("variance")] as const;

/** gain = scale / √(variance + ε), shift = bias − mean · gain, in double precision. */
function batchNormAffine({ scale, bias, mean, variance }: Statistics, epsilon: number): ChannelAffine {
  const gain = Array.from(scale.data as Float32Array, (s, i) => s / Math.sqrt((variance.data[i] as number) + epsilon));
  return { gain, shift: gain.map((g, i) => (bias.data[i] as number) - (mean.data[i] as number) * g), from: bias.name };
}

/** BatchNorm(Conv(x, w, b)) ⇒ Conv(x, w · gain, b · gain + shift); the same for ConvTranspose and Gemm. Inference only. */
export const foldBatchNormRule = rule({
  name: "fold-batch-norm",
  match: opOf("BatchNormalization", "norm", [opOf(affineOps, "conv", [any("x"), constantOf("w"), maybe(constantOf("b"))], { once: true }), ...statistics]),
  rewrite({ norm, conv, x, w, b, ...constants }, rewriter) {
    const folded = foldAffine(rewriter, conv, x, w, b, batchNormAffine(constants, norm.attrs.epsilon as number));
    return folded && rewriter.replace(conv.op, folded.inputs, folded.attrs, conv.name);
  },
});

/** BatchNorm(x) ⇒ x · gain + shift, elementwise with one number a channel, where nothing before it can take it in. */
export const lowerBatchNormRule = rule({
  name: "lower-batch-norm",
  match: opOf("BatchNormalization", "norm", [any("x"), ...statistics]),
  rewrite({ norm, x, ...constants }, rewriter) {
    const { gain, shift } = batchNormAffine(constants, norm.attrs.epsilon as number);
    const shape = x.type.shape.length > 1 ? [gain.length, ...x.type.shape.slice(2).fill(1)] : [gain.length];
    const perChannel = (from: string, data: readonly number[]) => rewriter.constant(from, float32Tensor(shape, data));
    const expr = e.add(e.mul(e.input(0), e.input(1)), e.input(2));
    return rewriter.replace("Map", [x, perChannel(constants.scale.name, gain), perChannel(constants.bias.name, shift)], { expr });
  },
});

export const foldBatchNorm = rulePass("fold-batch-norm", [foldBatchNormRule]);
export const lowerBatchNorm = rulePass("lower-batch-norm", [lowerBatchNormRule]);
