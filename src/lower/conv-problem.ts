import { type Activation, activationExpr } from "../ir/activation.ts";
import { type Expr, e, substitute } from "../ir/expr.ts";
import type { Value } from "../ir/graph.ts";
import { f32Map } from "../kernels/wasm/f32-map.ts";
import type { LoweringContext, Placed } from "./context.ts";
import type { Layout } from "./layout.ts";
import { broadcast, mapProblem, mapStrided } from "./strided.ts";
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
  const { shape } = conv.y.type;
  const output = ctx.write(conv.y);
  if (isPlain(conv)) return ctx.copyInto(shape, sums, output, false);
  const inputs = [sums, ...(conv.residual === undefined ? [] : [ctx.readAny(conv.residual)])];
  mapStrided(
    ctx,
    shape,
    finishExpr(conv),
    inputs.map((p) => broadcast(p, shape, shape)),
    broadcast(output, shape, shape),
  );
}

/** What `finishConv` would cost from sums of that layout. */
export function finishCost(ctx: LoweringContext, conv: ConvProblem, sums: Layout): number {
  const { shape } = conv.y.type;
  const output = ctx.preferredLayout(conv.y);
  if (isPlain(conv)) return ctx.copyCost(shape, sums, output);
  const walk = (layout: Layout) => ({ strides: shape.map((d, i) => (d === 1 ? 0 : (layout.strides[i] as number))) });
  const inputs = [sums, ...(conv.residual === undefined ? [] : [ctx.readAny(conv.residual).layout])].map(walk);
  return ctx.best(f32Map, mapProblem(shape, finishExpr(conv), inputs, walk(output)))?.cost ?? 0;
}

const isPlain = (conv: ConvProblem): boolean => conv.residual === undefined && conv.activation.kind === "none";

function finishExpr({ residual, activation }: ConvProblem): Expr {
  return substitute(activationExpr(activation), [residual === undefined ? e.input(0) : e.add(e.input(0), e.input(1))]);
}
