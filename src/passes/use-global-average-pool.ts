import type { Node } from "../ir/graph.ts";
import { rulePass } from "./pass.ts";
import { any, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const rankOf = (node: Node) => node.inputs[0]?.type.shape.length ?? 0;

function reducesPlane(node: Node): boolean {
  const axes = node.attrs.axes as readonly number[];
  return node.inputs[0]?.type.dtype === "float32" && axes.length > 0 && axes.length === rankOf(node) - 2 && axes.every((axis, i) => axis === i + 2);
}

function coversPlane(node: Node): boolean {
  const kernel = node.attrs.kernel as readonly number[];
  const unpadded = (node.attrs.pads as readonly number[]).every((p) => p === 0);
  const undilated = ((node.attrs.dilations as readonly number[] | undefined) ?? []).every((d) => d === 1);
  return unpadded && undilated && kernel.every((k, i) => k === node.inputs[0]?.type.shape[i + 2]);
}

/** ReduceMean over all spatial axes ⇒ GlobalAveragePool, and a Reshape where it drops them. */
export const globalAverageFromReduceRule = rule({
  name: "global-average-from-reduce",
  match: opOf("ReduceMean", "mean", [any("x")], { where: reducesPlane }),
  rewrite({ mean, x }, rewriter) {
    if (mean.attrs.keepdims === true) return rewriter.replace("GlobalAveragePool", [x], {});
    const pooled = rewriter.add("GlobalAveragePool", [x], {}, `${mean.name}.pool`);
    return rewriter.replace("Reshape", [pooled], { shape: mean.outputs[0]?.type.shape ?? [] });
  },
});

/** AveragePool whose window is the whole plane ⇒ GlobalAveragePool. */
export const globalAverageFromPoolRule = rule({
  name: "global-average-from-pool",
  match: opOf("AveragePool", "pool", [any("x")], { where: coversPlane }),
  rewrite: ({ x }, rewriter) => rewriter.replace("GlobalAveragePool", [x], {}),
});

export const useGlobalAveragePool = rulePass("use-global-average-pool", [globalAverageFromReduceRule, globalAverageFromPoolRule]);
