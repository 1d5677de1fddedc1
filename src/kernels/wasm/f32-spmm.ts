import type { Target } from "../../codegen/target.ts";
import { f32x4, type I32, i32, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext, roundedCount } from "../kernel.ts";
import { type Region, registersOf, setTileOffsets, type Tile, tilesOf, vectorOffsets } from "../region.ts";
import { emitActivation, madd } from "../vector-math.ts";
import { tileShapes } from "./f32-gemm.ts";
import { emitPacking, type PackedTile, packedSize, packedTile } from "./spmm-packing.ts";

/**
 * y[m, p] = act(bias[m] + Σ over the non-zeros of row m of weight · x[p + offset] + residual[m, p]): convolution with sparse filters, 1×1
 * and k×k alike, since an offset stands for a channel and a tap.
 *
 * A tile of pixels of all channels seldom fits the first-level cache. So the depth is walked in passes of some channels: one pass computes all
 * rows of filters for the tile, whose sums wait in operand `scratch` for the next pass.
 *
 * Weight stream: for each pass its rows' byte offsets (relative to the stream), and behind the last the stream's end; then the rows of pass 0, of
 * pass 1, …: groups of `group` byte offsets followed by `group` weights (of each filter of the row). Rows are filled up with zero weights.
 */
export interface SpmmProblem {
  readonly m: number;
  /** Non-zeros of all filters; only the estimate depends on it. */
  readonly nonZeros: number;
  readonly channels: number;
  readonly channelStride: number;
  /** As of f32-gemm. */
  readonly taps: readonly number[];
  /** Filters in a row that are non-zero at the same places (2×1 pruning), so that a loaded vector serves both. */
  readonly block: 1 | 2;
  readonly region: Region;
  readonly outStride: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface SpmmChoice {
  readonly tile: Tile;
  readonly group: 1 | 4;
  /** Filters of a row of the stream, at most the problem's `block`. */
  readonly filters: 1 | 2;
  /** Channels of a pass. */
  readonly channels: number;
  /** Whether what a tile reads of a pass is first put together in operand `scratch`; the stream's offsets then count from the pass's first channel. */
  readonly packed: boolean;
  readonly split: "tiles" | "filters";
}

const passesOf = (p: SpmmProblem, choice: SpmmChoice): number => Math.ceil(p.channels / choice.channels);

/** Tiles of a work item, where threads share out tiles: as many as keep the parts of `scratch` that hold packed tiles few. */
const tilesOfItem = (p: SpmmProblem, { tile, packed }: SpmmChoice): number => (packed ? Math.ceil(tilesOf(p.region, tile).count / 64) : 1);

/** Elements of the sums that wait for the next pass. */
const sumsSize = (p: SpmmProblem, choice: SpmmChoice): number => (passesOf(p, choice) === 1 ? 0 : p.m * choice.tile.rows * choice.tile.vectors * 4);

/** Elements of operand `scratch`: each item has its own part, of a packed tile and sums. */
export function spmmScratch(p: SpmmProblem, choice: SpmmChoice): number {
  const part = packedSize(p, choice) + sumsSize(p, choice);
  return Math.max(4, choice.split === "tiles" ? part * f32Spmm.items(p, choice) : part);
}

/** Cache lines of 64 bytes that a tile reads of one channel. */
function linesOf(p: SpmmProblem, tile: Tile): number {
  const spans: { from: number; to: number }[] = [];
  for (let row = 0; row < tile.rows; row++) for (const tap of p.taps) spans.push({ from: tap + row * p.region.inPitch, to: tap + row * p.region.inPitch + 4 * tile.vectors });
  spans.sort((a, b) => a.from - b.from);
  let lines = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { from, to } of spans) {
    // Rows closer than a line share it.
    if (from > end + 16) lines += (to - from - 1) / 16 + 1;
    else if (to > end) lines += (to - end) / 16;
    end = Math.max(end, to);
  }
  return lines;
}

/** Cycles that reading costs beside the multiplications, all measured on x64. */
interface Reading {
  /** For the vectors of an entry from the second-level cache, about 20 bytes a cycle. */
  readonly far: number;
  /** For an entry, where it lies in more pages than the processor has translations at hand for. */
  readonly translation: number;
  /** For what a pass reads first. */
  readonly first: number;
}

