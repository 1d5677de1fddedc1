import { CadnnError, invariant } from "../errors.ts";
import { isConstant, type Node, type Value } from "../ir/graph.ts";
import { type CorrelateProblem, f32Correlate } from "../kernels/wasm/f32-correlate.ts";
import { type CorrelateAtProblem, chunksOf, f32CorrelateAt } from "../kernels/wasm/f32-correlate-at.ts";
import { f32MaxPoolGrad } from "../kernels/wasm/f32-max-pool-grad.ts";
import { f32SumParts } from "../kernels/wasm/f32-sum-parts.ts";
import type { LoweringContext, Placed } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { linear, paddedPlanes } from "./layout.ts";
import { fill } from "./movement.ts";
import { numbers } from "./sparse.ts";
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

/** x and dy of a convolution where its weight's gradient reads them. */
interface Correlated {
  /** Where the first tap of the first channel and row reads x, and where dy begins. */
  readonly x: Place;
  readonly dy: Place;
  /** h rows of w elements, and where the taps read. */
  readonly walk: Omit<CorrelateProblem, "m" | "channels">;
}

function correlated(ctx: LoweringContext, node: Node): Correlated {
  const [x, dy] = node.inputs as [Value, Value];
  const lanes = needsBatch(ctx, x, node);
  const shape = node.attrs.weightShape as readonly number[];
  const window = reachedPads(windowOf(node.attrs, shape.slice(2)), x.type.shape, dy.type.shape);
  const wanted = windowLayout(x.type.shape, window, lanes, 0);
  const source = wanted === undefined ? ctx.readAny(x) : ctx.read(x, wanted);
  const gradient = ctx.readAny(dy);
  const [h, w] = dy.type.shape.slice(2) as [number, number];
  const walk = {
    taps: windowTaps(source.layout, window),
    h,
    w: w * lanes,
    xPitch: source.layout.strides[2] as number,
    dyPitch: gradient.layout.strides[2] as number,
    xStride: source.layout.strides[1] as number,
    dyStride: gradient.layout.strides[1] as number,
  };
  return { x: wanted === undefined ? source : corner(source), dy: gradient, walk };
}

/** dw from x and dy: products of shifted planes, summed over positions and batch. */
export function lowerConvGradWeight(ctx: LoweringContext, node: Node): void {
  const { x, dy, walk } = correlated(ctx, node);
  const dw = node.outputs[0] as Value;
  const target = ctx.write(dw, linear(dw.type.shape));
  const group = node.attrs.group as number;
  const [m, channels] = node.attrs.weightShape as [number, number];
  const problem = { m: m / group, channels, ...walk };
  const perGroup = (m / group) * channels * walk.taps.length;
  for (let g = 0; g < group; g++)
    ctx.call(
      f32Correlate,
      problem,
      [
        { buffer: x.buffer, offset: x.offset + g * channels * walk.xStride },
        { buffer: dy.buffer, offset: dy.offset + (g * m * walk.dyStride) / group },
        { buffer: target.buffer, offset: target.offset + g * perGroup },
      ],
      { joins: g > 0, macs: perGroup * walk.h * walk.w },
    );
}

/** How many places of x share one of dy. */
const sharedEntries = [1, 2, 3, 4, 6] as const;

/** Vectors of dy and of x that are read for all pairs, one after the other: few enough for the cache, and so many that it pays to begin with a pair. */
const correlateChunk = 32;

/** Parts that threads share out: each has its own sums, which are to be added up. */
const mostParts = 16;

/** Some elements of dw. */
export function lowerConvGradWeightAt(ctx: LoweringContext, node: Node): void {
  const indices = node.inputs[2] as Value;
  invariant(isConstant(indices), "places of non-zeros are known when compiling");
  const { x, dy, walk } = correlated(ctx, node);
  const { taps, xStride, dyStride } = walk;
  const [, channels] = node.attrs.weightShape as readonly number[];
  const depth = (channels as number) * taps.length;
  const filterOf = (index: number): number => Math.floor(index / depth);
  const offsetOf = (index: number): number => Math.floor((index % depth) / taps.length) * xStride + (taps[index % taps.length] as number);
  const rows = new Map<number, number[]>();
  for (const index of indices.data as Int32Array) {
    const row = rows.get(filterOf(index));
    if (row === undefined) rows.set(filterOf(index), [offsetOf(index)]);
    else row.push(offsetOf(index));
  }
  const oneRow = walk.xPitch === walk.w && walk.dyPitch === walk.w;
  const region = { h: oneRow ? 1 : walk.h, w: oneRow ? walk.h * walk.w : walk.w, xPitch: oneRow ? 0 : walk.xPitch, dyPitch: oneRow ? 0 : walk.dyPitch };
  const problems = sharedEntries.map((entries): CorrelateAtProblem => {
    const groups = [...rows.values()].reduce((sum, row) => sum + Math.ceil(row.length / entries), 0);
    return { groups, entries, ...region, chunk: correlateChunk, parts: Math.min(mostParts, chunksOf({ ...region, chunk: correlateChunk })) };
  });
  const costs = problems.map((problem) => ctx.best(f32CorrelateAt, problem)?.cost ?? Number.POSITIVE_INFINITY);
  const problem = problems[costs.indexOf(Math.min(...costs))] as CorrelateAtProblem;
  const { groups, entries, parts } = problem;
  const pairs: number[] = [];
  const slots: number[] = [];
  for (const [filter, row] of rows)
    for (let first = 0; first < row.length; first += entries) {
      const own = row.slice(first, first + entries);
      const slot = (pairs.length / (entries + 1)) * entries;
      own.forEach((_, e) => slots.push(16 * (slot + e)));
      pairs.push(4 * filter * dyStride, ...Array.from({ length: entries }, (_, e) => 4 * (own[e] ?? (own.at(-1) as number))));
    }
  const dw = node.outputs[0] as Value;
  const sums = { buffer: ctx.buffer(`${dw.name}.parts`, 4 * parts * groups * entries), offset: 0 };
  const target = ctx.write(dw, linear(dw.type.shape));
  ctx.call(f32CorrelateAt, problem, [x, dy, numbers(ctx, "pairs", Int32Array.from(pairs)), sums], { macs: slots.length * walk.h * walk.w });
  ctx.call(f32SumParts, { count: slots.length, slots: groups * entries, parts }, [sums, numbers(ctx, "slots", Int32Array.from(slots)), target]);
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
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  const [kh, kw] = window.kernel;
  const unspread = window.dilations.every((d) => d === 1);
  const disjoint = unspread && kh <= window.strides[0] && kw <= window.strides[1];
  const covered = disjoint && plain && oh * kh === x.type.shape[2] && ow * kw === x.type.shape[3];
  if (plain && !covered) fill(ctx, dx.type.shape, target, 0);
  else if (!plain) fill(ctx, [layout.size], { buffer: target.buffer, offset: 0, layout: linear([layout.size]) }, 0);
  const sameStrides = (a: Placed, b: Placed) => [1, 2].every((i) => a.layout.strides[i] === b.layout.strides[i]);
  invariant(sameStrides(source, target), "gradient of max pooling lies otherwise than its input");
  const out = ctx.readAny(y);
  const gradient = ctx.read(dy, { lanes: out.layout.lanes, strides: out.layout.strides, base: out.layout.base, size: out.layout.size });
  const pitch = source.layout.strides[2] as number;
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
    disjoint,
  };
  ctx.call(f32MaxPoolGrad, problem, [corner(source), out, gradient, corner(target)]);
  if (!plain) ctx.copyInto(dx.type.shape, target, ctx.write(dx), false);
}
