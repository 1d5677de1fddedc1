import { foldsOffset, type Target } from "../../codegen/target.ts";
import { f32x4, type I32, i32, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { emitLaneProduct, laneFilters, turnLengths } from "../lane-product.ts";
import { type Region, registersOf, setTileOffsets, type Tile, tileFits, tilesOf, vectorOffsets } from "../region.ts";
import { inputBytes, type Reuse } from "../reuse.ts";
import { emitActivation, madd } from "../vector-math.ts";

/**
 * y[m, p] = act(bias[m] + Σ_c Σ_t w[m, c, t] · x[c, p + tap t] + residual[m, p]): a matrix product whose right side is made of shifted
 * planes. With one tap it is a 1×1 convolution or a plain product, with k² taps a direct convolution without im2col.
 */
export interface GemmProblem {
  readonly m: number;
  readonly channels: number;
  readonly channelStride: number;
  /** Offset of each tap from the region's origin in the input plane, ≥ 0. */
  readonly taps: readonly number[];
  readonly region: Region;
  /** Between the output planes of two filters; the residual has the output's strides. */
  readonly outStride: number;
  readonly weights: GemmWeights;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export type GemmWeights =
  /**
   * [⌈m / filters⌉][channel][tap][filters], made by `prepare`; the last block has only the filters that are left. A choice with `lanes` reads up to
   * `weightSlack` bytes further.
   */
  | { readonly kind: "packed" }
  /** Element (m, c, t) lies at m · row + c · channel + taps[t]. */
  | { readonly kind: "strided"; readonly row: number; readonly channel: number; readonly taps: readonly number[] };

export const weightSlack = 16;

export interface GemmChoice {
  /** Filters a tile. */
  readonly filters: number;
  readonly tile: Tile;
  /** Tiles that all filters visit before the next ones, so that their input stays in cache. */
  readonly chunk: number;
  /**
   * Taps one after another in straight code, with constant offsets, or in a loop over a table of offsets (operand `taps`), one to a basic
   * block: V8 before version 12 moves all multiplications of a block behind all its loads, and spills.
   */
  readonly taps: "unrolled" | "table";
  /** What threads share out. */
  readonly split: "tiles" | "filters";
  /**
   * Present where the weights of four filters are loaded as one vector, whose lanes are spread, and loads run a step ahead: how many steps (channels, or taps) a turn of the
   * loop has. Absent where each weight is spread as it is loaded.
   */
  readonly lanes?: number;
}

const shapes: readonly { readonly filters: number; readonly vectors: number }[] = [
  { filters: 6, vectors: 4 },
  { filters: 6, vectors: 2 },
  { filters: 5, vectors: 2 },
  { filters: 4, vectors: 2 },
  { filters: 4, vectors: 3 },
  { filters: 3, vectors: 3 },
  { filters: 2, vectors: 4 },
  { filters: 1, vectors: 7 },
  { filters: 8, vectors: 1 },
  { filters: 6, vectors: 1 },
  { filters: 1, vectors: 4 },
  { filters: 1, vectors: 1 },
  { filters: 4, vectors: 4 },
  { filters: 4, vectors: 5 },
];

/** Vectors of pixels of a tile whose weights are spread by lanes. */
const laneVectors = [5, 4, 3, 2, 1];

/** Steps of the longest turn: channels, or taps. */
const longestTurn = { channels: 4, taps: 9 } as const;

/** More taps than these make straight code long and bring nothing. */
const unrolledTaps = 25;

/** Row-by-row arrangements of a number of vectors that fit the region. */
export function tileShapes(region: Region, vectors: number): Tile[] {
  const tiles: Tile[] = [];
  for (let rows = 1; rows <= vectors; rows++) if (vectors % rows === 0 && tileFits(region, { rows, vectors: vectors / rows })) tiles.push({ rows, vectors: vectors / rows });
  return tiles;
}

/** How blocks of filters and tiles follow one another. */
function orderOf(p: GemmProblem, filters: number, tile: Tile): Pick<GemmChoice, "chunk" | "split"> {
  const { count } = tilesOf(p.region, tile);
  const chunk = Math.max(1, Math.min(count, Math.floor(49152 / (p.channels * p.taps.length * tile.rows * tile.vectors * 4))));
  return { chunk, split: count >= 16 || count >= Math.ceil(p.m / filters) ? "tiles" : "filters" };
}

/** Choices that spread weights by lanes, with the longest turn and, where that are all taps of many, the next shorter one. */
function laneChoices(p: GemmProblem): GemmChoice[] {
  const turns = turnLengths(p.channels, p.taps, p.taps.length === 1 ? longestTurn.channels : longestTurn.taps).slice(0, p.taps.length === 1 ? 1 : 2);
  return laneVectors.flatMap((vectors) =>
    tileShapes(p.region, vectors).flatMap((tile) =>
      turns.map(
        (lanes) => ({ filters: laneFilters, tile, ...orderOf(p, laneFilters, tile), taps: p.taps.length > 1 && lanes < p.taps.length ? "table" : "unrolled", lanes }) as const,
      ),
    ),
  );
}

/** A chunk of tiles comes back for each block of filters, and the weights of a block for each tile of a chunk. */
function reuseOf(p: GemmProblem, { filters, tile, chunk, split }: GemmChoice): Reuse {
  const { count } = tilesOf(p.region, tile);
  const tiles = split === "tiles" ? chunk : 1;
  const input = inputBytes(p.channels, p.channelStride, p.region, tile, p.taps);
  const weights = 4 * filters * p.channels * p.taps.length;
  return { walks: Math.ceil(count / tiles), tile: tiles * input + weights, scattered: 0 };
}

export const f32Gemm = defineKernel<GemmProblem, GemmChoice>({
  name: "f32-gemm",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.taps.length > 1 ? ["taps"] : []), ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "y"],
  choices(p, target) {
    const choices: GemmChoice[] = [];
    for (const { filters, vectors } of shapes) {
      if (filters > p.m && filters > 1) continue;
      for (const tile of tileShapes(p.region, vectors)) {
        const held = registersOf(tile, target);
        if (filters * held + held + 1 > target.vectorRegisters && filters * vectors > 1) continue;
        const way = orderOf(p, filters, tile);
        choices.push({ filters, tile, ...way, taps: p.taps.length > 1 && p.weights.kind === "packed" ? "table" : "unrolled" });
        if (p.taps.length > 1 && p.taps.length <= unrolledTaps && p.weights.kind === "packed") choices.push({ filters, tile, ...way, taps: "unrolled" });
      }
    }
    if (!target.splatFoldsAddress && p.weights.kind === "packed" && p.m >= laneFilters) choices.push(...laneChoices(p));
    return choices;
  },
  cost(p, choice, target) {
    const { filters, tile } = choice;
    const vectors = tile.rows * tile.vectors;
    const count = tilesOf(p.region, tile).count;
    const rest = p.m % filters;
    const blockCycles = (f: number) => {
      if (choice.lanes !== undefined && f === laneFilters) return laneCycles(p, choice, target);
      const held = registersOf(tile, target);
      const live = f * held + held + (target.loadsFirst ? f : 1);
      const spills = Math.max(0, live - target.vectorRegisters) * 1.5 + (target.loadsFirst && live >= target.vectorRegisters ? 0.4 : 0);
      const blocks = target.loadsFirst && choice.taps === "unrolled" && p.taps.length > 1 ? 2 : 1;
      const order = choice.taps === "table" ? (target.loadsFirst ? 0.7 : 0.2) : 0;
      const step = target.splatFoldsAddress
        ? Math.max(f * held * 0.5, (f + held) / 2) + 0.7 + spills + order
        : (f * held * (target.fma ? 1 : 2)) / 2 + 1.05 * f + 0.55 * held + 0.7 + spills + order;
      return p.channels * p.taps.length * step * blocks + f * vectors * 2 + 12;
    };
    return count * (Math.floor(p.m / filters) * blockCycles(filters) + (rest > 0 ? blockCycles(rest) : 0));
  },
  reuse: reuseOf,
  sharesLoads: (_, { filters }) => filters > 1,
  items: (p, choice) => (choice.split === "tiles" ? tilesOf(p.region, choice.tile).count : Math.ceil(p.m / choice.filters)),
  emit(context, p, choice) {
    const { fn, begin, end } = context;
    const blocks = Math.floor(p.m / choice.filters);
    const rest = p.m % choice.filters;
    if (choice.split === "tiles") return emitTiles(context, p, choice, i32.const(blocks), rest);
    const tiles = tilesOf(p.region, choice.tile).count;
    const tile = fn.local("i32");
    const block = fn.let(begin);
    fn.for(block, end, 1, () => {
      const full = () => emitBlock(context, p, choice, choice.filters, block, tile, i32.const(0), i32.const(tiles));
      const partial = () => emitBlock(context, p, choice, rest, block, tile, i32.const(0), i32.const(tiles));
      if (rest === 0) full();
      else if (blocks === 0) partial();
      else fn.if(i32.ltS(block, i32.const(blocks)), full, partial);
    });
  },
});

