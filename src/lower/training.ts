import { CadnnError, invariant } from "../errors.ts";
import type { Node, Value } from "../ir/graph.ts";
import { f32Correlate } from "../kernels/wasm/f32-correlate.ts";
import { f32MaxPoolGrad } from "../kernels/wasm/f32-max-pool-grad.ts";
import type { LoweringContext, Placed } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { linear, paddedPlanes } from "./layout.ts";
import { fill } from "./movement.ts";
import { reachedPads, windowLayout, windowOf, windowTaps } from "./window-layout.ts";

const corner = (placed: Placed): Place => ({ buffer: placed.buffer, offset: placed.offset - placed.layout.base });

function needsBatch(ctx: LoweringContext, value: Value, node: Node): number {
  const lanes = ctx.lanesOf(value);
  if (lanes % 4 !== 0)
    throw new CadnnError("E_UNSUPPORTED_OP", `${node.op} is compiled for batches that are a multiple of 4, this one is ${value.type.shape[0]}`, {
      at: node.name,
      hint: "Choose a batch size that is a multiple of 4.",
    });
  return lanes;
}

/** dw from x and dy: products of shifted planes, summed over positions and batch. */
export function lowerConvGradWeight(ctx: LoweringContext, node: Node): void {
  const [x, dy] = node.inputs as [Value, Value];
  const dw = node.outputs[0] as Value;
  const lanes = needsBatch(ctx, x, node);
  const group = node.attrs.group as number;
  const shape = node.attrs.weightShape as readonly number[];
  const window = reachedPads(windowOf(node.attrs, shape.slice(2)), x.type.shape, dy.type.shape);
  const wanted = windowLayout(x.type.shape, window, lanes, 0);
  const source = wanted === undefined ? ctx.readAny(x) : ctx.read(x, wanted);
  const start = wanted === undefined ? source : corner(source);
  const gradient = ctx.readAny(dy);
  const target = ctx.write(dw, linear(dw.type.shape));
  const [h, w] = dy.type.shape.slice(2) as [number, number];
  const [m, channels] = shape as [number, number];
  const problem = {
    m: m / group,
    channels,
    taps: windowTaps(source.layout, window),
    h,
    w: w * lanes,
    xPitch: source.layout.strides[2] as number,
    dyPitch: gradient.layout.strides[2] as number,
    xStride: source.layout.strides[1] as number,
    dyStride: gradient.layout.strides[1] as number,
  };
  const perGroup = (m / group) * channels * problem.taps.length;
  for (let g = 0; g < group; g++)
    ctx.call(
      f32Correlate,
      problem,
      [
        { buffer: start.buffer, offset: start.offset + g * channels * problem.xStride },
        { buffer: gradient.buffer, offset: gradient.offset + (g * m * problem.dyStride) / group },
        { buffer: target.buffer, offset: target.offset + g * perGroup },
      ],
      { joins: g > 0, macs: perGroup * h * w * lanes },
    );
}

export function lowerMaxPoolGrad(ctx: LoweringContext, node: Node): void {
  const [x, y, dy] = node.inputs as [Value, Value, Value];
  const dx = node.outputs[0] as Value;
  const lanes = needsBatch(ctx, x, node);
  const window = reachedPads(windowOf(node.attrs, node.attrs.kernel as readonly number[]), x.type.shape, y.type.shape);
  // Unlike the pooling itself this walks x with its stride: the same place can take several gradients.
  const [top, left, bottom, right] = window.pads;
  const layout = paddedPlanes(x.type.shape, { top, left, bottom, right, sh: 1, sw: 1, value: Number.NEGATIVE_INFINITY }, lanes);
  const plain = window.pads.every((p) => p === 0);
  const source = plain ? ctx.readAny(x) : ctx.read(x, layout);
  const target = plain ? ctx.write(dx, ctx.compactLayout(dx)) : { buffer: ctx.buffer(`${dx.name}~`, layout.size), offset: layout.base, layout };
  if (plain) fill(ctx, dx.type.shape, target, 0);
  else fill(ctx, [layout.size], { buffer: target.buffer, offset: 0, layout: linear([layout.size]) }, 0);
  const sameStrides = (a: Placed, b: Placed) => [1, 2].every((i) => a.layout.strides[i] === b.layout.strides[i]);
  invariant(sameStrides(source, target), "gradient of max pooling lies otherwise than its input");
  const out = ctx.readAny(y);
  const gradient = ctx.read(dy, { lanes: out.layout.lanes, strides: out.layout.strides, base: out.layout.base, size: out.layout.size });
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  const pitch = source.layout.strides[2] as number;
  const [kh, kw] = window.kernel;
  const problem = {
    channels: x.type.shape[1] as number,
    outH: oh,
    outW: ow,
    lanes,
    rowStep: window.strides[0] * pitch,
    columnStep: window.strides[1] * lanes,
    taps: Array.from({ length: kh * kw }, (_, t) => Math.floor(t / kw) * window.dilations[0] * pitch + (t % kw) * window.dilations[1] * lanes),
    xStride: source.layout.strides[1] as number,
    yPitch: out.layout.strides[2] as number,
    yStride: out.layout.strides[1] as number,
  };
  ctx.call(f32MaxPoolGrad, problem, [corner(source), out, gradient, corner(target)]);
  if (!plain) ctx.copyInto(dx.type.shape, target, ctx.write(dx), false);
}
