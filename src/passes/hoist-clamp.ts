import type { Activation } from "../ir/activation.ts";
import type { Node } from "../ir/graph.ts";
import { rulePass } from "./pass.ts";
import { opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

/** One output, no padding as wide as the window and no partial windows: each window sees some of the input. */
function seesInput(pool: Node): boolean {
  const { kernel, pads, dilations, ceilMode } = pool.attrs as Record<string, readonly number[]>;
  const narrow = pads?.every((p, i) => p < (kernel?.[i % kernel.length] as number)) ?? false;
  return pool.outputs.length === 1 && !ceilMode && narrow && (pads?.every((p) => p === 0) || dilations?.every((d) => d === 1)) === true;
}

const clamps = ["Relu", "Clip"];

const hasNoActivation = ({ op, attrs }: Node): boolean => op !== "FusedConv" || (attrs.activation as Activation).kind === "none";

/** clamp(MaxPool(f(…))) ⇒ MaxPool(clamp(f(…))), f being a convolution or another clamp: all are monotone, so they commute, and f clamps for nothing. */
export const hoistClampRule = rule({
  name: "hoist-clamp",
  match: opOf(clamps, "clamp", [
    opOf("MaxPool", "pool", [opOf(["Conv", "FusedConv", ...clamps], "producer", undefined, { once: true, where: hasNoActivation })], { once: true, where: seesInput }),
  ]),
  rewrite({ clamp, pool }, rewriter) {
    const clamped = rewriter.add(clamp.op, pool.inputs, clamp.attrs, clamp.name);
    return rewriter.replace("MaxPool", [clamped], pool.attrs, pool.name);
  },
});

export const hoistClamp = rulePass("hoist-clamp", [hoistClampRule]);
