import { noActivation } from "../ir/activation.ts";
import { e } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { f32Window, type WindowProblem } from "../kernels/wasm/f32-window.ts";
import { type AveragePoolAttrs, windowCounts } from "../ops/pool.ts";
import type { LoweringContext } from "./context.ts";
import { slidingInput, wideBuffer } from "./sliding.ts";
import { here, mapStrided } from "./strided.ts";
import { lowerAnyPool, lowerPoolIndices } from "./window-any.ts";
import { reachedPads, windowOf } from "./window-layout.ts";

export function lowerPool(ctx: LoweringContext, node: Node): void {
  const [x, y] = [node.inputs[0], node.outputs[0]] as [Value, Value];
  const out = y.type.shape.slice(2);
  const counts = node.op === "MaxPool" ? undefined : windowCounts(x.type.shape.slice(2), out, node.attrs as AveragePoolAttrs);
  const uniform = counts?.every((c) => c === counts[0]) === true;
  (x.type.shape.length === 4 ? lowerPlanePool : lowerAnyPool)(ctx, node, uniform ? 1 / (counts?.[0] as number) : 1);
  if (counts !== undefined && !uniform) {
    // Windows at the border hold fewer elements: one factor for each position.
    const factors = { kind: "constant", name: `${node.name}.factors`, type: { dtype: "float32", shape: out }, data: Float32Array.from(counts, (count) => 1 / count) } as const;
    const { place, strides } = here(ctx, factors);
    const result = here(ctx, y);
    mapStrided(ctx, y.type.shape, e.mul(e.input(0), e.input(1)), [result, { place, strides: [0, 0, ...strides] }], result);
  }
  if (ctx.uses.get(node.outputs[1] as Value) !== undefined) lowerPoolIndices(ctx, node);
}

function lowerPlanePool(ctx: LoweringContext, node: Node, scale: number): void {
  const [x, y] = [node.inputs[0], node.outputs[0]] as [Value, Value];
  const max = node.op === "MaxPool";
  const window = reachedPads(windowOf(node.attrs, node.attrs.kernel as readonly number[]), x.type.shape, y.type.shape);
  const lanes = ctx.lanesOf(x);
  const { corner, input, narrow, ...slide } = slidingInput(ctx, x, y, window, max ? Number.NEGATIVE_INFINITY : 0);
  const output = narrow ? wideBuffer(ctx, y, lanes) : ctx.write(y);
  const { region, count, steps } = slide.walk(output.layout);
  const problem: WindowProblem = {
    kind: max ? "max" : "sum",
    channels: x.type.shape[1] as number,
    inStride: input.layout.strides[1] as number,
    outStride: output.layout.strides[1] as number,
    taps: slide.taps,
    rowTaps: window.kernel[1],
    region,
    columnStep: slide.columnStep,
    ...(slide.border === undefined ? {} : { border: slide.border }),
    scale,
    multiplier: 1,
    bias: false,
    residual: false,
    activation: noActivation,
  };
  ctx.call(f32Window, problem, [corner, output], { repeat: { count, strides: [steps.in, steps.out] }, joins: true });
  if (narrow) ctx.copyInto(y.type.shape, output, ctx.write(y), false);
}
