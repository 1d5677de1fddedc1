import { invariant } from "../errors.ts";
import { type Activation, activationExpr, noActivation } from "../ir/activation.ts";
import { e, substitute } from "../ir/expr.ts";
import { type ConstantValue, isConstant, type Node, type Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { bestChoice } from "../kernels/kernel.ts";
import type { Region } from "../kernels/region.ts";
import { f32Gemm, type GemmProblem } from "../kernels/wasm/f32-gemm.ts";
import { f32Spmm, type SpmmProblem, spmmStreamBytes } from "../kernels/wasm/f32-spmm.ts";
import { f32Window, type WindowProblem } from "../kernels/wasm/f32-window.ts";
import { x32Copy } from "../kernels/wasm/x32-copy.ts";
import type { LoweringContext, Placed } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { type Layout, linear, paddedPlanes, roundUp, samePlaces } from "./layout.ts";
import { broadcast, mapStrided } from "./strided.ts";
import { lowerAnyConv } from "./window-any.ts";
import { isDepthwise, reachedPads, slidingLayout, type Window, windowLayout, windowOf, windowTaps } from "./window-layout.ts";

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

export function lowerConv(ctx: LoweringContext, node: Node): void {
  if (node.inputs[0]?.type.shape.length !== 4) return lowerAnyConv(ctx, node);
  const [x, w, b, residual] = node.inputs as [Value, Value, Value | undefined, Value | undefined];
  const y = node.outputs[0] as Value;
  const window = reachedPads(windowOf(node.attrs, w.type.shape.slice(2)), x.type.shape, y.type.shape);
  const activation = (node.attrs.activation as Activation | undefined) ?? noActivation;
  emitConv(ctx, { x, w, b, residual, y, window, group: node.attrs.group as number, activation });
}

export function emitConv(ctx: LoweringContext, conv: ConvProblem): void {
  if (isDepthwise(conv.x.type.shape, conv.w.type.shape, conv.group)) emitDepthwise(ctx, conv);
  else emitDense(ctx, conv);
}

/** How a convolution walks its planes. */
interface Plan {
  readonly output: Layout;
  readonly region: Region;
  /** The output has junk between its rows and is copied to its place afterwards, with activation and residual. */
  readonly junk: boolean;
  readonly cost: number;
  readonly sparse: boolean;
}

function emitDense(ctx: LoweringContext, conv: ConvProblem): void {
  const { x, w, y, window, group } = conv;
  const lanes = ctx.lanesOf(x);
  const [n, channels] = x.type.shape as [number, number];
  const [m, perGroup] = w.type.shape as [number, number];
  const inLayout = windowLayout(x.type.shape, window, lanes, 0);
  const input = inLayout === undefined ? ctx.readAny(x) : ctx.read(x, inLayout);
  const corner = inLayout === undefined ? input : { buffer: input.buffer, offset: input.offset - input.layout.base };
  const taps = inLayout === undefined && window.kernel[0] * window.kernel[1] === 1 ? [0] : windowTaps(input.layout, window);
  const perFilter = perGroup * taps.length;
  const filters = m / group;
  const counts = isConstant(w) ? rowCounts(w) : undefined;
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  const shared = {
    m: filters,
    depth: perFilter,
    nonZeros: counts?.reduce((a, c) => a + c, 0) === undefined ? filters * perFilter : Math.ceil((counts?.reduce((a, c) => a + c, 0) as number) / group),
    channels: perGroup,
    channelStride: input.layout.strides[1] as number,
    taps,
    weights: { kind: "packed" } as const,
    bias: conv.b !== undefined,
  };
  const plan = choosePlan(ctx, conv, shared, input.layout, inLayout, lanes, oh, ow, counts !== undefined);
  const output = plan.junk ? { buffer: ctx.buffer(`${y.name}~`, plan.output.size), offset: 0, layout: plan.output } : ctx.write(y, plan.output);
  const residual = conv.residual === undefined || plan.junk ? undefined : ctx.read(conv.residual, withoutPadding(output.layout));
  const bias = conv.b === undefined ? undefined : ctx.readAny(conv.b);
  const problem = {
    ...shared,
    region: plan.region,
    outStride: output.layout.strides[1] as number,
    residual: residual !== undefined,
    activation: plan.junk ? noActivation : conv.activation,
  };
  const batches = lanes > 1 ? 1 : n;
  const macs = elementCount(y.type.shape) * perFilter;
  for (let g = 0; g < group; g++) {
    const at = (p: Place, elements: number): Place => ({ buffer: p.buffer, offset: p.offset + elements });
    const rest = [
      ...(bias === undefined ? [] : [at(bias, g * filters)]),
      ...(residual === undefined ? [] : [at(residual, g * filters * (residual.layout.strides[1] as number))]),
      at(output, g * filters * (output.layout.strides[1] as number)),
    ];
    const source = at(corner, g * perGroup * (channels === 1 ? 0 : (input.layout.strides[1] as number)));
    const repeat = {
      count: batches,
      strides: [
        input.layout.strides[0] as number,
        0,
        ...(bias === undefined ? [] : [0]),
        ...(residual === undefined ? [] : [residual.layout.strides[0] as number]),
        output.layout.strides[0] as number,
      ],
    };
    const extra = { repeat, joins: g > 0, macs: macs / group };
    if (plan.sparse) emitSparse(ctx, spmmProblem(problem), conv.w as ConstantValue, g, group, shared, source, rest, extra);
    else {
      const [first, second, ...others] = repeat.strides as [number, number, ...number[]];
      const strides = taps.length > 1 ? [first, second, 0, ...others] : repeat.strides;
      emitGemm(ctx, problem, conv.w, g, group, source, rest, { ...extra, repeat: { count: batches, strides } });
    }
  }
  if (plan.junk) finishJunk(ctx, conv, output);
}

type Extra = { readonly repeat: { readonly count: number; readonly strides: readonly number[] }; readonly joins: boolean; readonly macs: number };
type Shared = Pick<GemmProblem, "m" | "channels" | "channelStride" | "taps" | "weights" | "bias"> & Pick<SpmmProblem, "depth" | "nonZeros">;

const gemmProblem = (p: Shared & Pick<GemmProblem, "region" | "outStride" | "residual" | "activation">): GemmProblem => ({
  m: p.m,
  channels: p.channels,
  channelStride: p.channelStride,
  taps: p.taps,
  region: p.region,
  outStride: p.outStride,
  weights: p.weights,
  bias: p.bias,
  residual: p.residual,
  activation: p.activation,
});

const spmmProblem = (p: Shared & Pick<GemmProblem, "region" | "outStride" | "residual" | "activation">): SpmmProblem => ({
  m: p.m,
  nonZeros: p.nonZeros,
  depth: p.depth,
  region: p.region,
  outStride: p.outStride,
  bias: p.bias,
  residual: p.residual,
  activation: p.activation,
});

function emitGemm(
  ctx: LoweringContext,
  shared: Shared & Pick<GemmProblem, "region" | "outStride" | "residual" | "activation">,
  w: Value,
  g: number,
  group: number,
  source: Place,
  rest: readonly Place[],
  extra: Extra,
): void {
  const problem = gemmProblem(shared);
  const best = bestChoice(f32Gemm, problem, ctx.target);
  invariant(best !== undefined, "no tile fits");
  const depth = problem.channels * problem.taps.length;
  const weights: Place = isConstant(w)
    ? { buffer: ctx.weights(groupOf(w, g, group), { kind: "pack", m: problem.m, depth, filters: best.choice.filters }, problem.m * depth * 4), offset: 0 }
    : packNow(ctx, w, g * problem.m * depth, problem.m, depth, best.choice.filters);
  const table = problem.taps.length > 1 ? [ctx.table(problem.taps.map((t) => 4 * t))] : [];
  ctx.call(f32Gemm, problem, [source, weights, ...table, ...rest], { ...extra, choice: best.choice });
}

/** Brings weights that change between runs, row-major, into the form of `GemmWeights` "packed". */
function packNow(ctx: LoweringContext, w: Value, first: number, m: number, depth: number, filters: number): Place {
  const source = ctx.read(w, linear(w.type.shape));
  const packed = { buffer: ctx.buffer(`${w.name}.packed`, m * depth), offset: 0 };
  const blocks = Math.floor(m / filters);
  const copy = (row: number, count: number, width: number, joins: boolean) => {
    const dims = [
      { size: count, strides: [width * depth, width * depth] },
      { size: depth, strides: [1, width] },
      { size: width, strides: [depth, 1] },
    ];
    ctx.call(
      x32Copy,
      { dims },
      [
        { buffer: source.buffer, offset: source.offset + first + row * depth },
        { buffer: packed.buffer, offset: row * depth },
      ],
      { joins },
    );
  };
  if (blocks > 0) copy(0, blocks, filters, false);
  if (m % filters > 0) copy(blocks * filters, 1, m % filters, blocks > 0);
  return packed;
}

function emitSparse(
  ctx: LoweringContext,
  problem: SpmmProblem,
  w: ConstantValue,
  g: number,
  group: number,
  shared: Shared,
  source: Place,
  rest: readonly Place[],
  extra: Extra,
): void {
  const best = bestChoice(f32Spmm, problem, ctx.target);
  invariant(best !== undefined, "no tile fits");
  const part = groupOf(w, g, group);
  const spec = { kind: "stream", m: problem.m, depth: problem.depth, group: best.choice.group, channelStride: shared.channelStride, taps: shared.taps } as const;
  const stream = ctx.weights(part, spec, spmmStreamBytes(rowCounts(part), best.choice.group));
  ctx.call(f32Spmm, problem, [source, { buffer: stream, offset: 0 }, ...rest], { ...extra, choice: best.choice });
}

/** The cheapest way among: row by row to the wished layout, row by row or flat to compact planes, flat with junk between the rows. */
function choosePlan(
  ctx: LoweringContext,
  conv: ConvProblem,
  shared: Shared,
  input: Layout,
  inLayout: Layout | undefined,
  lanes: number,
  oh: number,
  ow: number,
  constant: boolean,
): Plan {
  const { y } = conv;
  const preferred = ctx.preferredLayout(y);
  const compact = ctx.viewOf(y) === undefined ? ctx.compactLayout(y) : preferred;
  const [n, m] = y.type.shape as [number, number];
  const batches = lanes > 1 ? 1 : n;
  const inPitch = input.strides[2] as number;
  const plans: Plan[] = [];
  const copyCycles = (elements: number) => elements * 0.9 + 400;
  const add = (output: Layout, region: Region, junk: boolean, extraCost: number) => {
    if (region.w < 4) return;
    const problem = { ...shared, region, outStride: output.strides[1] as number, residual: conv.residual !== undefined && !junk, activation: conv.activation };
    const gemm = bestChoice(f32Gemm, gemmProblem(problem), ctx.target);
    const spmm = constant ? bestChoice(f32Spmm, spmmProblem(problem), ctx.target) : undefined;
    const times = batches * conv.group;
    if (gemm !== undefined) plans.push({ output, region, junk, sparse: false, cost: gemm.cost * times + extraCost });
    if (spmm !== undefined) plans.push({ output, region, junk, sparse: true, cost: spmm.cost * times + extraCost });
  };
  const elements = batches * m * oh * ow * lanes;
  const later = samePlaces(compact, preferred, y.type.shape) ? 0 : copyCycles(elements);
  const w = ow * lanes;
  const plainRows = (output: Layout) => ({ h: oh, w, inPitch, outPitch: output.strides[2] as number });
  const residualCopy = conv.residual !== undefined && !samePlaces(preferred, compact, y.type.shape) ? copyCycles(elements) : 0;
  add(preferred, plainRows(preferred), false, residualCopy);
  add(compact, plainRows(compact), false, later);
  const contiguous = (l: Layout) => l.strides[2] === w && l.strides[3] === lanes;
  if (inLayout === undefined && contiguous(input) && contiguous(compact) && (input.strides[2] as number) === inPitch) {
    const size = Math.min(roundUp(oh * w, 4), compact.strides[1] as number, input.strides[1] as number);
    if (size >= oh * w) add(compact, { h: 1, w: size, inPitch: 0, outPitch: 0 }, false, later);
  }
  if (lanes === 1) {
    const flat = roundUp((oh - 1) * inPitch + ow, 4);
    const junk: Layout = { lanes: 1, strides: [m * flat, flat, inPitch, 1], base: 0, size: n * m * flat };
    add(junk, { h: 1, w: flat, inPitch: 0, outPitch: 0 }, true, copyCycles(elements) * (conv.residual === undefined ? 1 : 1.3));
  }
  const best = plans.reduce((a: Plan | undefined, b) => (a === undefined || b.cost < a.cost ? b : a), undefined);
  invariant(best !== undefined, `no kernel fits the convolution ${ctx.node}`);
  return best;
}

/** y = act(junk + residual), from rows with junk between them to where y belongs. */
function finishJunk(ctx: LoweringContext, conv: ConvProblem, junk: Placed): void {
  const output = ctx.write(conv.y);
  const sum = conv.residual === undefined ? e.input(0) : e.add(e.input(0), e.input(1));
  const expr = substitute(activationExpr(conv.activation), [sum]);
  if (conv.residual === undefined && conv.activation.kind === "none") ctx.copyInto(conv.y.type.shape, junk, output, false);
  else {
    const { shape } = conv.y.type;
    const inputs = [junk, ...(conv.residual === undefined ? [] : [ctx.readAny(conv.residual)])];
    mapStrided(
      ctx,
      shape,
      expr,
      inputs.map((p) => broadcast(p, shape, shape)),
      broadcast(output, shape, shape),
    );
  }
}

const withoutPadding = ({ lanes, strides, base, size }: Layout): Layout => ({ lanes, strides, base, size });

function emitDepthwise(ctx: LoweringContext, conv: ConvProblem): void {
  const { x, w, y, window } = conv;
  const lanes = ctx.lanesOf(x);
  const [n, channels] = x.type.shape as [number, number];
  const m = w.type.shape[0] as number;
  const { corner, input, narrow, ...slide } = slidingInput(ctx, x, y, window, 0);
  const output = narrow ? wideBuffer(ctx, y, lanes) : ctx.write(y);
  const residual = conv.residual === undefined || narrow ? undefined : ctx.read(conv.residual, withoutPadding(output.layout));
  const weights = ctx.read(w, linear(w.type.shape));
  const problem: WindowProblem = {
    kind: "depthwise",
    channels: m,
    inStride: input.layout.strides[1] as number,
    outStride: output.layout.strides[1] as number,
    taps: slide.taps,
    region: { ...slide.region, outPitch: output.layout.strides[2] as number },
    columnStep: slide.columnStep,
    scale: 1,
    multiplier: m / channels,
    bias: conv.b !== undefined,
    residual: residual !== undefined,
    activation: narrow ? noActivation : conv.activation,
  };
  const bias = conv.b === undefined ? [] : [ctx.readAny(conv.b)];
  const repeat = {
    count: lanes > 1 ? 1 : n,
    strides: [
      input.layout.strides[0] as number,
      0,
      ...bias.map(() => 0),
      ...(residual === undefined ? [] : [residual.layout.strides[0] as number]),
      output.layout.strides[0] as number,
    ],
  };
  ctx.call(f32Window, problem, [corner, weights, ...bias, ...(residual === undefined ? [] : [residual]), output], {
    repeat,
    macs: elementCount(y.type.shape) * problem.taps.length,
  });
  if (narrow) finishJunk(ctx, conv, output);
}

/** What a sliding kernel (depthwise, pooling) reads, and how. Rows of fewer than 4 elements (`narrow`) need room for whole vectors. */
export function slidingInput(ctx: LoweringContext, x: Value, y: Value, window: Window, padValue: number) {
  const lanes = ctx.lanesOf(x);
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  const narrow = ow * lanes < 4;
  const { layout, rowStep, columnStep } = slidingLayout(x.type.shape, window, lanes, padValue);
  const wanted = layout ?? (narrow ? wide(x.type.shape, lanes) : undefined);
  const input = wanted === undefined ? ctx.readAny(x) : ctx.read(x, wanted);
  const corner: Place = wanted === undefined ? input : { buffer: input.buffer, offset: input.offset - input.layout.base };
  const region = { h: oh, w: Math.max(4, ow * lanes), inPitch: rowStep * (input.layout.strides[2] as number) };
  return { corner, input, narrow, region, columnStep, taps: windowTaps(input.layout, window) };
}

/** Planes with room for a whole vector behind each row. */
export const wide = (shape: readonly number[], lanes: number): Layout => paddedPlanes(shape, { top: 0, left: 0, bottom: 0, right: 4, sh: 1, sw: 1, value: 0 }, lanes);

export function wideBuffer(ctx: LoweringContext, y: Value, lanes: number): Placed {
  const { padding: _, ...layout } = wide(y.type.shape, lanes);
  return { buffer: ctx.buffer(`${y.name}~`, layout.size), offset: 0, layout };
}

/** Non-zeros of each row of a weight [m, …]. */
export function rowCounts(w: ConstantValue): number[] {
  const m = w.type.shape[0] as number;
  const depth = w.data.length / m;
  return Array.from({ length: m }, (_, i) => {
    let count = 0;
    for (let k = i * depth; k < (i + 1) * depth; k++) if (w.data[k] !== 0) count++;
    return count;
  });
}

const groupParts = new WeakMap<ConstantValue, ConstantValue[]>();

/** The filters of one group as a constant of their own. */
function groupOf(w: ConstantValue, g: number, group: number): ConstantValue {
  if (group === 1) return w;
  let parts = groupParts.get(w);
  if (parts === undefined) {
    const [m, ...rest] = w.type.shape as [number, ...number[]];
    const size = w.data.length / group;
    parts = Array.from({ length: group }, (_, i) => ({
      kind: "constant",
      name: `${w.name}[${i}]`,
      type: { dtype: w.type.dtype, shape: [m / group, ...rest] },
      data: w.data.slice(i * size, (i + 1) * size) as Float32Array,
    }));
    groupParts.set(w, parts);
  }
  return parts[g] as ConstantValue;
}