function scatteredReading(p: SpmmProblem, { tile, channels }: SpmmChoice, target: Target): Reading {
  const lines = linesOf(p, tile);
  const resident = Math.min(1, (0.55 * target.l1Bytes) / (channels * lines * 64));
  const pages = channels * Math.min(1, p.channelStride / 1024);
  return {
    far: (1 - resident) * ((tile.rows * (16 * tile.vectors + 48)) / 20),
    translation: pages > 60 ? 1.5 * (1 - 60 / pages) : 0,
    first: (channels * lines * 64) / 20,
  };
}

function packedReading(p: SpmmProblem, { tile, channels }: SpmmChoice, target: Target): Reading {
  const { rows, stride } = packedTile(p, tile) as PackedTile;
  const resident = Math.min(1, (0.55 * target.l1Bytes) / (channels * stride * 4));
  return { far: (1 - resident) * ((tile.rows * tile.vectors * 16) / 20), translation: 0, first: channels * (1.3 * (stride / 4) + 2 * rows.length) };
}

export const f32Spmm = defineKernel<SpmmProblem, SpmmChoice>({
  name: "f32-spmm",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "scratch", "y"],
  choices(p, target) {
    const choices: SpmmChoice[] = [];
    for (const filters of [1, 2] as const) {
      if (filters > p.block) continue;
      for (const vectors of filters === 1 ? [8, 7, 12, 6, 10, 14, 13, 4, 2, 1, 16, 20, 24] : [4, 5, 6, 7, 2, 1, 8, 10])
        for (const group of [4, 1] as const) {
          for (const tile of tileShapes(p.region, vectors)) {
            if ((registersOf(tile, target) + 1) * filters + 1 > target.vectorRegisters) continue;
            const { count } = tilesOf(p.region, tile);
            const fitting = Math.max(1, Math.floor(target.l1Bytes / 64 / linesOf(p, tile)));
            const evenly = (share: number) => Math.ceil(p.channels / Math.ceil(p.channels / Math.max(1, Math.floor(fitting * share))));
            const split = count >= 8 ? "tiles" : "filters";
            for (const channels of new Set([0.55, 0.35, 1].map(evenly))) choices.push({ tile, group, filters, channels, packed: false, split });
            const whole = packedTile(p, tile);
            // Threads that share out filters would each put together the same.
            if (whole === undefined || split === "filters") continue;
            const packs = (share: number) => Math.ceil(p.channels / Math.ceil((p.channels * whole.stride * 4) / (share * target.l1Bytes)));
            for (const channels of new Set([0.75, 0.5].map(packs))) choices.push({ tile, group, filters, channels, packed: true, split });
          }
        }
    }
    return choices;
  },
  cost(p, choice, target) {
    const { tile, group, filters } = choice;
    const vectors = registersOf(tile, target);
    const rows = p.m / filters;
    const passes = passesOf(p, choice);
    const entries = p.nonZeros / filters;
    // Entry by entry the multiplications of one accumulator wait for each other; with all in the first-level cache, measured on x64.
    const live = target.loadsFirst ? filters * vectors + vectors * (group === 4 ? 2 : 1) + filters : filters * (vectors + (group === 4 ? 2 : 1)) + 1;
    const spills = Math.max(0, live - target.vectorRegisters + (target.loadsFirst ? 1 : 0)) * (target.loadsFirst ? 1.9 : 0.6);
    const compute = Math.max(3.6, vectors * filters * (target.fma ? 0.52 : 0.56) + (group === 4 ? 0.1 : 0.4) + (filters === 2 ? 0.6 : 0)) + spills;
    const reading = choice.packed ? packedReading(p, choice, target) : scatteredReading(p, choice, target);
    const padding = group === 4 ? 1.5 * rows * passes : 0;
    const sums = passes === 1 ? 0 : (passes - 1) * rows * filters * vectors * 1.6;
    const perTile = (entries + padding) * (Math.max(compute, reading.far) + reading.translation + 0.4) + passes * (rows * (filters * vectors * 1.2 + 18) + reading.first) + sums;
    return tilesOf(p.region, tile).count * perTile;
  },
  digest: (p) => ({ ...p, nonZeros: roundedCount(p.nonZeros) }),
  sharesLoads: (_, choice) => choice.filters > 1,
  items: (p, choice) => (choice.split === "tiles" ? Math.ceil(tilesOf(p.region, choice.tile).count / tilesOfItem(p, choice)) : p.m / choice.filters),
  emit(context, p, choice) {
    const { fn, begin, end, operand } = context;
    const tile = fn.local("i32");
    const inOffset = fn.local("i32");
    const outOffset = fn.local("i32");
    const all = choice.split === "tiles";
    const rows = p.m / choice.filters;
    const passes = passesOf(p, choice);
    const tiles = tilesOf(p.region, choice.tile).count;
    const perItem = tilesOfItem(p, choice);
    const lastOf = fn.local("i32");
    fn.set(lastOf, perItem === 1 ? end : i32.mul(end, i32.const(perItem)));
    if (tiles % perItem !== 0) fn.set(lastOf, i32.select(lastOf, i32.const(tiles), i32.ltS(lastOf, i32.const(tiles))));
    const [firstTile, lastTile] = all ? [perItem === 1 ? begin : i32.mul(begin, i32.const(perItem)), lastOf] : [i32.const(0), i32.const(tiles)];
    const [firstRow, lastRow] = all ? [i32.const(0), i32.const(rows)] : [begin, end];
    // The sums of a row lie at its place in the part of the first item, behind the packed tile.
    const room = packedSize(p, choice);
    const partBytes = 4 * (room + sumsSize(p, choice));
    const part = partBytes === 0 ? undefined : fn.let(all ? i32.add(operand("scratch"), i32.mul(begin, i32.const(partBytes))) : operand("scratch"));
    const packed = choice.packed ? part : undefined;
    const sums = passes === 1 || part === undefined ? undefined : fn.let(i32.add(part, i32.const(4 * room)));
    fn.set(tile, firstTile);
    fn.for(tile, lastTile, 1, () => {
      setTileOffsets(fn, p.region, choice.tile, tile, inOffset, outOffset);
      const walk = { firstRow, lastRow, inOffset, outOffset, packed };
      if (sums === undefined) return emitPass(context, p, choice, walk, i32.const(0), undefined, true);
      emitBias(context, p, choice, walk, sums);
      const pass = fn.let(i32.const(0));
      fn.for(pass, i32.const(passes - 1), 1, () => emitPass(context, p, choice, walk, pass, sums, false));
      emitPass(context, p, choice, walk, i32.const(passes - 1), sums, true);
    });
  },
});

