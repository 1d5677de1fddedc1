import type { Node, Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { rulePass } from "./pass.ts";
import { any, maybe, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const list = (node: Node, name: string): readonly number[] => (node.attrs[name] as readonly number[] | undefined) ?? [];
const shapeOf = (value: Value | undefined): readonly number[] => value?.type.shape ?? [];

/** A convolution of single pixels. */
const isPointwise = (node: Node): boolean =>
  node.attrs.group === 1 && elementCount(shapeOf(node.inputs[1]).slice(2)) === 1 && list(node, "strides").every((s) => s === 1) && list(node, "pads").every((p) => p === 0);

/** Whether each window's factors add up to 1, so that the average of a constant is the constant. */
const keepsConstants = (pool: Node): boolean => pool.attrs.countIncludePad !== true || list(pool, "pads").every((p) => p === 0);

/** Operations of the pooling with so many channels, and of a 1×1 convolution at so many pixels. */
function work(pool: Node, conv: Node, pooled: number, pixels: number): number {
  const [filters, channels] = shapeOf(conv.inputs[1]) as [number, number];
  return pooled * elementCount(shapeOf(pool.outputs[0]).slice(2)) * elementCount(list(pool, "kernel")) + filters * channels * pixels;
}

/** Whether it is less work to convolve first, and nothing else but rounding changes. */
function saves(pool: Node, conv: Node, order: "convolve first" | "pool first"): boolean {
  const [filters, channels] = shapeOf(conv.inputs[1]) as [number, number];
  const convolveFirst = work(pool, conv, filters, elementCount(shapeOf(pool.inputs[0]).slice(2)));
  const poolFirst = work(pool, conv, channels, elementCount(shapeOf(pool.outputs[0]).slice(2)));
  const commutes = conv.inputs[2] === undefined || keepsConstants(pool);
  return commutes && (order === "convolve first" ? convolveFirst < poolFirst : poolFirst < convolveFirst);
}

/** Conv₁ₓ₁(AveragePool(x)) ⇒ AveragePool(Conv₁ₓ₁(x)), where the convolution leaves fewer channels to pool. */
export const convolveFirstRule = rule({
  name: "convolve-first",
  match: opOf("Conv", "conv", [opOf("AveragePool", "pool", [any("x")], { once: true }), any("w"), maybe(any("b"))], { where: isPointwise }),
  rewrite({ conv, pool, x, w, b }, rewriter) {
    if (!saves(pool, conv, "convolve first")) return undefined;
    return rewriter.replace("AveragePool", [rewriter.add("Conv", b === undefined ? [x, w] : [x, w, b], conv.attrs, conv.name)], pool.attrs, pool.name);
  },
});

/** AveragePool(Conv₁ₓ₁(x)) ⇒ Conv₁ₓ₁(AveragePool(x)), where the pooling leaves fewer pixels to convolve. */
export const poolFirstRule = rule({
  name: "pool-first",
  match: opOf("AveragePool", "pool", [opOf("Conv", "conv", [any("x"), any("w"), maybe(any("b"))], { once: true, where: isPointwise })]),
  rewrite({ conv, pool, x, w, b }, rewriter) {
    if (!saves(pool, conv, "pool first")) return undefined;
    const pooled = rewriter.add("AveragePool", [x], pool.attrs, pool.name);
    return rewriter.replace("Conv", b === undefined ? [pooled, w] : [pooled, w, b], conv.attrs, conv.name);
  },
});

/** Averages of pixels and sums over channels may come in either order: the cheaper one, before activations are fused. */
export const reorderAveragePool = rulePass("reorder-average-pool", [convolveFirstRule, poolFirstRule]);
