import { invariant } from "../errors.ts";
import { type Activation, noActivation } from "../ir/activation.ts";
import { type ConstantValue, isConstant, type Node, type Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { withoutSharedLoads } from "../kernels/kernel.ts";
import type { Region } from "../kernels/region.ts";
import { f32Gemm, type GemmChoice, type GemmProblem, type GemmWeights, weightSlack } from "../kernels/wasm/f32-gemm.ts";
import { f32Spmm, type SpmmChoice, type SpmmProblem, spmmScratch } from "../kernels/wasm/f32-spmm.ts";
import { f32Winograd, pointsOf, type WinogradChoice, type WinogradProblem, winogradScratch } from "../kernels/wasm/f32-winograd.ts";
import { streamBytes } from "../kernels/weight-stream.ts";
import { tapsOf, type WinogradTaps } from "../kernels/winograd.ts";
import type { LoweringContext, Placed } from "./context.ts";
import { type ConvProblem, finishConv, finishCost } from "./conv-problem.ts";
import { groupOf, packNow, zerosOf } from "./filters.ts";
import type { Place } from "./kernel-graph.ts";
import { type Layout, linear, phaseStride, roundUp, samePlaces, withoutPadding } from "./layout.ts";
import { emitDepthwise } from "./sliding.ts";
import { liveStream } from "./sparse.ts";
import { spmmOfLines, streamOf } from "./spmm.ts";
import { emitUnpadded, suitsUnpadded } from "./unpadded-conv.ts";
import { lowerAnyConv } from "./window-any.ts";
import { isDepthwise, reachedPads, windowLayout, windowOf, windowTaps } from "./window-layout.ts";

export function lowerConv(ctx: LoweringContext, node: Node): void {
  if (node.inputs[0]?.type.shape.length !== 4) return lowerAnyConv(ctx, node);
  const [x, w, b, residual] = node.inputs as [Value, Value, Value | undefined, Value | undefined];
  const y = node.outputs[0] as Value;
  const window = reachedPads(windowOf(node.attrs, w.type.shape.slice(2)), x.type.shape, y.type.shape);
  const activation = (node.attrs.activation as Activation | undefined) ?? noActivation;
  const conv = { x, w, b, residual, y, window, group: node.attrs.group as number, activation };
  if (isDepthwise(x.type.shape, w.type.shape, conv.group)) emitDepthwise(ctx, conv);
  else if (suitsUnpadded(ctx, conv)) emitUnpadded(ctx, conv);
  else emitDense(ctx, conv);
}

/** How a kernel walks the planes of the output: what a problem has beside its weights and input. */
type Walk = Pick<GemmProblem & SpmmProblem, "region" | "outStride" | "residual" | "activation">;

/** The planes that a convolution reads, and the kernels that could compute one group of it. */
interface Sources {
  readonly input: Placed;
  /** Whether the input has the layout that the window wants; else it is compact. */
  readonly windowed: boolean;
  readonly lanes: number;
  product(walk: Walk): GemmProblem;
  /** For weights whose zeros are known when compiling. */
  sparse?(walk: Walk): SpmmProblem;
  /** For windows that Winograd's algorithm suits, likewise. */
  winograd?(walk: Walk): WinogradProblem;
}

/** A way to compute a convolution. */
interface Plan {
  readonly output: Layout;
  readonly walk: Walk;
  /** The output has junk between its rows and is copied to its place afterwards, with activation and residual. */
  readonly junk: boolean;
  readonly cost: number;
  readonly choice: { readonly gemm: GemmChoice } | { readonly spmm: SpmmChoice } | { readonly winograd: WinogradChoice };
}

function emitDense(ctx: LoweringContext, conv: ConvProblem): void {
  const { x, w, y, window, group } = conv;
  const lanes = ctx.lanesOf(x);
  const [m, perGroup, ...kernel] = w.type.shape as [number, number, ...number[]];
  const filters = m / group;
  const depth = perGroup * elementCount(kernel);
  const wanted = windowLayout(x.type.shape, window, lanes, 0);
  const input = wanted === undefined ? ctx.readAny(x) : ctx.read(x, wanted);
  const taps = windowTaps(input.layout, window);
  const channelStride = input.layout.strides[1] as number;
  const shared = { m: filters, bias: conv.b !== undefined };
  const winogradTaps = winogradTapsOf(ctx, conv);
  const stride = window.strides[0];
  const live = group === 1 ? ctx.sparse.get(w) : undefined;
  const zeros = isConstant(w) ? zerosOf(w) : live && { nonZeros: live.places.length, paired: false };
  // Without zeros there is nothing to skip, and the sparse form takes twice the memory.
  const sparsity =
    zeros === undefined || zeros.nonZeros === elementCount(w.type.shape)
      ? undefined
      : { nonZeros: Math.ceil(zeros.nonZeros / group), block: filters % 2 === 0 && zeros.paired ? (2 as const) : (1 as const) };
  const weights: GemmWeights = ctx.options.layout ? { kind: "packed" } : { kind: "strided", row: depth, channel: taps.length, taps: [...taps.keys()] };
  const sources: Sources = {
    input,
    windowed: wanted !== undefined,
    lanes,
    product: (walk) => ({ ...shared, channels: perGroup, channelStride, taps, weights, ...walk }),
    ...(sparsity === undefined ? {} : { sparse: (walk) => ({ ...shared, ...sparsity, channels: perGroup, channelStride, taps, ...walk }) }),
    ...(winogradTaps === undefined
      ? {}
      : {
          winograd: (walk) => ({
            ...shared,
            channels: perGroup * stride ** 2,
            channelStride: stride === 1 ? channelStride : phaseStride(input.layout),
            taps: winogradTaps,
            ...walk,
          }),
        }),
  };
  const plan = choosePlan(ctx, conv, sources);
  const output = plan.junk ? { buffer: ctx.buffer(`${y.name}~`, plan.output.size), offset: 0, layout: plan.output } : ctx.write(y, plan.output);
  const residual = conv.residual === undefined || plan.junk ? undefined : ctx.read(conv.residual, withoutPadding(output.layout));
  const bias = conv.b && ctx.readAny(conv.b);
  const winograd = "winograd" in plan.choice && sources.winograd && { problem: sources.winograd(plan.walk), choice: plan.choice.winograd };
  const spmm = "spmm" in plan.choice && sources.sparse && { problem: sources.sparse(plan.walk), choice: plan.choice.spmm };
  const scratchSize = winograd ? winogradScratch(winograd.problem, winograd.choice) : spmm ? spmmScratch(spmm.problem, spmm.choice) : 0;
  const scratch = scratchSize > 0 && ctx.buffer(`${y.name}.scratch`, scratchSize);
  for (let g = 0; g < group; g++) {
    /** What is moved on from image to image: its place for this group, and by how much. */
    const moving = ({ buffer, offset, layout }: Placed, channels: number, base = 0): Operand => ({
      place: { buffer, offset: offset - base + g * channels * (layout.strides[1] as number) },
      step: layout.strides[0] as number,
    });
    const still = (place: Place): Operand => ({ place, step: 0 });
    const operands = [
      moving(input, perGroup, wanted === undefined ? 0 : input.layout.base),
      ...weightsOf(ctx, conv, sources, plan, g).map(still),
      ...(bias === undefined ? [] : [still({ buffer: bias.buffer, offset: bias.offset + g * filters })]),
      ...(residual === undefined ? [] : [moving(residual, filters)]),
      ...(scratch ? [still({ buffer: scratch, offset: 0 })] : []),
      moving(output, filters),
    ];
    const extra = {
      repeat: { count: lanes > 1 ? 1 : (x.type.shape[0] as number), strides: operands.map((o) => o.step) },
      joins: true,
      macs: (elementCount(y.type.shape) * depth) / group,
    };
    const places = operands.map((o) => o.place);
    if ("gemm" in plan.choice) ctx.call(f32Gemm, sources.product(plan.walk), places, { ...extra, choice: plan.choice.gemm });
    else if (winograd) ctx.call(f32Winograd, winograd.problem, places, { ...extra, choice: winograd.choice });
    else if (spmm) ctx.call(f32Spmm, spmm.problem, places, { ...extra, choice: spmm.choice });
  }
  if (plan.junk) finishConv(ctx, conv, output);
}

/**
 * Taps a side of the window, or of each phase of one with a stride, if the kernel's transforms are made for them: 3×3 to 5×5 with stride 1, up to 10×10 with stride 2, and so on. Filters are
 * transformed while loading.
 */
function winogradTapsOf(ctx: LoweringContext, { x, w, window }: ConvProblem): WinogradTaps | undefined {
  const [kernel, stride] = [window.kernel[0], window.strides[0]];
  if (window.kernel[1] !== kernel || window.strides[1] !== stride || window.dilations.some((d) => d > 1)) return undefined;
  if (!ctx.options.winograd || !ctx.options.layout || !isConstant(w) || ctx.isBatched(x)) return undefined;
  return tapsOf({ kernel, stride });
}

interface Operand {
  readonly place: Place;
  readonly step: number;
}

/** The filters of one group as the kernel wants them, and where it needs one its table of taps. */
function weightsOf(ctx: LoweringContext, { w, group, window }: ConvProblem, sources: Sources, { walk, choice }: Plan, g: number): Place[] {
  const { m, taps, channels, weights } = sources.product(walk);
  const depth = channels * taps.length;
  if ("spmm" in choice) {
    const { shape, channelStride: stride } = streamOf((sources.sparse as (walk: Walk) => SpmmProblem)(walk), choice.spmm);
    const live = ctx.sparse.get(w);
    if (live !== undefined) return [liveStream(ctx, live, shape, stride)];
    const part = groupOf(w as ConstantValue, g, group);
    return [{ buffer: ctx.weights(part, { kind: "stream", channelStride: stride, ...shape }, streamBytes(shape, part.data as Float32Array)), offset: 0 }];
  }
  if ("winograd" in choice) {
    const { side = 6, group: perGroup, product } = choice.winograd;
    const { kernel, strides } = window;
    const spec = { kind: "winograd", m, channels, filters: product.filters, group: perGroup, kernel: kernel[0], stride: strides[0], side } as const;
    const bytes = pointsOf(choice.winograd) * m * channels * strides[0] ** 2 * 4 + weightSlack;
    return [{ buffer: ctx.weights(groupOf(w as ConstantValue, g, group), spec, bytes), offset: 0 }];
  }
  const filters = weights.kind === "packed" ? packed(ctx, w, g, group, m, depth, choice.gemm.filters) : rowMajor(ctx, w, g * m * depth);
  return taps.length > 1 ? [filters, ctx.table(taps.map((t) => 4 * t))] : [filters];
}

function packed(ctx: LoweringContext, w: Value, g: number, group: number, m: number, depth: number, filters: number): Place {
  if (!isConstant(w)) return packNow(ctx, w, g * m * depth, m, depth, filters);
  return { buffer: ctx.weights(groupOf(w, g, group), { kind: "pack", m, depth, filters }, m * depth * 4 + weightSlack), offset: 0 };
}

function rowMajor(ctx: LoweringContext, w: Value, first: number): Place {
  const { buffer, offset } = ctx.read(w, linear(w.type.shape));
  return { buffer, offset: offset + first };
}

/** The cheapest way among: row by row to the wished layout, row by row or flat to compact planes, flat with junk between the rows. */
function choosePlan(ctx: LoweringContext, conv: ConvProblem, { input, windowed, lanes, product, sparse, winograd }: Sources): Plan {
  const { y } = conv;
  const [n, m, oh, ow] = y.type.shape as [number, number, number, number];
  const preferred = ctx.preferredLayout(y);
  const compact = ctx.viewOf(y) === undefined ? ctx.compactLayout(y) : preferred;
  const batches = lanes > 1 ? 1 : n;
  const inPitch = input.layout.strides[2] as number;
  const w = ow * lanes;
  const plans: Plan[] = [];
  // Values that are put into the stream in each run find their places where every filter is a row of its own.
  const ofLanes = lanes > 1 ? spmmOfLines : f32Spmm;
  const sparseProduct = ctx.sparse.has(conv.w) ? withoutSharedLoads(ofLanes) : ofLanes;
  const add = (output: Layout, region: Region, junk: boolean, extraCost: number) => {
    if (region.w < 4) return;
    const walk = { region, outStride: output.strides[1] as number, residual: conv.residual !== undefined && !junk, activation: junk ? noActivation : conv.activation };
    const times = batches * conv.group;
    const gemm = ctx.best(f32Gemm, product(walk));
    const spmm = sparse && ctx.best(sparseProduct, sparse(walk));
    const problem = winograd && region.h >= 4 && !junk ? winograd(walk) : undefined;
    const transformed = problem && (problem.taps === 3 || !problem.residual) ? ctx.best(f32Winograd, problem) : undefined;
    if (transformed !== undefined) plans.push({ output, walk, junk, choice: { winograd: transformed.choice }, cost: transformed.cost * times + extraCost });
    if (gemm !== undefined) plans.push({ output, walk, junk, choice: { gemm: gemm.choice }, cost: gemm.cost * times + extraCost });
    if (spmm !== undefined) plans.push({ output, walk, junk, choice: { spmm: spmm.choice }, cost: spmm.cost * times + extraCost });
  };
  const later = samePlaces(compact, preferred, y.type.shape) ? 0 : ctx.copyCost(y.type.shape, compact, preferred);
  const rows = (output: Layout): Region => ({ h: oh, w, inPitch, outPitch: output.strides[2] as number });
  add(preferred, rows(preferred), false, conv.residual === undefined ? 0 : later);
  add(compact, rows(compact), false, later);
  const contiguous = (l: Layout) => l.strides[2] === w && l.strides[3] === lanes;
  if (!windowed && contiguous(input.layout) && contiguous(compact)) {
    const size = Math.min(roundUp(oh * w, 4), compact.strides[1] as number, input.layout.strides[1] as number);
    if (size >= oh * w) add(compact, { h: 1, w: size, inPitch: 0, outPitch: 0 }, false, later);
  }
  if (lanes === 1 && (ctx.options.layout || plans.length === 0)) {
    const flat = roundUp((oh - 1) * inPitch + ow, 4);
    const junk: Layout = { lanes: 1, strides: [m * flat, flat, inPitch, 1], base: 0, size: n * m * flat };
    add(junk, { h: 1, w: flat, inPitch: 0, outPitch: 0 }, true, finishCost(ctx, conv, junk));
  }
  const best = plans.reduce((a: Plan | undefined, b) => (a === undefined || b.cost < a.cost ? b : a), undefined);
  invariant(best !== undefined, `no kernel fits the convolution ${ctx.node}`);
  return best;
}
