import { noActivation } from "../ir/activation.ts";
import { e } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { float32Tensor } from "../ir/types.ts";
import { f32Window, type WindowProblem } from "../kernels/wasm/f32-window.ts";
import type { LoweringContext } from "./context.ts";
import { wide, wideBuffer } from "./conv.ts";
import { broadcast, mapStrided } from "./strided.ts";
import { reachedPads, type Window, windowLayout, windowOf, windowTaps } from "./window-layout.ts";

export function lowerPool(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const y = node.outputs[0] as Value;
  const max = node.op === "MaxPool";
  const window = reachedPads(windowOf(node.attrs, node.attrs.kernel as readonly number[]), x.type.shape, y.type.shape);
  const counts = max ? undefined : windowCounts(node, window, x.type.shape, y.type.shape);
  const uniform = counts === undefined || counts.every((c) => c === counts[0]);
  const lanes = ctx.lanesOf(x);
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  const narrow = ow * lanes < 4;
  const wanted = windowLayout(x.type.shape, window, lanes, max ? Number.NEGATIVE_INFINITY : 0) ?? (narrow ? wide(x.type.shape, lanes) : undefined);
  const input = wanted === undefined ? ctx.readAny(x) : ctx.read(x, wanted);
  const corner = wanted === undefined ? input : { buffer: input.buffer, offset: input.offset - input.layout.base };
  const output = narrow ? wideBuffer(ctx, y, lanes) : ctx.write(y);
  const [n, c] = x.type.shape as [number, number];
  const problem: WindowProblem = {
    kind: max ? "max" : "sum",
    channels: c,
    inStride: input.layout.strides[1] as number,
    outStride: output.layout.strides[1] as number,
    taps: windowTaps(input.layout, window),
    region: { h: oh, w: Math.max(4, ow * lanes), inPitch: input.layout.strides[2] as number, outPitch: output.layout.strides[2] as number },
    scale: uniform && counts !== undefined ? 1 / (counts[0] as number) : 1,
    multiplier: 1,
    bias: false,
    residual: false,
    activation: noActivation,
  };
  const repeat = { count: lanes > 1 ? 1 : n, strides: [input.layout.strides[0] as number, output.layout.strides[0] as number] };
  ctx.call(f32Window, problem, [corner, output], { repeat });
  const placed = narrow ? ctx.write(y) : output;
  if (narrow) ctx.copyInto(y.type.shape, output, placed, false);
  if (uniform || counts === undefined) return;
  // Windows at the border hold fewer elements: one factor for each position.
  const factors = float32Tensor(
    [1, 1, oh, ow],
    counts.map((k) => 1 / k),
  );
  const constant = ctx.readAny({ kind: "constant", name: `${node.name}.factors`, type: { dtype: "float32", shape: factors.shape }, data: factors.data });
  const { shape } = y.type;
  const result = broadcast(placed, shape, shape);
  mapStrided(ctx, shape, e.mul(e.input(0), e.input(1)), [result, { place: constant, strides: [0, 0, ow, 1] }], result);
}

/** How many elements count in each window of average pooling. */
export function windowCounts(node: Node, window: Window, input: readonly number[], output: readonly number[]): number[] {
  const [h, w] = input.slice(2) as [number, number];
  const [oh, ow] = output.slice(2) as [number, number];
  const [, , bottom = 0, right = 0] = (node.attrs.pads ?? []) as readonly number[];
  const padded = node.attrs.countIncludePad === true;
  const along = (o: number, axis: 0 | 1, size: number, before: number, after: number): number => {
    let count = 0;
    for (let k = 0; k < window.kernel[axis]; k++) {
      const at = o * window.strides[axis] + k * window.dilations[axis] - before;
      if (padded ? at >= -before && at < size + after : at >= 0 && at < size) count++;
    }
    return count;
  };
  const counts: number[] = [];
  for (let y = 0; y < oh; y++) for (let x = 0; x < ow; x++) counts.push(along(y, 0, h, window.pads[0], bottom) * along(x, 1, w, window.pads[1], right));
  return counts;
}
