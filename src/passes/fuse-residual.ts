import { noActivation } from "../ir/activation.ts";
import type { Node } from "../ir/graph.ts";
import { sameType } from "../ir/types.ts";
import { rulePass } from "./pass.ts";
import { any, maybe, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const isLinear = (node: Node) => node.op === "Conv" || (node.attrs.activation as { kind: string }).kind === "none";

/**
 * Add(Conv(x, w, b), residual) ⇒ FusedConv(x, w, b, residual), in the place of the Add, where the residual is known. Of two
 * convolutions the later one takes the other's result. A convolution with an activation of its own cannot: the fused one adds first.
 */
export const fuseResidualRule = rule({
  name: "fuse-residual",
  match: opOf("Add", "sum", [opOf(["Conv", "FusedConv"], "conv", [any("x"), any("w"), maybe(any("b"))], { once: true, where: isLinear }), any("residual")], { commutative: true }),
  rewrite({ sum, conv, x, w, b, residual }, rewriter) {
    const type = conv.outputs[0]?.type;
    if (type === undefined || !sameType(residual.type, type) || sum.outputs[0]?.type.shape.length !== type.shape.length) return undefined;
    return rewriter.replace("FusedConv", [x, w, b, residual], { ...conv.attrs, activation: noActivation }, conv.name);
  },
});

export const fuseResidual = rulePass("fuse-residual", [fuseResidualRule]);