interface Walk {
  readonly firstRow: I32;
  readonly lastRow: I32;
  readonly inOffset: Local<"i32">;
  readonly outOffset: Local<"i32">;
  /** Where what the tile reads is put together. */
  readonly packed: Local<"i32"> | undefined;
}

/** Sums = bias, for the first pass to add to. */
function emitBias({ fn, operand }: EmitContext, p: SpmmProblem, { tile, filters }: SpmmChoice, { firstRow, lastRow }: Walk, sums: I32): void {
  const vectors = tile.rows * tile.vectors;
  const filter = fn.let(i32.mul(firstRow, i32.const(filters)));
  const last = fn.let(i32.mul(lastRow, i32.const(filters)));
  const bias = p.bias ? fn.let(i32.add(operand("bias"), i32.shl(filter, i32.const(2)))) : undefined;
  const sum = fn.let(i32.add(sums, i32.mul(filter, i32.const(16 * vectors))));
  fn.for(filter, last, 1, () => {
    const b = fn.let(bias === undefined ? f32x4.const(0) : v128.load32Splat(bias));
    for (let i = 0; i < vectors; i++) fn.store(sum, b, 16 * i);
    fn.set(sum, i32.add(sum, i32.const(16 * vectors)));
    if (bias !== undefined) fn.set(bias, i32.add(bias, i32.const(4)));
  });
}

