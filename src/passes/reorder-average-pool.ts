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

/** The order that is less work, if nothing else but rounding depends on it. */
function cheaperOrder(pool: Node, conv: Node): "convolve first" | "pool first" | undefined {
  const [filters, channels] = shapeOf(conv.inputs[1]) as [number, number];
  const convolveFirst = work(pool, conv, filters, elementCount(shapeOf(pool.inputs[0]).slice(2)));
  const poolFirst = work(pool, conv, channels, elementCount(shapeOf(pool.outputs[0]).slice(2)));
  const commutes = conv.inputs[2] === undefined || keepsConstants(pool);
  if (!commutes || convolveFirst === poolFirst) return undefined;
  return convolveFirst < poolFirst ? "convolve first" : "pool first";
}

/** Conv₁ₓ₁(AveragePool(x)) ⇒ AveragePool(Conv₁ₓ₁(x)), where the convolution leaves fewer channels to pool. */
export const convolveFirstRule = rule({
  name: "convolve-first",
  match: opOf("Conv", "conv", [opOf("AveragePool", "pool", [any("x")], { once: true }), any("w"), maybe(any("b"))], { where: isPointwise }),
  rewrite({ conv, pool, x }, rewriter) {
    if (cheaperOrder(pool, conv) !== "convolve first") return undefined;
    const convolved = rewriter.add("Conv", [x, ...conv.inputs.slice(1)], conv.attrs, conv.name);
    return rewriter.replace("AveragePool", [convolved], pool.attrs, pool.name);
  },
});

/** AveragePool(Conv₁ₓ₁(x)) ⇒ Conv₁ₓ₁(AveragePool(x)), where the pooling leaves fewer pixels to convolve. */
export const poolFirstRule = rule({
  name: "pool-first",
  match: opOf("AveragePool", "pool", [opOf("Conv", "conv", [any("x"), any("w"), maybe(any("b"))], { once: true, where: isPointwise })]),
  rewrite({ conv, pool, x }, rewriter) {
    if (cheaperOrder(pool, conv) !== "pool first") return undefined;
    const pooled = rewriter.add("AveragePool", [x], pool.attrs, pool.name);
    return rewriter.replace("Conv", [pooled, ...conv.inputs.slice(1)], conv.attrs, conv.name);
  },
});

/** Averages of pixels and sums over channels may come in either order: the cheaper one, before activations are fused. */
export const reorderAveragePool = rulePass("reorder-average-pool", [convolveFirstRule, poolFirstRule]);
