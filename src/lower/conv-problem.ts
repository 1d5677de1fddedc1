import { type Activation, activationExpr } from "../ir/activation.ts";
import { e, substitute } from "../ir/expr.ts";
import type { Value } from "../ir/graph.ts";
import type { LoweringContext, Placed } from "./context.ts";
import { broadcast, mapStrided } from "./strided.ts";
import type { Window } from "./window-layout.ts";

/** A 2-D convolution with everything that may be fused into it. */
export interface ConvProblem {
  readonly x: Value;
  readonly w: Value;
  readonly b: Value | undefined;
  readonly residual: Value | undefined;
  readonly y: Value;
  readonly window: Window;
  readonly group: number;
  readonly activation: Activation;
}

/** y = act(sums + residual), from rows with junk between them to where y belongs. */
export function finishConv(ctx: LoweringContext, conv: ConvProblem, sums: Placed): void {
  const output = ctx.write(conv.y);
  const sum = conv.residual === undefined ? e.input(0) : e.add(e.input(0), e.input(1));
  const expr = substitute(activationExpr(conv.activation), [sum]);
  if (conv.residual === undefined && conv.activation.kind === "none") ctx.copyInto(conv.y.type.shape, sums, output, false);
  else {
    const { shape } = conv.y.type;
    const inputs = [sums, ...(conv.residual === undefined ? [] : [ctx.readAny(conv.residual)])];
    mapStrided(
      ctx,
      shape,
      expr,
      inputs.map((p) => broadcast(p, shape, shape)),
      broadcast(output, shape, shape),
    );
  }
}
