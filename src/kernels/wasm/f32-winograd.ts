import { f32x4, type I32, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import { type Activation, noActivation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { type Region, setTileOffsets, tilesOf } from "../region.ts";
import { emitActivation } from "../vector-math.ts";
import { type Four, inputTransform, mapFour, mapSix, outputTransform, type Six, transpose, transposeHigh, winogradPoints } from "../winograd.ts";
import { f32Gemm, type GemmChoice, type GemmProblem } from "./f32-gemm.ts";

/**
 * y[m, p] = act(bias[m] + Σ_c Σ_t w[m, c, t] · x[c, p + tap t] + residual[m, p]) for the 3×3 taps of stride 1, by Winograd's F(4×4, 3×3).
 * Of a block of tiles the 6×6 inputs of all channels are transformed, 4 tiles to a vector; then, for each of the 36 points, a product of the
 * transformed filters with them (f32-gemm); then the sums are transformed back, group by group of filters. Region at least 4×4.
 *
 * Weights: [group][point][f32-gemm's packed weights of the group's filters], made by `prepare`.
 */
export interface WinogradProblem {
  readonly m: number;
  readonly channels: number;
  readonly channelStride: number;
  readonly region: Region;
  /** Between the output planes of two filters; the residual has the output's strides. */
  readonly outStride: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface WinogradChoice {
  /** Tiles of a block, a multiple of 4. */
  readonly tiles: number;
  /** Filters of a group, a multiple of the product's. */
  readonly group: number;
  /** How each of the 36 products is computed. */
  readonly product: GemmChoice;
  /** What threads share out: so many rows of tiles an item, or groups of filters; then each thread transforms the whole input. */
  readonly split: { readonly by: "tiles"; readonly rows: number } | { readonly by: "filters" };
}

const tile = { rows: 4, vectors: 1 } as const;
const maxItems = 16;

/** The product at one point, for a group of `filters`. */
function productOf(p: WinogradProblem, tiles: number, filters: number): GemmProblem {
  return {
    m: filters,
    channels: p.channels,
    channelStride: tiles,
    taps: [0],
    region: { h: 1, w: tiles, inPitch: 0, outPitch: 0 },
    outStride: tiles,
    weights: { kind: "packed" },
    bias: false,
    residual: false,
    activation: noActivation,
  };
}

/** Where a thread keeps what of a block, in bytes: offsets of the tiles, transformed inputs, sums. */
function slotOf(p: WinogradProblem, { tiles, group }: WinogradChoice) {
  // An odd number of cache lines from point to point, so that a tile's 36 elements fall into different sets of the cache.
  const lines = (elements: number) => 64 * (Math.ceil(elements / 16) + (Math.ceil(elements / 16) % 2 === 0 ? 1 : 0));
  const inputStride = lines(p.channels * tiles);
  const sumStride = lines(Math.min(group, p.m) * tiles);
  const inputs = Math.ceil((8 * tiles) / 64) * 64;
  const sums = inputs + winogradPoints * inputStride;
  return { inputs, inputStride, sums, sumStride, bytes: sums + winogradPoints * sumStride };
}

/** Elements of operand `scratch`: each item has its own part. */
export const winogradScratch = (p: WinogradProblem, choice: WinogradChoice): number => (itemsOf(p, choice) * slotOf(p, choice).bytes) / 4;

const groupsOf = (p: WinogradProblem, choice: WinogradChoice): number => Math.ceil(p.m / choice.group);

/** Rows of tiles that are shared out. If the last row reaches back into the one before, both go together, so that no two threads write the same place. */
function rowUnits({ region }: WinogradProblem): number {
  const rows = tilesOf(region, tile).y;
  return region.h % 4 === 0 ? rows : Math.max(1, rows - 1);
}

function itemsOf(p: WinogradProblem, choice: WinogradChoice): number {
  return choice.split.by === "tiles" ? Math.ceil(rowUnits(p) / choice.split.rows) : groupsOf(p, choice);
}

export const f32Winograd = defineKernel<WinogradProblem, WinogradChoice>({
  name: "f32-winograd",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "scratch", "y"],
  choices(p, target) {
    const choices: WinogradChoice[] = [];
    const units = rowUnits(p);
    const quads = Math.ceil(tilesOf(p.region, tile).count / 4);
    const split = units >= 6 ? ({ by: "tiles", rows: Math.ceil(units / maxItems) } as const) : ({ by: "filters" } as const);
    for (const tiles of new Set([1, 2, 4, 6, 8, 12, 16, quads].filter((q) => q <= Math.min(quads, 16)).map((q) => 4 * q))) {
      const products = f32Gemm.choices(productOf(p, tiles, p.m), target);
      const cost = (c: GemmChoice) => f32Gemm.cost(productOf(p, tiles, p.m), c, target);
      for (const product of [...products].sort((x, y) => cost(x) - cost(y)).slice(0, 3))
        for (const group of new Set((split.by === "filters" ? [4, 8] : [1, 2, 4]).map((parts) => Math.ceil(p.m / parts / product.filters) * product.filters)))
          choices.push({ tiles, group, product: { ...product, split: "tiles" }, split });
    }
    return choices;
  },
  cost(p, choice, target) {
    const { tiles, group, product } = choice;
    const count = tilesOf(p.region, tile).count;
    const blocks = Math.ceil(count / tiles);
    const columns = blocks === 1 ? 1 : count / 4 / Math.ceil(count / 4);
    const groups = groupsOf(p, choice);
    const products = (groups - 1) * f32Gemm.cost(productOf(p, tiles, group), product, target) + f32Gemm.cost(productOf(p, tiles, p.m - (groups - 1) * group), product, target);
    const quads = Math.ceil(count / 4);
    // Weights that the second-level cache does not hold come from further away, once a block.
    const far = winogradPoints * p.m * p.channels * 4 > 600_000 ? (winogradPoints * p.m * p.channels * 4) / 8 : 0;
    return blocks * (Math.max(winogradPoints * products * columns, far) + 2000) + quads * (p.channels * 130 + p.m * 120);
  },
  sharesLoads: (p, choice) => f32Gemm.sharesLoads?.(productOf(p, choice.tiles, p.m), choice.product) === true,
  items: itemsOf,
  emit(context, p, choice) {
    const { fn, operand, begin, end } = context;
    const { x: columns, y: rows, count } = tilesOf(p.region, tile);
    const slot = slotOf(p, choice);
    const { split } = choice;
    fn.if(i32.ltS(begin, end), () => {
      const scratch = fn.let(i32.add(operand("scratch"), i32.mul(begin, i32.const(slot.bytes))));
      const first = fn.let(split.by === "tiles" ? i32.mul(begin, i32.const(split.rows * columns)) : i32.const(0));
      const whole = i32.const(rows * columns);
      const last = fn.let(split.by === "tiles" ? i32.select(whole, i32.mul(end, i32.const(split.rows * columns)), i32.eq(end, i32.const(itemsOf(p, choice)))) : i32.const(count));
      const quads = fn.local("i32");
      const transformInput = prepareInput(context, p, choice, scratch, quads);
      const multiply = prepareProducts(context, p, choice, scratch, quads);
      const transformOutput = prepareOutput(context, p, choice, scratch, quads);
      fn.for(first, last, choice.tiles, () => {
        const left = fn.let(i32.sub(last, first));
        fn.set(quads, i32.shrU(i32.add(i32.select(left, i32.const(choice.tiles), i32.ltS(left, i32.const(choice.tiles))), i32.const(3)), i32.const(2)));
        emitOffsets(context, p, choice, scratch, quads, first, last);
        transformInput();
        const group = fn.let(split.by === "filters" ? begin : i32.const(0));
        fn.for(group, split.by === "filters" ? end : i32.const(groupsOf(p, choice)), 1, () => {
          multiply(group);
          transformOutput(group);
        });
      });
    });
  },
});

/** Byte offsets of the block's tiles in input planes, then in output planes. Behind the last tile it is repeated. */
function emitOffsets({ fn }: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: I32, quads: I32, first: I32, last: I32): void {
  const entry = fn.let(scratch);
  const index = fn.let(first);
  const inOffset = fn.local("i32");
  const outOffset = fn.local("i32");
  const end = fn.let(i32.add(entry, i32.shl(quads, i32.const(4))));
  fn.doWhile(
    () => {
      setTileOffsets(fn, p.region, tile, fn.let(i32.select(index, i32.sub(last, i32.const(1)), i32.ltS(index, last))), inOffset, outOffset);
      fn.storeI32(entry, inOffset);
      fn.storeI32(entry, outOffset, 4 * choice.tiles);
      fn.set(index, i32.add(index, i32.const(1)));
      fn.set(entry, i32.add(entry, i32.const(4)));
    },
    () => i32.ltU(entry, end),
  );
}

const six: Six<number> = [0, 1, 2, 3, 4, 5];
const four: Four<number> = [0, 1, 2, 3];

/** V = Bᵀ d B for all channels and tiles of the block: [point][channel][tile]. */
function prepareInput({ fn, target, operand }: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: Local<"i32">, quads: Local<"i32">): () => void {
  const transform = inputTransform(fn, target);
  const { inputs, inputStride } = slotOf(p, choice);
  return () => {
    const plane = fn.let(operand("x"));
    const row = fn.let(i32.add(scratch, i32.const(inputs)));
    const channels = fn.let(i32.const(p.channels));
    fn.doWhile(
      () => {
        const entry = fn.let(scratch);
        const to = fn.let(row);
        const end = fn.let(i32.add(entry, i32.shl(quads, i32.const(4))));
        fn.doWhile(
          () => {
            const tiles = mapFour(four, (t) => fn.let(i32.add(plane, i32.load(entry, 4 * t))));
            const rows = mapSix(six, (r) => {
              const at = (column: number) => mapFour(four, (t) => fn.let(v128.load(tiles[t] as I32, 4 * (r * p.region.inPitch + column))));
              return mapSix(transform([...transpose(fn, at(0)), ...transposeHigh(fn, at(2))]), (v) => fn.let(v));
            });
            for (const j of six) transform(mapSix(rows, (row) => row[j] as Local<"v128">)).forEach((v, i) => fn.store(to, v, (i * 6 + j) * inputStride));
            fn.set(entry, i32.add(entry, i32.const(16)));
            fn.set(to, i32.add(to, i32.const(16)));
          },
          () => i32.ltU(entry, end),
        );
        fn.set(plane, i32.add(plane, i32.const(4 * p.channelStride)));
        fn.set(row, i32.add(row, i32.const(4 * choice.tiles)));
        fn.set(channels, i32.sub(channels, i32.const(1)));
      },
      () => channels,
    );
  };
}

/** M = U · V at every point, for one group of filters: [point][filter][tile]. */
function prepareProducts(context: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: Local<"i32">, quads: Local<"i32">): (group: Local<"i32">) => void {
  const { fn, operand } = context;
  const { inputs, inputStride, sums, sumStride } = slotOf(p, choice);
  const fullGroups = Math.floor(p.m / choice.group);
  const rest = p.m % choice.group;
  const { vectors } = choice.product.tile;
  return (group) => {
    const x = fn.let(i32.add(scratch, i32.const(inputs)));
    const w = fn.let(i32.add(operand("w"), i32.mul(group, i32.const(4 * winogradPoints * choice.group * p.channels))));
    const y = fn.let(i32.add(scratch, i32.const(sums)));
    const operands = new Map<string, Local<"i32">>([
      ["x", x],
      ["w", w],
      ["y", y],
    ]);
    const begin = fn.let(i32.const(0));
    const end = fn.let(i32.divU(i32.add(quads, i32.const(vectors - 1)), i32.const(vectors)));
    const products = (filters: number) => {
      const points = fn.let(i32.const(winogradPoints));
      fn.doWhile(
        () => {
          f32Gemm.emit({ ...context, operand: (name) => operands.get(name) as Local<"i32">, begin, end }, productOf(p, choice.tiles, filters), choice.product);
          fn.set(x, i32.add(x, i32.const(inputStride)));
          fn.set(w, i32.add(w, i32.const(4 * filters * p.channels)));
          fn.set(y, i32.add(y, i32.const(sumStride)));
          fn.set(points, i32.sub(points, i32.const(1)));
        },
        () => points,
      );
    };
    if (rest === 0) products(choice.group);
    else if (fullGroups === 0) products(rest);
    else
      fn.if(
        i32.ltS(group, i32.const(fullGroups)),
        () => products(choice.group),
        () => products(rest),
      );
  };
}

/** y = act(bias + Aᵀ M A + residual) for one group of filters. */
function prepareOutput(
  { fn, target, operand }: EmitContext,
  p: WinogradProblem,
  choice: WinogradChoice,
  scratch: Local<"i32">,
  quads: Local<"i32">,
): (group: Local<"i32">) => void {
  const transform = outputTransform(fn, target);
  const slot = slotOf(p, choice);
  return (group) => {
    const filter = fn.let(i32.mul(group, i32.const(choice.group)));
    const stop = fn.let(i32.add(filter, i32.const(choice.group)));
    if (p.m % choice.group !== 0) fn.set(stop, i32.select(stop, i32.const(p.m), i32.ltS(stop, i32.const(p.m))));
    const plane = fn.let(i32.mul(filter, i32.const(4 * p.outStride)));
    const row = fn.let(i32.add(scratch, i32.const(slot.sums)));
    fn.for(filter, stop, 1, () => {
      const bias = p.bias ? fn.let(v128.load32Splat(i32.add(operand("bias"), i32.shl(filter, i32.const(2))))) : undefined;
      const entry = fn.let(scratch);
      const from = fn.let(row);
      const end = fn.let(i32.add(entry, i32.shl(quads, i32.const(4))));
      fn.doWhile(
        () => {
          const columns = mapSix(six, (j) => mapFour(transform(mapSix(six, (i) => v128.load(from, (i * 6 + j) * slot.sumStride))), (v) => fn.let(v)));
          const tiles = mapFour(four, (t) => fn.let(i32.add(plane, i32.load(entry, 4 * (choice.tiles + t)))));
          // Upwards: where tiles overlap, the later one has the last word, however tiles fall into vectors.
          for (const i of [3, 2, 1, 0]) {
            const sums = mapFour(transform(mapSix(columns, (column) => column[i] as V128)), (v) => fn.let(bias === undefined ? v : f32x4.add(v, bias)));
            transpose(fn, sums).forEach((v, t) => {
              const offset = 4 * i * p.region.outPitch;
              if (p.residual) fn.set(v, f32x4.add(v, v128.load(i32.add(operand("residual"), tiles[t] as I32), offset)));
              emitActivation(fn, target, p.activation, v);
              fn.store(i32.add(operand("y"), tiles[t] as I32), v, offset);
            });
          }
          fn.set(entry, i32.add(entry, i32.const(16)));
          fn.set(from, i32.add(from, i32.const(16)));
        },
        () => i32.ltU(entry, end),
      );
      fn.set(plane, i32.add(plane, i32.const(4 * p.outStride)));
      fn.set(row, i32.add(row, i32.const(4 * choice.tiles)));
    });
  };
}
