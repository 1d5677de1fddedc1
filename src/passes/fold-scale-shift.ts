import type { ConstantValue, Node } from "../ir/graph.ts";
import { sameType } from "../ir/types.ts";
import { affineOps, foldAffine, outputChannels } from "./channel-affine.ts";
import { foldBatchNormRule } from "./fold-batch-norm.ts";
import { rulePass } from "./pass.ts";
import { any, constantOf, maybe, type OpPattern, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const conv = opOf(affineOps, "conv", [any("x"), constantOf("w"), maybe(constantOf("b"))], { once: true });
const operands = [conv, constantOf("factor")] as const;
const either = (op: string) => opOf(op, "node", operands, { commutative: true });
const quotient = opOf("Div", "node", operands);
const difference = opOf("Sub", "node", operands);
const reversedDifference = opOf("Sub", "node", [constantOf("factor"), conv] as const);
type Captures = typeof quotient extends OpPattern<infer C> ? C : never;

/** A constant as one number a channel of `node`'s output (dimension 1), if broadcasting would use it so. */
function perChannel(constant: ConstantValue, node: Node): number[] | undefined {
  const rank = node.outputs[0]?.type.shape.length ?? 0;
  const { shape } = constant.type;
  const channels = outputChannels(node);
  if (constant.type.dtype !== "float32" || shape.length > rank || shape.some((d, i) => d !== 1 && i + rank - shape.length !== 1)) return undefined;
  const data = constant.data as Float32Array;
  return Array.from({ length: channels }, (_, m) => data[data.length === 1 ? 0 : m] as number);
}

/** op(Conv(x, w, b), constant) ⇒ Conv(x, w', b') for what `affine` says the op does to a channel, given its constant c. */
function fold(match: OpPattern<Captures>, affine: (c: number) => { gain: number; shift: number }) {
  return rule({
    name: "fold-scale-shift",
    match,
    rewrite({ node, conv, x, w, b, factor }, rewriter) {
      const type = conv.outputs[0]?.type;
      const constants = perChannel(factor, conv);
      if (constants === undefined || type === undefined || !sameType(type, node.outputs[0]?.type ?? type)) return undefined;
      const channels = constants.map(affine);
      if (!channels.every((c) => Number.isFinite(c.gain))) return undefined;
      const folded = foldAffine(rewriter, conv, x, w, b, { gain: channels.map((c) => c.gain), shift: channels.map((c) => c.shift), from: factor.name });
      return folded && rewriter.replace(conv.op, folded.inputs, folded.attrs, conv.name);
    },
  });
}

/** Conv(x, w, b) · c, / c, + c, − c, c − Conv(…), with one number a channel or one for all, into the weight and bias. */
export const foldScaleShiftRules = [
  fold(either("Mul"), (c) => ({ gain: c, shift: 0 })),
  fold(either("Add"), (c) => ({ gain: 1, shift: c })),
  fold(quotient, (c) => ({ gain: 1 / c, shift: 0 })),
  fold(difference, (c) => ({ gain: 1, shift: -c })),
  fold(reversedDifference, (c) => ({ gain: -1, shift: c })),
];

export const foldScaleShift = rulePass("fold-scale-shift", [...foldScaleShiftRules, foldBatchNormRule]);