/** Tiles begin…end, chunk by chunk, of so many whole blocks of filters and one of the `rest` that is left. */
export function emitTiles(context: EmitContext, p: GemmProblem, choice: GemmChoice, blocks: I32, rest: number): void {
  const { fn, begin, end } = context;
  const tile = fn.local("i32");
  const block = fn.local("i32");
  const first = fn.let(begin);
  const last = fn.local("i32");
  fn.while(i32.ltS(first, end), () => {
    fn.set(last, i32.select(i32.add(first, i32.const(choice.chunk)), end, i32.ltS(i32.add(first, i32.const(choice.chunk)), end)));
    fn.set(block, i32.const(0));
    if (p.m >= choice.filters) fn.for(block, blocks, 1, () => emitBlock(context, p, choice, choice.filters, block, tile, first, last));
    if (rest > 0) emitBlock(context, p, choice, rest, block, tile, first, last);
    fn.set(first, last);
  });
}

/**
 * A tile of `laneFilters` filters. The geometric mean of the cycles that models of ARM's cores give, in-order and out-of-order ones; fitted to counts of what V8 compiles.
 * Without fused multiplication, products wait in registers, of which the largest tiles leave none.
 */
function laneCycles(p: GemmProblem, { tile, lanes = 1, taps }: GemmChoice, target: Target): number {
  const vectors = tile.rows * tile.vectors;
  const step = target.fma ? 3.4 + 1.75 * vectors : 0.9 + 4.15 * vectors + Math.max(0, vectors - 3);
  const turn = ((taps === "table" ? 4 : 2) + 0.3 * (tile.rows - 1)) / lanes;
  return p.channels * p.taps.length * (step + turn) + laneFilters * vectors * 2 + 20;
}