/** One pass over all rows; the accumulators start with the sums so far, or with the bias, and end as sums, or in y. */
function emitPass(context: EmitContext, p: SpmmProblem, choice: SpmmChoice, walk: Walk, pass: I32, sums: Local<"i32"> | undefined, finishes: boolean): void {
  const { fn, target, operand } = context;
  const { tile, filters } = choice;
  const { inOffset, outOffset } = walk;
  const vectors = tile.rows * tile.vectors;
  const stream = operand("w");
  const source = fn.let(i32.add(operand("x"), inOffset));
  if (walk.packed !== undefined) emitPacking(context, p, choice, source, walk.packed, pass);
  const x = walk.packed ?? source;
  const row = fn.let(walk.firstRow);
  const head = fn.let(i32.add(stream, i32.shl(i32.add(i32.mul(pass, i32.const(p.m / filters)), row), i32.const(2))));
  const filter = i32.mul(row, i32.const(filters));
  const bias = sums === undefined && p.bias ? fn.let(i32.add(operand("bias"), i32.shl(filter, i32.const(2)))) : undefined;
  const planes = i32.add(i32.mul(filter, i32.const(p.outStride * 4)), outOffset);
  const y = finishes ? fn.let(i32.add(operand("y"), planes)) : undefined;
  const residual = finishes && p.residual ? fn.let(i32.add(operand("residual"), planes)) : undefined;
  const sum = sums && fn.let(i32.add(sums, i32.mul(filter, i32.const(16 * vectors))));
  const entry = fn.let(i32.add(stream, i32.load(head)));
  const stop = fn.local("i32");
  const acc = Array.from({ length: filters }, () => fn.locals("v128", vectors));
  const inOffsets = vectorOffsets(tile, walk.packed === undefined ? p.region.inPitch : (packedTile(p, tile)?.width ?? 0));
  const places = vectorOffsets(tile, p.region.outPitch);
  const outOffsets = acc.map((_, f) => places.map((o) => f * p.outStride * 4 + o));
  const advance = (local: Local<"i32"> | undefined, bytes: number) => {
    if (local !== undefined) fn.set(local, i32.add(local, i32.const(bytes)));
  };
  fn.for(row, walk.lastRow, 1, () => {
    acc.forEach((part, f) => {
      const b = bias === undefined ? undefined : fn.let(v128.load32Splat(bias, 4 * f));
      part.forEach((a, i) => fn.set(a, sum !== undefined ? v128.load(sum, 16 * (f * vectors + i)) : (b ?? f32x4.const(0))));
    });
    fn.set(stop, i32.add(stream, i32.load(head, 4)));
    fn.while(i32.ltU(entry, stop), () => emitEntries(context, choice, entry, x, inOffsets, acc));
    if (residual !== undefined) acc.forEach((part, f) => part.forEach((a, i) => fn.set(a, f32x4.add(a, v128.load(residual, (outOffsets[f] as number[])[i] as number)))));
    if (y !== undefined) {
      emitActivation(fn, target, p.activation, acc.flat());
      acc.forEach((part, f) => part.forEach((a, i) => fn.store(y, a, (outOffsets[f] as number[])[i] as number)));
    } else if (sum !== undefined) acc.forEach((part, f) => part.forEach((a, i) => fn.store(sum, a, 16 * (f * vectors + i))));
    advance(bias, 4 * filters);
    advance(residual, p.outStride * 4 * filters);
    advance(y, p.outStride * 4 * filters);
    advance(sum, 16 * vectors * filters);
    advance(head, 4);
  });
}

/** acc[f] += weight[f] · x[offset …] for a group of entries. */
function emitEntries(
  { fn, target }: EmitContext,
  { group, filters }: SpmmChoice,
  entry: Local<"i32">,
  x: Local<"i32">,
  inOffsets: readonly number[],
  acc: readonly (readonly Local<"v128">[])[],
): void {
  const address = fn.local("i32");
  const weights = acc.map(() => fn.local("v128"));
  const fours = group === 4 ? acc.map((_, f) => fn.let(v128.load(entry, 16 * (f + 1)))) : undefined;
  for (let g = 0; g < group; g++) {
    fn.set(address, i32.add(x, i32.load(entry, 4 * g)));
    weights.forEach((w, f) => {
      const four = fours?.[f];
      fn.set(w, four === undefined ? v128.load32Splat(entry, 4 * (f + 1)) : v128.shuffle(four, four, [g, g, g, g]));
    });
    inOffsets.forEach((offset, i) => {
      const loaded = v128.load(address, offset);
      const vector = acc.length === 1 ? loaded : fn.let(loaded);
      acc.forEach((part, f) => {
        const a = part[i] as Local<"v128">;
        fn.set(a, madd(target, weights[f] as Local<"v128">, vector, a));
      });
    });
  }
  fn.set(entry, i32.add(entry, i32.const(4 * (1 + filters) * group)));
}
