import { f32x4, type I32, i32, v128 } from "../../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../../codegen/wasm/function.ts";
import { type Activation, noActivation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext, roundedCount } from "../kernel.ts";
import { type Region, setTileOffsets, type Tile, tilesOf, vectorOffsets } from "../region.ts";
import { activator } from "../vector-math.ts";
import { headWords } from "../weight-stream.ts";
import { spmmCost, spmmReuse } from "./spmm-cost.ts";
import { walkEntries } from "./spmm-entries.ts";
import { emitPacking, packedSize, packedTile } from "./spmm-packing.ts";
import { walkPairs } from "./spmm-pairs.ts";
import { alikeFilters, passesOf, spmmChoices } from "./spmm-space.ts";

/**
 * y[m, p] = act(bias[m] + Σ over the non-zeros of row m of weight · x[p + offset] + residual[m, p]): convolution with sparse filters, 1×1
 * and k×k alike, since an offset stands for a channel and a tap.
 *
 * A tile of pixels of all channels seldom fits the first-level cache. So the depth is walked in passes of some channels: one pass computes all
 * rows of filters for the tile, whose sums wait in operand `scratch` for the next pass.
 *
 * Weight stream: for each pass its rows' byte offsets (relative to the stream), and behind the last the stream's end; then the rows of pass 0, of
 * pass 1, …: groups of `group` byte offsets followed by `group` weights (of each filter of the row). Rows are filled up with zero weights. Rows of two filters that are
 * not alike have three lists, see `StreamShape`.
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
  readonly group: 1 | 2 | 4;
  /** Vectors that are loaded before the first of them is multiplied, across groups and rows of the stream too. */
  readonly ahead: number;
  /** Filters of a row of the stream. Where the problem's `block` is less, they share what is loaded at the places where both are non-zero. */
  readonly filters: 1 | 2;
  /** Channels of a pass. */
  readonly channels: number;
  /** Whether what a tile reads of a pass is first put together in operand `scratch`; the stream's offsets then count from the pass's first channel. */
  readonly packed: boolean;
  readonly split: "tiles" | "filters";
}

/** Tiles of a work item, where threads share out tiles: as many as keep the parts of `scratch` that hold packed tiles few. */
const tilesOfItem = (p: SpmmProblem, { tile, packed }: SpmmChoice): number => (packed ? Math.ceil(tilesOf(p.region, tile).count / 64) : 1);

/**
 * Parts of the filters in which a tile is shared out. Of an odd number of tiles, if they are few, two or four threads cannot have equal shares; where each part would put the tile together
 * again, they do without.
 */
function partsOf(p: SpmmProblem, { tile, packed, filters, split }: SpmmChoice): 1 | 2 {
  const { count } = tilesOf(p.region, tile);
  return split === "tiles" && !packed && count % 2 === 1 && count < 16 && p.m / filters >= 8 ? 2 : 1;
}

/** Elements of the sums that wait for the next pass. */
const sumsSize = (p: SpmmProblem, choice: SpmmChoice): number => (passesOf(p, choice) === 1 ? 0 : p.m * choice.tile.rows * choice.tile.vectors * 4);

/** Elements of operand `scratch`: each item has its own part, of a packed tile and sums. */
export function spmmScratch(p: SpmmProblem, choice: SpmmChoice): number {
  const part = packedSize(p, choice) + sumsSize(p, choice);
  return Math.max(4, choice.split === "tiles" ? part * f32Spmm.items(p, choice) : part);
}

