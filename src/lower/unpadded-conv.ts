import { invariant } from "../errors.ts";
import { withoutSharedLoads } from "../kernels/kernel.ts";
import { f32Spmm, type SpmmProblem, spmmScratch } from "../kernels/wasm/f32-spmm.ts";
import type { LoweringContext } from "./context.ts";
import type { ConvProblem } from "./conv-problem.ts";
import { liveStream, type SparseWeight } from "./sparse.ts";
import { spmmOfLines, streamOf } from "./spmm.ts";
import { type Window, windowTaps } from "./window-layout.ts";

/** Positions along an axis whose windows reach the input with the same taps, `first` … `last` of them. */
interface Span {
  readonly start: number;
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

/** Below this share of products with elements that are there, it pays to leave out those with padding. */
const mostUseful = 0.8;

/** The spans of an axis of `size` elements under a window of stride 1; those without taps have `last` < `first`. */
function spansOf(outputs: number, size: number, kernel: number, dilation: number, pad: number): Span[] {
  const spans: { start: number; count: number; first: number; last: number }[] = [];
  for (let at = 0; at < outputs; at++) {
    const first = Math.max(0, Math.ceil((pad - at) / dilation));
    const last = Math.min(kernel - 1, Math.floor((pad - at + size - 1) / dilation));
    const before = spans.at(-1);
    if (before !== undefined && before.first === first && before.last === last) before.count++;
    else spans.push({ start: at, count: 1, first, last });
  }
  return spans;
}

const holds = ({ first, last }: Span, tap: number): boolean => tap >= first && tap <= last;

function spansOfWindow({ x, y, w, window }: ConvProblem): readonly [Span[], Span[]] {
  const spans = ([0, 1] as const).map((i) =>
    spansOf(y.type.shape[2 + i] as number, x.type.shape[2 + i] as number, w.type.shape[2 + i] as number, window.dilations[i], window.pads[i] as number),
  );
  return spans as [Span[], Span[]];
}

/**
 * Whether much of a convolution of stride 1 with few weights would be products with padding, as in the gradient of an unpadded one, and the batch lies innermost: then each
 * position is a row of its own, and its filters need not hold what it multiplies with padding.
 */
export function suitsUnpadded(ctx: LoweringContext, conv: ConvProblem): boolean {
  const { x, y, w, window, group, residual } = conv;
  const weight = ctx.sparse.get(w);
  if (weight === undefined || group > 1 || residual !== undefined || window.strides.some((s) => s > 1) || ctx.lanesOf(x) < 4) return false;
  const [rows, columns] = spansOfWindow(conv);
  const reach = (spans: readonly Span[], tap: number): number => spans.reduce((sum, span) => sum + (holds(span, tap) ? span.count : 0), 0);
  const [kh, kw] = window.kernel;
  let useful = 0;
  for (const place of weight.places) useful += reach(rows, Math.floor((place % (kh * kw)) / kw)) * reach(columns, place % kw);
  const [oh, ow] = y.type.shape.slice(2) as [number, number];
  return useful < mostUseful * weight.places.length * oh * ow;
}

/** The convolution as one without padding, and of perhaps fewer taps, for each rectangle of positions that have the same taps. */
export function emitUnpadded(ctx: LoweringContext, conv: ConvProblem): void {
  const { x, w, b, y, window } = conv;
  const weight = ctx.sparse.get(w);
  invariant(weight !== undefined, "only sparse weights are cut");
  const [input, output, bias] = [ctx.readAny(x), ctx.write(y), b && ctx.readAny(b)];
  const [, channelStride, inPitch, lanes] = input.layout.strides as [number, number, number, number];
  const [, outStride, outPitch] = output.layout.strides as [number, number, number];
  const [m, channels] = w.type.shape as [number, number];
  const [rowSpans, columnSpans] = spansOfWindow(conv);
  for (const rows of rowSpans)
    for (const columns of columnSpans) {
      const part = partOf(weight, rows, columns);
      const cut: Window = { ...window, kernel: part.shape.slice(2) as [number, number], pads: [0, 0, 0, 0] };
      const taps = windowTaps(input.layout, cut);
      const problem: SpmmProblem = {
        m,
        nonZeros: part.places.length,
        channels,
        channelStride,
        taps,
        block: 1,
        region: { h: rows.count, w: columns.count * lanes, inPitch, outPitch },
        outStride,
        bias: b !== undefined,
        residual: false,
        activation: conv.activation,
      };
      const choice = ctx.best(withoutSharedLoads(spmmOfLines), problem)?.choice;
      invariant(choice !== undefined, `no kernel fits a part of the convolution ${ctx.node}`);
      const firstOf = (span: Span, i: 0 | 1): number => (holds(span, span.first) ? span.start - (window.pads[i] as number) + span.first * window.dilations[i] : 0);
      const from = { buffer: input.buffer, offset: input.offset + firstOf(rows, 0) * inPitch + firstOf(columns, 1) * lanes };
      const to = { buffer: output.buffer, offset: output.offset + rows.start * outPitch + columns.start * lanes };
      const size = spmmScratch(problem, choice);
      const scratch = size > 0 ? [{ buffer: ctx.buffer(`${y.name}.scratch`, size), offset: 0 }] : [];
      const { shape, channelStride: stride } = streamOf(problem, choice);
      const weights = liveStream(ctx, part, shape, stride);
      ctx.call(f32Spmm, problem, [from, weights, ...(bias === undefined ? [] : [bias]), ...scratch, to], {
        choice,
        joins: true,
        macs: m * channels * taps.length * rows.count * columns.count * lanes,
      });
    }
}

/** The weight with the taps of these spans alone; without any, with one that is 0. */
function partOf({ values, shape, places, sources }: SparseWeight, rows: Span, columns: Span): SparseWeight {
  const [m, channels, kh, kw] = shape as [number, number, number, number];
  const [h, w] = [rows, columns].map(({ first, last }) => Math.max(1, last - first + 1)) as [number, number];
  const kept: { readonly place: number; readonly source: number }[] = [];
  places.forEach((place, i) => {
    const tap = place % (kh * kw);
    const [row, column] = [Math.floor(tap / kw), tap % kw];
    if (!holds(rows, row) || !holds(columns, column)) return;
    kept.push({ place: (Math.floor(place / (kh * kw)) * h + row - rows.first) * w + column - columns.first, source: sources[i] as number });
  });
  return { values, shape: [m, channels, h, w], places: Int32Array.from(kept, (k) => k.place), sources: Int32Array.from(kept, (k) => k.source) };
}
