import type { Node } from "../ir/graph.ts";
import { eliminateIdentityRule } from "./eliminate-identity.ts";
import { rulePass } from "./pass.ts";
import { any, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const list = (node: Node, name: string) => node.attrs[name] as readonly number[];
const permOf = (node: Node) => list(node, "perm");

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

/** Slice(Slice(x)) ⇒ Slice(x): x[s + t · i][s' + t' · i] is x[s + t · s' + t · t' · i]. Many exporters write one node a dimension. */
export const mergeSlicesRule = rule({
  name: "merge-slices",
  match: opOf("Slice", "slice", [opOf("Slice", "first", [any("x")], { once: true })]),
  rewrite({ slice, first, x }, rewriter) {
    const [start, step] = [list(first, "starts"), list(first, "steps")];
    const starts = list(slice, "starts").map((s, d) => (start[d] as number) + (step[d] as number) * s);
    const steps = list(slice, "steps").map((t, d) => (step[d] as number) * t);
    return rewriter.replace("Slice", [x], { ...slice.attrs, starts, steps });
  },
});

const growsByConstant = (node: Node) => node.attrs.mode === "constant" && list(node, "pads").every((p) => p >= 0);

/** Pad(Pad(x)) ⇒ Pad(x) where both write the same constant. */
export const mergePadsRule = rule({
  name: "merge-pads",
  match: opOf("Pad", "pad", [opOf("Pad", "first", [any("x")], { once: true, where: growsByConstant })], { where: growsByConstant }),
  rewrite({ pad, first, x }, rewriter) {
    if (pad.attrs.value !== first.attrs.value) return undefined;
    const pads = list(pad, "pads").map((p, i) => p + (list(first, "pads")[i] as number));
    return rewriter.replace("Pad", [x], { ...pad.attrs, pads });
  },
});

/** Two movements of data in a row ⇒ one, or none where they undo each other; and a Transpose that moves nothing is a Reshape, which costs nothing. */
export const mergeMovements = rulePass("merge-movements", [eliminateIdentityRule, transposeToReshapeRule, mergeReshapesRule, mergeTransposesRule, mergeSlicesRule, mergePadsRule]);