export const f32Spmm = defineKernel<SpmmProblem, SpmmChoice>({
  name: "f32-spmm",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "scratch", "y"],
  choices: spmmChoices,
  cost: spmmCost,
  reuse: spmmReuse,
  amount: "nonZeros",
  digest: (p) => ({ ...p, nonZeros: roundedCount(p.nonZeros) }),
  sharesLoads: (_, choice) => choice.filters > 1,
  items: (p, choice) => (choice.split === "tiles" ? partsOf(p, choice) * Math.ceil(tilesOf(p.region, choice.tile).count / tilesOfItem(p, choice)) : p.m / choice.filters),
  emit(context, p, choice) {
    const { fn, begin, end, operand } = context;
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
    const parts = partsOf(p, choice);
    const half = i32.const(Math.ceil(rows / 2));
    const [firstRow, lastRow] = parts === 2 ? [fn.local("i32"), fn.local("i32")] : all ? [i32.const(0), i32.const(rows)] : [begin, end];
    // The sums of a row lie at its place in the part of the first item, behind the packed tile.
    const room = packedSize(p, choice);
    const partBytes = 4 * (room + sumsSize(p, choice));
    const part = partBytes === 0 ? undefined : fn.let(all ? i32.add(operand("scratch"), i32.mul(begin, i32.const(partBytes))) : operand("scratch"));
    const packed = choice.packed ? part : undefined;
    const sums = passes === 1 || part === undefined ? undefined : fn.let(i32.add(part, i32.const(4 * room)));
    const item = fn.let(firstTile);
    fn.for(item, lastTile, 1, () => {
      if (parts === 2) {
        const odd = fn.let(i32.and(item, i32.const(1)));
        fn.set(firstRow as Local<"i32">, i32.select(half, i32.const(0), odd));
        fn.set(lastRow as Local<"i32">, i32.select(i32.const(rows), half, odd));
      }
      const tile = parts === 2 ? fn.let(i32.shrU(item, i32.const(1))) : item;
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

/** Where something of each filter of a row lies. */
type FilterPlaces = readonly { readonly address: Local<"i32">; readonly offset: number }[];

/** Of two filters, `bytes` apart; the other way round if `swapped` is 1. */
function ofFilters(fn: FunctionBuilder, first: Local<"i32"> | undefined, bytes: number, swapped: Local<"i32"> | undefined): FilterPlaces | undefined {
  if (first === undefined) return undefined;
  if (swapped === undefined) return [0, bytes].map((offset) => ({ address: first, offset }));
  const moved = fn.let(i32.mul(swapped, i32.const(bytes)));
  return [i32.add(first, moved), i32.sub(i32.add(first, i32.const(bytes)), moved)].map((address) => ({ address: fn.let(address), offset: 0 }));
}

/** Address and static offset of what lies `behind` the place of filter f. */
function at(places: FilterPlaces, f: number, behind: number): [I32, number] {
  const { address, offset } = places[f] as FilterPlaces[0];
  return [address, offset + behind];
}

/** One pass over all rows; the accumulators start with the sums so far, or with the bias, and end as sums, or in y. */
function emitPass(context: EmitContext, p: SpmmProblem, choice: SpmmChoice, walk: Walk, pass: I32, sums: Local<"i32"> | undefined, finishes: boolean): void {
  const { fn, target, operand } = context;
  const { tile, filters } = choice;
  const { inOffset, outOffset } = walk;
  const vectors = tile.rows * tile.vectors;
  const stream = operand("w");
  const alike = alikeFilters(p, choice);
  const words = headWords({ alike });
  const source = fn.let(i32.add(operand("x"), inOffset));
  if (walk.packed !== undefined) emitPacking(context, p, choice, source, walk.packed, pass);
  const x = walk.packed ?? source;
  const row = fn.let(walk.firstRow);
  const head = fn.let(i32.add(stream, i32.mul(i32.add(i32.mul(pass, i32.const(p.m / filters)), row), i32.const(4 * words))));
  const filter = i32.mul(row, i32.const(filters));
  const bias = sums === undefined && p.bias ? fn.let(i32.add(operand("bias"), i32.shl(filter, i32.const(2)))) : undefined;
  const planes = i32.add(i32.mul(filter, i32.const(p.outStride * 4)), outOffset);
  const y = finishes ? fn.let(i32.add(operand("y"), planes)) : undefined;
  const residual = finishes && p.residual ? fn.let(i32.add(operand("residual"), planes)) : undefined;
  const sum = sums && fn.let(i32.add(sums, i32.mul(filter, i32.const(16 * vectors))));
  const stop = fn.local("i32");
  const acc = Array.from({ length: filters }, () => fn.locals("v128", vectors));
  const inPitch = walk.packed === undefined ? p.region.inPitch : (packedTile(p, tile)?.width ?? 0);
  const places = vectorOffsets(tile, p.region.outPitch);
  const advance = (local: Local<"i32"> | undefined, bytes: number) => {
    if (local !== undefined) fn.set(local, i32.add(local, i32.const(bytes)));
  };
  const groups = (alike ? walkEntries : walkPairs)(context, { ...choice, inPitch, x, first: i32.add(stream, i32.load(head)), acc });
  const all = acc.flatMap((part, f) => part.map((a, i) => ({ a, f, i })));
  fn.for(row, walk.lastRow, 1, () => {
    const swapped = alike ? undefined : fn.let(i32.load(head, 12));
    const biasOf = ofFilters(fn, bias, 4, swapped);
    const sumOf = ofFilters(fn, sum, 16 * vectors, swapped);
    const residualOf = ofFilters(fn, residual, 4 * p.outStride, swapped);
    const biases = acc.map((_, f) => biasOf && fn.let(v128.load32Splat(...at(biasOf, f, 0))));
    for (const { a, f, i } of all) {
      const start = sumOf === undefined ? biases[f] : v128.load(...at(sumOf, f, 16 * i));
      const added = residualOf && v128.load(...at(residualOf, f, places[i] as number));
      fn.set(a, start === undefined || added === undefined ? (start ?? added ?? f32x4.const(0)) : f32x4.add(start, added));
    }
    groups.lists.forEach((emit, l) => {
      fn.set(stop, i32.add(stream, i32.load(head, 4 * (l + 1 < groups.lists.length ? l + 1 : words))));
      fn.while(i32.ltU(groups.entry, stop), emit);
    });
    const yOf = ofFilters(fn, y, 4 * p.outStride, swapped);
    const activate = activator(fn, target, y === undefined ? noActivation : p.activation);
    // Cores that issue in order would wait between an activation and its store.
    const distance = target.inOrder ? Math.min(2, all.length) : all.length;
    for (const { a } of all.slice(0, distance)) activate(a);
    all.forEach(({ a, f, i }, k) => {
      const [address, offset] = yOf === undefined ? at(sumOf as FilterPlaces, f, 16 * i) : at(yOf, f, places[i] as number);
      fn.store(address, a, offset);
      const later = all[k + distance];
      if (later !== undefined) activate(later.a);
    });
    advance(bias, 4 * filters);
    advance(residual, p.outStride * 4 * filters);
    advance(y, p.outStride * 4 * filters);
    advance(sum, 16 * vectors * filters);
    advance(head, 4 * words);
  });
}
