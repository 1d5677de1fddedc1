import { foldsOffset, type Target } from "../codegen/target.ts";
import { f32x4, type I32, i32, type V128, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import type { Tile } from "./region.ts";
import { madd } from "./vector-math.ts";

/** Filters of a tile: as many as a vector has lanes. */
export const laneFilters = 4;

/** Σ_c Σ_t w[c, t, f] · x[c, p + tap t] for a tile of pixels and `laneFilters` filters f, whose weights lie in one vector. */
export interface LaneProduct {
  readonly channels: number;
  readonly channelStride: number;
  readonly taps: readonly number[];
  readonly tile: Tile;
  /** From row to row of the tile, elements. */
  readonly inPitch: number;
  /** Products of a tile with one vector of weights that a turn of the loop makes; as in `turnLengths`. */
  readonly unroll: number;
}

/** Steps that may be in one turn: parts of the channels, or of the taps as long as each part has the same shape. Longest first. */
export function turnLengths(channels: number, taps: readonly number[], longest: number): number[] {
  const count = taps.length === 1 ? channels : taps.length;
  const lengths = Array.from({ length: Math.min(longest, count) }, (_, i) => i + 1).filter((n) => count % n === 0);
  const alike = (n: number) => taps.every((tap, t) => tap - (taps[t - (t % n)] as number) === (taps[t % n] as number) - (taps[0] as number));
  return lengths.filter((n) => taps.length === 1 || alike(n)).reverse();
}

/**
 * The sums are added to `acc` [filter][vector]. While the multiplications of a step run, the next one's vectors are loaded, each as soon as its register is free,
 * and a weight is spread one filter ahead: no instruction waits for the one before, which in-order processors would. Weights are read up to 16 bytes further.
 *
 * `taps`: address of the byte offsets of the taps, for turns of fewer than all taps.
 */
export function emitLaneProduct(
  fn: FunctionBuilder,
  target: Target,
  p: LaneProduct,
  { x, weights, taps }: { readonly x: I32; readonly weights: I32; readonly taps: I32 | undefined },
  acc: readonly (readonly Local<"v128">[])[],
): void {
  const { tile, unroll } = p;
  const byChannel = p.taps.length === 1;
  const lowest = Math.min(...p.taps.slice(0, unroll));
  const steps = Array.from({ length: unroll }, (_, j) => 4 * (byChannel ? j * p.channelStride : (p.taps[j] as number) - lowest));
  const turns = (p.channels * p.taps.length) / unroll;
  const looped = turns > 1;
  const vectors = tile.rows * tile.vectors;
  const rowBytes = 4 * p.inPitch;
  // Rows whose vectors fold into the address of the first one need none of their own.
  const rowsFold = Array.from({ length: tile.rows }, (_, r) => [0, tile.vectors - 1].every((v) => steps.every((s) => foldsOffset(target, s + r * rowBytes + 16 * v)))).every(
    Boolean,
  );
  const pointers = rowsFold ? 1 : tile.rows;
  const base = Array.from({ length: pointers }, (_, r) => fn.let(i32.add(x, i32.const(4 * lowest + r * rowBytes))));
  const next = looped ? fn.locals("i32", pointers) : base;
  const w = fn.let(weights);
  const end = looped ? fn.let(i32.add(w, i32.const(16 * turns * unroll))) : w;
  const channel = looped && taps !== undefined ? fn.let(base[0] as I32) : undefined;
  const tap = channel === undefined ? undefined : fn.let(taps as I32);
  const xs = fn.locals("v128", vectors);
  const loaded = fn.local("v128");
  const spread = fn.locals("v128", laneFilters);
  const spreadLane = (f: number) => fn.set(spread[f] as Local<"v128">, v128.shuffle(loaded, loaded, [f, f, f, f]));

  const vectorLoads = (from: readonly Local<"i32">[], offset: number): (() => void)[] => {
    const addresses = new Map<number, I32>();
    return xs.map((v, i) => () => {
      const row = Math.floor(i / tile.vectors);
      const pointer = rowsFold ? 0 : row;
      const within = (rowsFold ? row * rowBytes : 0) + 16 * (i % tile.vectors);
      const folds = foldsOffset(target, offset + 16 * (tile.vectors - 1));
      if (!addresses.has(pointer)) addresses.set(pointer, folds ? (from[pointer] as I32) : fn.let(i32.add(from[pointer] as I32, i32.const(offset))));
      fn.set(v, v128.load(addresses.get(pointer) as I32, folds ? offset + within : within));
    });
  };
  /** Where the turn after this one starts; after the last one, what can be read again. */
  const findNext = () => {
    const more = fn.let(i32.ltU(i32.add(w, i32.const(16 * unroll)), end));
    const step = (bytes: I32 | number) => i32.select(typeof bytes === "number" ? i32.const(bytes) : bytes, i32.const(0), more);
    if (channel === undefined || tap === undefined) {
      const bytes = fn.let(step(byChannel ? 4 * p.channelStride * unroll : 4 * p.channelStride));
      next.forEach((n, r) => fn.set(n, i32.add(base[r] as I32, bytes)));
      return;
    }
    fn.set(tap, i32.add(tap, i32.const(4 * unroll)));
    const wraps = fn.let(i32.eq(tap, i32.add(taps as I32, i32.const(4 * p.taps.length))));
    fn.set(tap, i32.select(taps as I32, tap, wraps));
    fn.set(channel, i32.add(channel, i32.select(fn.let(step(4 * p.channelStride)), i32.const(0), wraps)));
    const start = fn.let(i32.sub(i32.add(channel, i32.load(tap)), i32.const(4 * (p.taps[0] as number))));
    next.forEach((n, r) => fn.set(n, r === 0 ? start : i32.add(start, i32.const(r * rowBytes))));
  };
  // Without fused multiplication a product is added two products later, when it is there.
  const products = target.fma ? [] : fn.locals("v128", 3);
  const waiting: (() => void)[] = [];
  let count = 0;
  const accumulate = (weight: V128, v: V128, a: Local<"v128">) => {
    if (target.fma) return fn.set(a, madd(target, weight, v, a));
    const product = products[count++ % products.length] as Local<"v128">;
    fn.set(product, f32x4.mul(weight, v));
    waiting.push(() => fn.set(a, f32x4.add(a, product)));
    if (waiting.length === products.length) waiting.shift()?.();
  };
  const step = (loads: readonly (() => void)[], weightOffset: number | undefined) => {
    for (let f = 0; f < laneFilters; f++)
      for (let i = 0; i < vectors; i++) {
        const a = acc[f]?.[i] as Local<"v128">;
        accumulate(spread[f] as Local<"v128">, xs[i] as Local<"v128">, a);
        if (i === 0 && f + 1 < laneFilters) spreadLane(f + 1);
        if (f === laneFilters - 2 && i === Math.min(1, vectors - 1) && weightOffset !== undefined) fn.set(loaded, v128.load(w, weightOffset));
        if (f === laneFilters - 1) {
          if (i === 0 && weightOffset !== undefined) spreadLane(0);
          loads[i]?.();
        }
      }
  };

  fn.set(loaded, v128.load(w));
  for (const load of vectorLoads(base, steps[0] as number)) load();
  spreadLane(0);
  const turn = () => {
    if (looped) findNext();
    for (let j = 0; j < unroll; j++) {
      const last = j === unroll - 1;
      if (last && !looped) step([], undefined);
      else step(last ? vectorLoads(next, steps[0] as number) : vectorLoads(base, steps[j + 1] as number), 16 * (j + 1));
    }
    for (const add of waiting.splice(0)) add();
  };
  if (!looped) return turn();
  fn.doWhile(
    () => {
      turn();
      fn.set(w, i32.add(w, i32.const(16 * unroll)));
      base.forEach((b, r) => fn.set(b, next[r] as I32));
    },
    () => i32.ltU(w, end),
  );
}
