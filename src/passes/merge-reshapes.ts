import type { Node } from "../ir/graph.ts";
import { rulePass } from "./pass.ts";
import { any, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const permOf = (node: Node) => node.attrs.perm as readonly number[];

/** Reshape(Reshape(x)) ⇒ Reshape(x): the first keeps row-major order, whoever else reads it. */
export const mergeReshapesRule = rule({
  name: "merge-reshapes",
  match: opOf("Reshape", "reshape", [opOf("Reshape", "first", [any("x")])]),
  rewrite: ({ reshape, x }, rewriter) => rewriter.replace("Reshape", [x], reshape.attrs),
});

/** Transpose(Transpose(x, p), q) ⇒ Transpose(x, p[q]). */
export const mergeTransposesRule = rule({
  name: "merge-transposes",
  match: opOf("Transpose", "transpose", [opOf("Transpose", "first", [any("x")])]),
  rewrite({ transpose, first, x }, rewriter) {
    const perm = permOf(transpose).map((axis) => permOf(first)[axis] as number);
    return rewriter.replace("Transpose", [x], { perm });
  },
});

/** Transpose(x) ⇒ Reshape(x) where the dimensions larger than 1 keep their order, so that no element moves. */
export const transposeToReshapeRule = rule({
  name: "transpose-to-reshape",
  match: opOf("Transpose", "transpose", [any("x")]),
  rewrite({ transpose, x }, rewriter) {
    const moved = permOf(transpose).filter((axis) => x.type.shape[axis] !== 1);
    if (moved.some((axis, i) => axis < (moved[i - 1] ?? -1))) return undefined;
    return rewriter.replace("Reshape", [x], { shape: transpose.outputs[0]?.type.shape ?? [] });
  },
});

export const mergeReshapes = rulePass("merge-reshapes", [transposeToReshapeRule, mergeReshapesRule, mergeTransposesRule]);
