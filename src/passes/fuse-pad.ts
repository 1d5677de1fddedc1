import type { Activation } from "../ir/activation.ts";
import type { Node, Value } from "../ir/graph.ts";
import { rulePass } from "./pass.ts";
import { any, maybe, opOf } from "./pattern.ts";
import { type Rewriter, rule } from "./rewrite.ts";

/** Padding of the spatial dimensions alone, by one constant, which crops nothing. */
function padsPlane({ attrs }: Node): boolean {
  const pads = attrs.pads as readonly number[];
  const rank = pads.length / 2;
  return attrs.mode === "constant" && rank > 2 && pads.every((p, i) => p >= 0 && (p === 0 || i % rank >= 2));
}
const pad = opOf("Pad", "pad", [any("x")], { where: padsPlane });

/** The window's own padding plus that of the Pad. */
function totalPads(pad: Node, window: Node): number[] {
  const pads = pad.attrs.pads as readonly number[];
  const rank = pads.length / 2;
  const spatial = [...pads.slice(2, rank), ...pads.slice(rank + 2)];
  return (window.attrs.pads as readonly number[]).map((p, i) => p + (spatial[i] as number));
}

/** Whether each window sees some of x, if there is no gap in it. */
const isNarrow = (pads: readonly number[], kernel: readonly number[]) => pads.every((p, i) => p < (kernel[i % kernel.length] as number));

/** Conv(Pad(x)) ⇒ Conv(x) that pads more, where the Pad writes zeros. Padding as wide as the kernel, above all of 1×1, is left to the Pad. */
export const fusePadIntoConvRule = rule({
  name: "fuse-pad-into-conv",
  match: opOf(["Conv", "FusedConv"], "conv", [pad, any("w"), maybe(any("b")), maybe(any("residual"))]),
  rewrite({ conv, pad, x, w }, rewriter) {
    const pads = totalPads(pad, conv);
    if (pad.attrs.value !== 0 || !isNarrow(pads, w.type.shape.slice(2))) return undefined;
    return rewriter.replace(conv.op, [x, ...conv.inputs.slice(1)], { ...conv.attrs, pads });
  },
});

/** AveragePool(Pad(x)) ⇒ AveragePool(x) that counts its padding, where the Pad writes zeros and is all the padding there is. */
export const fusePadIntoAveragePoolRule = rule({
  name: "fuse-pad-into-average-pool",
  match: opOf("AveragePool", "pool", [pad]),
  rewrite({ pool, pad, x }, rewriter) {
    const own = (pool.attrs.pads as readonly number[]).some((p) => p !== 0);
    if (pad.attrs.value !== 0 || pool.attrs.ceilMode === true || (own && pool.attrs.countIncludePad !== true)) return undefined;
    return rewriter.replace("AveragePool", [x], { ...pool.attrs, pads: totalPads(pad, pool), countIncludePad: true });
  },
});

/**
 * MaxPool(Pad(x)) ⇒ MaxPool(x) that pads more, where the Pad writes −∞, or zeros beside an x that is nowhere negative and of
 * which every window sees some.
 */
export const fusePadIntoMaxPoolRule = rule({
  name: "fuse-pad-into-max-pool",
  match: opOf("MaxPool", "pool", [pad]),
  rewrite({ pool, pad, x }, rewriter) {
    const pads = totalPads(pad, pool);
    if (pool.attrs.ceilMode === true || pool.outputs.length !== 1) return undefined;
    const undilated = (pool.attrs.dilations as readonly number[]).every((d) => d === 1);
    const unseen = pad.attrs.value === 0 && undilated && isNarrow(pads, pool.attrs.kernel as readonly number[]) && isNonNegative(x, rewriter);
    return unseen || pad.attrs.value === Number.NEGATIVE_INFINITY ? rewriter.replace("MaxPool", [x], { ...pool.attrs, pads }) : undefined;
  },
});

function isNonNegative(value: Value, rewriter: Rewriter): boolean {
  const node = rewriter.producerOf(value);
  if (node === undefined) return false;
  const { min, max, activation } = node.attrs as { readonly min: number; readonly max: number; readonly activation?: Activation };
  if (node.op === "Clip") return min >= 0 || (max >= 0 && isNonNegative(node.inputs[0] as Value, rewriter));
  return node.op === "Relu" || node.op === "Sigmoid" || (activation?.kind === "clamp" && activation.low >= 0);
}

export const fusePad = rulePass("fuse-pad", [fusePadIntoConvRule, fusePadIntoAveragePoolRule, fusePadIntoMaxPoolRule]);
