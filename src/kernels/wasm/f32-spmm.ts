import { f32x4, type I32, i32, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext, roundedCount } from "../kernel.ts";
import { type Region, setTileOffsets, type Tile, tilesOf, vectorOffsets } from "../region.ts";
import { emitActivation, madd } from "../vector-math.ts";
import { tileShapes } from "./f32-gemm.ts";

/**
 * y[m, p] = act(bias[m] + Σ over the non-zeros of row m of weight · x[p + offset] + residual[m, p]): convolution with sparse filters, 1×1
 * and k×k alike, since an offset stands for a channel and a tap.
 *
 * Weight stream: m + 1 byte offsets of rows (relative to the stream, the last is its end), then the rows: groups of `group` byte offsets
 * followed by `group` weights. Rows are filled up with zero weights.
 */
export interface SpmmProblem {
  readonly m: number;
  /** Non-zeros of all filters; only the estimate depends on it. */
  readonly nonZeros: number;
  /** Channels times taps. */
  readonly depth: number;
  readonly region: Region;
  readonly outStride: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface SpmmChoice {
  readonly tile: Tile;
  readonly group: 1 | 4;
  readonly split: "tiles" | "filters";
}

/** Bytes of a weight stream whose rows have these numbers of non-zeros. */
export function spmmStreamBytes(rowCounts: readonly number[], group: number): number {
  return spmmHeaderBytes(rowCounts.length) + rowCounts.reduce((sum, n) => sum + Math.ceil(n / group) * group * 8, 0);
}

export const spmmHeaderBytes = (m: number): number => Math.ceil(((m + 1) * 4) / 16) * 16;

export const f32Spmm = defineKernel<SpmmProblem, SpmmChoice>({
  name: "f32-spmm",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "y"],
  choices(p, target) {
    const choices: SpmmChoice[] = [];
    for (const vectors of [8, 7, 12, 6, 10, 14, 13, 4, 2, 1, 16, 20])
      for (const group of [1, 4] as const) {
        if (vectors + 2 > target.vectorRegisters) continue;
        for (const tile of tileShapes(p.region, vectors)) {
          const { count } = tilesOf(p.region, tile);
          choices.push({ tile, group, split: count >= 8 ? "tiles" : "filters" });
        }
      }
    return choices;
  },
  cost(p, choice, target) {
    const { tile, group } = choice;
    const vectors = tile.rows * tile.vectors;
    // Measured on x64: an entry's vectors come from another plane each time, so that cache lines and pages cost as much as arithmetic.
    const live = target.loadsFirst ? 2 * vectors * (group === 4 ? 2 : 1) + 1 : vectors + 2;
    const spills = Math.max(0, live - (target.vectorRegisters - 1)) * (target.loadsFirst ? 1.9 : 0.6);
    const lines = Math.max(0, tile.rows - 2) * 0.35;
    const perEntry = vectors * (target.fma ? 1 : 1.1) + (group === 4 ? 1.1 : 1.6) + spills + lines;
    const padding = group === 4 ? 1.5 * p.m : 0;
    return tilesOf(p.region, tile).count * ((p.nonZeros + padding) * perEntry + p.m * (vectors * 1.5 + 30));
  },
  digest: (p) => ({ ...p, nonZeros: roundedCount(p.nonZeros) }),
  items: (p, choice) => (choice.split === "tiles" ? tilesOf(p.region, choice.tile).count : p.m),
  emit(context, p, choice) {
    const { fn, begin, end } = context;
    const tile = fn.local("i32");
    const inOffset = fn.local("i32");
    const outOffset = fn.local("i32");
    const all = choice.split === "tiles";
    const [firstTile, lastTile] = all ? [begin, end] : [i32.const(0), i32.const(tilesOf(p.region, choice.tile).count)];
    const [firstFilter, lastFilter] = all ? [i32.const(0), i32.const(p.m)] : [begin, end];
    fn.set(tile, firstTile);
    fn.for(tile, lastTile, 1, () => {
      setTileOffsets(fn, p.region, choice.tile, tile, inOffset, outOffset);
      emitFilters(context, p, choice, firstFilter, lastFilter, inOffset, outOffset);
    });
  },
});

function emitFilters(context: EmitContext, p: SpmmProblem, choice: SpmmChoice, first: I32, last: I32, inOffset: Local<"i32">, outOffset: Local<"i32">): void {
  const { fn, target, operand } = context;
  const { tile } = choice;
  const vectors = tile.rows * tile.vectors;
  const inOffsets = vectorOffsets(tile, p.region.inPitch);
  const outOffsets = vectorOffsets(tile, p.region.outPitch);
  const stream = operand("w");
  const x = fn.let(i32.add(operand("x"), inOffset));
  const filter = fn.let(first);
  const head = fn.let(i32.add(stream, i32.shl(first, i32.const(2))));
  const bias = p.bias ? fn.let(i32.add(operand("bias"), i32.shl(first, i32.const(2)))) : undefined;
  const planes = i32.add(i32.mul(first, i32.const(p.outStride * 4)), outOffset);
  const y = fn.let(i32.add(operand("y"), planes));
  const residual = p.residual ? fn.let(i32.add(operand("residual"), planes)) : undefined;
  const entry = fn.let(i32.add(stream, i32.load(head)));
  const stop = fn.local("i32");
  const acc = fn.locals("v128", vectors);
  fn.for(filter, last, 1, () => {
    if (bias === undefined) for (const a of acc) fn.set(a, f32x4.const(0));
    else {
      const b = fn.let(v128.load32Splat(bias));
      for (const a of acc) fn.set(a, b);
      fn.set(bias, i32.add(bias, i32.const(4)));
    }
    fn.set(stop, i32.add(stream, i32.load(head, 4)));
    fn.while(i32.ltU(entry, stop), () => {
      const address = fn.local("i32");
      const weight = fn.local("v128");
      const four = choice.group === 4 ? fn.let(v128.load(entry, 16)) : undefined;
      for (let g = 0; g < choice.group; g++) {
        fn.set(address, i32.add(x, i32.load(entry, 4 * g)));
        fn.set(weight, four === undefined ? v128.load32Splat(entry, 4) : v128.shuffle(four, four, [g, g, g, g]));
        acc.forEach((a, i) => fn.set(a, madd(target, weight, v128.load(address, inOffsets[i] as number), a)));
      }
      fn.set(entry, i32.add(entry, i32.const(8 * choice.group)));
    });
    if (residual !== undefined) {
      acc.forEach((a, i) => fn.set(a, f32x4.add(a, v128.load(residual, outOffsets[i] as number))));
      fn.set(residual, i32.add(residual, i32.const(p.outStride * 4)));
    }
    for (const a of acc) emitActivation(fn, target, p.activation, a);
    acc.forEach((a, i) => fn.store(y, a, outOffsets[i] as number));
    fn.set(y, i32.add(y, i32.const(p.outStride * 4)));
    fn.set(head, i32.add(head, i32.const(4)));
  });
}
