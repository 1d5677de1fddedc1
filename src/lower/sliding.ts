import { noActivation } from "../ir/activation.ts";
import type { Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import type { Region } from "../kernels/region.ts";
import { f32Window, type WindowProblem } from "../kernels/wasm/f32-window.ts";
import type { Border } from "../kernels/window-tile.ts";
import type { LoweringContext, Placed } from "./context.ts";
import { type ConvProblem, finishConv } from "./conv-problem.ts";
import type { Place } from "./kernel-graph.ts";
import { type Layout, linear, paddedPlanes, withoutPadding } from "./layout.ts";
import { slidingLayout, type Window, windowPlaces, windowTaps } from "./window-layout.ts";

/** A convolution with as many groups as channels. */
export function emitDepthwise(ctx: LoweringContext, conv: ConvProblem): void {
  const { x, w, y, window } = conv;
  const lanes = ctx.lanesOf(x);
  const channels = x.type.shape[1] as number;
  const m = w.type.shape[0] as number;
  const { corner, input, narrow, ...slide } = slidingInput(ctx, x, y, window, 0);
  const output = narrow ? wideBuffer(ctx, y, lanes) : ctx.write(y);
  const { region, count, steps } = slide.walk(output.layout);
  const residual = conv.residual === undefined || narrow ? undefined : ctx.read(conv.residual, withoutPadding(output.layout));
  const weights = ctx.read(w, linear(w.type.shape));
  const problem: WindowProblem = {
    kind: "depthwise",
    channels: m,
    inStride: input.layout.strides[1] as number,
    outStride: output.layout.strides[1] as number,
    taps: slide.taps,
    region,
    columnStep: slide.columnStep,
    ...(slide.border === undefined ? {} : { border: slide.border }),
    scale: 1,
    multiplier: m / channels,
    bias: conv.b !== undefined,
    residual: residual !== undefined,
    activation: narrow ? noActivation : conv.activation,
  };
  const bias = conv.b === undefined ? [] : [ctx.readAny(conv.b)];
  const repeat = { count, strides: [steps.in, 0, ...bias.map(() => 0), ...(residual === undefined ? [] : [steps.out]), steps.out] };
  ctx.call(f32Window, problem, [corner, weights, ...bias, ...(residual === undefined ? [] : [residual]), output], {
    repeat,
    joins: true,
    macs: elementCount(y.type.shape) * problem.taps.length,
  });
  if (narrow) finishConv(ctx, conv, output);
}

/**
 * What a sliding kernel (depthwise, pooling) reads, and how. Without a batch it reads planes as they are and masks what its windows reach outside of them;
 * with one, rows of fewer than 4 outputs (`narrow`) need room for whole vectors.
 */
export function slidingInput(ctx: LoweringContext, x: Value, y: Value, window: Window, padValue: number) {
  const lanes = ctx.lanesOf(x);
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  const narrow = ow * lanes < 4;
  const { layout, rowStep, columnStep, masks, pixelwise } = slidingLayout(x.type.shape, window, lanes, padValue);
  const wanted = layout ?? (narrow && lanes > 1 ? wide(x.type.shape, lanes) : undefined);
  const input = wanted === undefined ? ctx.readAny(x) : ctx.read(x, wanted);
  const pitch = input.layout.strides[2] as number;
  const [top, left] = masks ? window.pads : [0, 0];
  const [rows, columns] = x.type.shape.slice(2) as [number, number];
  const border: Border | undefined = masks ? { rows, columns, top, left, value: padValue, rowStep, taps: windowPlaces(window) } : undefined;
  const corner: Place = { buffer: input.buffer, offset: input.offset - (wanted === undefined ? top * pitch + left : input.layout.base) };
  /** What the kernel walks in one call, how often it is called, and how far what it reads and writes is moved on in between: images, or rows of pixels. */
  const walk = ({ strides }: Layout): { readonly region: Region; readonly count: number; readonly steps: { readonly in: number; readonly out: number } } => {
    const [image, , outPitch, pixel] = strides as [number, number, number, number];
    const [sh, sw] = window.strides;
    if (pixelwise) return { region: { h: ow, w: lanes, inPitch: sw * lanes, outPitch: pixel }, count: oh, steps: { in: sh * pitch, out: outPitch } };
    const region = { h: oh, w: Math.max(4, ow * lanes), inPitch: rowStep * pitch, outPitch };
    return { region, count: lanes > 1 ? 1 : (x.type.shape[0] as number), steps: { in: input.layout.strides[0] as number, out: image } };
  };
  return { corner, input, narrow, walk, columnStep, taps: windowTaps(input.layout, window), ...(border === undefined ? {} : { border }) };
}

/** Planes with room for a whole vector behind each row. */
const wide = (shape: readonly number[], lanes: number): Layout => paddedPlanes(shape, { top: 0, left: 0, bottom: 0, right: 4, sh: 1, sw: 1, value: 0 }, lanes);

export function wideBuffer(ctx: LoweringContext, y: Value, lanes: number): Placed {
  const { padding: _, ...layout } = wide(y.type.shape, lanes);
  return { buffer: ctx.buffer(`${y.name}~`, layout.size), offset: 0, layout };
}
