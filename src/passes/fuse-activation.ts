import { type Activation, activationExpr, noActivation } from "../ir/activation.ts";
import { type Expr, substitute } from "../ir/expr.ts";
import type { Node } from "../ir/graph.ts";
import { elementwiseExpr } from "../ops/elementwise.ts";
import { rulePass } from "./pass.ts";
import { opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

/** Elementwise ops of one input that kernels can apply before they store. */
const unaryOps = [
  "Relu",
  "Clip",
  "LeakyRelu",
  "Sigmoid",
  "HardSigmoid",
  "HardSwish",
  "Tanh",
  "Elu",
  "Selu",
  "Softplus",
  "Softsign",
  "Gelu",
  "Mish",
  "Abs",
  "Neg",
  "Sqrt",
  "Exp",
  "Map",
];

/** Relu and Clip as a clamp, all else as an expression. */
function activationOf(node: Node): Activation | undefined {
  if (node.op === "Relu") return { kind: "clamp", low: 0, high: Number.POSITIVE_INFINITY };
  if (node.op === "Clip") return { kind: "clamp", low: node.attrs.min as number, high: node.attrs.max as number };
  const expr = node.op === "Map" ? (node.attrs.expr as Expr) : elementwiseExpr(node.op, node.attrs);
  return expr && { kind: "expr", expr };
}

/** second ∘ first. Two clamps are one: min(max(min(max(x, l), h), L), H) clamps to [l, h], both moved into [L, H]. */
export function composeActivations(first: Activation, second: Activation): Activation {
  if (first.kind === "none") return second;
  if (second.kind === "none") return first;
  if (first.kind === "clamp" && second.kind === "clamp") {
    const into = (v: number) => Math.min(Math.max(v, second.low), second.high);
    return { kind: "clamp", low: into(first.low), high: into(first.high) };
  }
  return { kind: "expr", expr: substitute(activationExpr(second), [activationExpr(first)]) };
}

/** f(Conv(…)) ⇒ FusedConv(…) with activation f, after the residual where there is one; f(Gemm(…)) ⇒ FusedGemm(…). */
export const fuseActivationRule = rule({
  name: "fuse-activation",
  match: opOf(unaryOps, "activation", [opOf(["Conv", "FusedConv", "Gemm", "FusedGemm"], "producer", undefined, { once: true })], {
    where: (node) => node.outputs[0]?.type.dtype === "float32",
  }),
  rewrite({ activation, producer }, rewriter) {
    const second = activationOf(activation);
    if (second === undefined) return undefined;
    const first = (producer.attrs.activation as Activation | undefined) ?? noActivation;
    const op = producer.op.startsWith("Fused") ? producer.op : `Fused${producer.op}`;
    return rewriter.replace(op, producer.inputs, { ...producer.attrs, activation: composeActivations(first, second) }, producer.name);
  },
});

export const fuseActivation = rulePass("fuse-activation", [fuseActivationRule]);