/** `filters` filters of block `block` over tiles first…last. */
function emitBlock(context: EmitContext, p: GemmProblem, choice: GemmChoice, filters: number, block: Local<"i32">, tile: Local<"i32">, first: I32, last: I32): void {
  const { fn, operand } = context;
  const depth = p.channels * p.taps.length;
  const filter = fn.let(i32.mul(block, i32.const(choice.filters)));
  const rowBytes = p.weights.kind === "packed" ? depth * 4 : p.weights.row * 4;
  const weights = fn.let(i32.add(operand("w"), i32.mul(filter, i32.const(rowBytes))));
  const bias = p.bias ? fn.let(i32.add(operand("bias"), i32.shl(filter, i32.const(2)))) : undefined;
  const plane = fn.let(i32.mul(filter, i32.const(p.outStride * 4)));
  const inOffset = fn.local("i32");
  const outOffset = fn.local("i32");
  fn.set(tile, first);
  fn.for(tile, last, 1, () => {
    setTileOffsets(fn, p.region, choice.tile, tile, inOffset, outOffset);
    const acc = emitProduct(context, p, choice, filters, weights, bias, inOffset);
    fn.set(outOffset, i32.add(outOffset, plane));
    emitStore(context, p, choice.tile, acc, outOffset);
  });
}

/** Accumulators [filter][vector] = bias + Σ w · x. */
function emitProduct(
  context: EmitContext,
  p: GemmProblem,
  { tile, taps: order, lanes }: GemmChoice,
  filters: number,
  weights: Local<"i32">,
  bias: Local<"i32"> | undefined,
  inOffset: Local<"i32">,
): Local<"v128">[][] {
  const { fn, target, operand } = context;
  const vectors = tile.rows * tile.vectors;
  const x = fn.let(i32.add(operand("x"), inOffset));
  if (lanes !== undefined && filters === laneFilters) {
    const start = bias && fn.let(v128.load(bias));
    const sums = Array.from({ length: filters }, (_, f) => {
      const first = fn.let(start === undefined ? f32x4.const(0) : v128.shuffle(start, start, [f, f, f, f]));
      return Array.from({ length: vectors }, (_, i) => (i === 0 ? first : fn.let(first)));
    });
    const { channels, channelStride, taps, region } = p;
    emitLaneProduct(
      fn,
      target,
      { channels, channelStride, taps, tile, inPitch: region.inPitch, unroll: lanes },
      { x, weights, taps: order === "table" ? operand("taps") : undefined },
      sums,
    );
    return sums;
  }
  const acc = Array.from({ length: filters }, (_, f) => Array.from({ length: vectors }, () => fn.let(bias === undefined ? f32x4.const(0) : v128.load32Splat(bias, f * 4))));
  const w = fn.let(weights);
  const xs = fn.locals("v128", vectors);
  const offsets = vectorOffsets(tile, p.region.inPitch);
  const step = (address: I32, offset: number, weightAt: (filter: number) => number) => {
    xs.forEach((v, i) => fn.set(v, v128.load(address, offset + (offsets[i] as number))));
    for (let f = 0; f < filters; f++) {
      const splat = v128.load32Splat(w, weightAt(f));
      const weight = vectors === 1 ? splat : fn.let(splat);
      xs.forEach((v, i) => {
        const a = acc[f]?.[i] as Local<"v128">;
        fn.set(a, madd(target, weight, v, a));
      });
    }
  };
  const advance = (local: Local<"i32">, elements: number) => fn.set(local, i32.add(local, i32.const(4 * elements)));
  const left = fn.let(i32.const(p.channels));
  fn.doWhile(
    () => {
      if (order === "table") {
        const tap = fn.let(operand("taps"));
        const last = fn.let(i32.add(tap, i32.const(4 * p.taps.length)));
        fn.doWhile(
          () => {
            step(fn.let(i32.add(x, i32.load(tap))), 0, (f) => 4 * f);
            advance(w, filters);
            advance(tap, 1);
          },
          () => i32.ltU(tap, last),
        );
      } else {
        p.taps.forEach((tap, t) => step(x, 4 * tap, (f) => weightOffset(p, filters, f, t)));
        advance(w, p.weights.kind === "packed" ? filters * p.taps.length : p.weights.channel);
      }
      advance(x, p.channelStride);
      fn.set(left, i32.sub(left, i32.const(1)));
    },
    () => left,
  );
  return acc;
}

function weightOffset(p: GemmProblem, filters: number, filter: number, tap: number): number {
  if (p.weights.kind === "packed") return 4 * (tap * filters + filter);
  return 4 * (filter * p.weights.row + (p.weights.taps[tap] as number));
}

function emitStore(context: EmitContext, p: GemmProblem, tile: Tile, acc: readonly (readonly Local<"v128">[])[], outOffset: Local<"i32">): void {
  const { fn, target, operand } = context;
  const offsets = vectorOffsets(tile, p.region.outPitch);
  /** Address of the tile in the plane of filter f, as an offset where that costs nothing. */
  const planes = (base: I32): readonly (readonly [I32, number])[] => {
    const folds = foldsOffset(target, 4 * (acc.length - 1) * p.outStride + Math.max(...offsets));
    let plane = fn.let(i32.add(base, outOffset));
    return acc.map((_, f) => {
      if (folds) return [plane, 4 * f * p.outStride];
      if (f > 0) plane = fn.let(i32.add(plane, i32.const(4 * p.outStride)));
      return [plane, 0];
    });
  };
  if (p.residual) {
    const residual = planes(operand("residual"));
    acc.forEach((row, f) => {
      const [plane, offset] = residual[f] as readonly [I32, number];
      row.forEach((a, i) => fn.set(a, f32x4.add(a, v128.load(plane, offset + (offsets[i] as number)))));
    });
  }
  emitActivation(fn, target, p.activation, acc.flat());
  const y = planes(operand("y"));
  acc.forEach((row, f) => {
    const [plane, offset] = y[f] as readonly [I32, number];
    row.forEach((a, i) => fn.store(plane, a, offset + (offsets[i] as number)));
  });
}
