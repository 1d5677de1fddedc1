import type { Target } from "../codegen/target.ts";
import { f32x4, type V128, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { madd, nmadd } from "./vector-math.ts";

/**
 * Winograd's minimal filtering F(m×m, r×r) (arXiv 1509.09308): y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, n² products for the m×m outputs y of an n×n tile d, n = m + r − 1: with tiles of 6×6
 * 36 in place of 144 for 3×3 filters, of 144 for 4×4 and of 100 for 5×5; with tiles of 4×4 16 in place of 36 for 3×3 filters, of which there is less than half as much to read then.
 * It evaluates polynomials at 0, ±a, ±b and ∞, so that Bᵀ is the same for all filters. With a = 5/8 and b = 3/2 every constant is a short binary fraction, and the error is a quarter of
 * that of the usual ±1, ±2: twice that of the plain sum. Tiles of 4×4 take 0, ±1 and ∞.
 */
const a = 5 / 8;
const b = 3 / 2;

/** Elements a side of a transformed tile, n. */
export type TileSide = 4 | 6;

/** Taps a side of the filters, r; tiles of 4×4 are for 3. */
export type WinogradTaps = 3 | 4 | 5;

/** Filters of `kernel`×`kernel` taps for windows of a stride; those of a larger stride fall into its phases, each a channel. */
export interface WinogradFilters {
  readonly kernel: number;
  readonly stride: number;
  /** Elements a side of a transformed tile. */
  readonly side: TileSide;
}

/** Taps a side of the filters in each phase, where fewer are left with zeros behind them, if the transforms are made for so many. */
export function tapsOf({ kernel, stride }: Pick<WinogradFilters, "kernel" | "stride">): WinogradTaps | undefined {
  const taps = Math.ceil(kernel / stride);
  return taps === 3 || taps === 4 || taps === 5 ? taps : undefined;
}

const finitePoints: Readonly<Record<TileSide, readonly number[]>> = { 4: [0, 1, -1], 6: [0, a, -a, b, -b] };

/** G, n×r: the filter's polynomial at each point, divided by the product of the point's distances to the others. */
export const filterTransform = (taps: WinogradTaps, side: TileSide): readonly (readonly number[])[] => {
  const finite = finitePoints[side];
  const powers = Array.from({ length: taps }, (_, i) => i);
  const scale = (p: number): number => 1 / finite.reduce((product, q) => (q === p ? product : product * (p - q)), 1);
  return [...finite.map((p) => powers.map((i) => p ** i * scale(p))), powers.map((i) => (i === taps - 1 ? 1 : 0))];
};

export type Six<T> = readonly [T, T, T, T, T, T];
export type Four<T> = readonly [T, T, T, T];
export const mapFour = <A, B>([x0, x1, x2, x3]: Four<A>, f: (x: A) => B): Four<B> => [f(x0), f(x1), f(x2), f(x3)];
export const mapSix = <A, B>([x0, x1, x2, x3, x4, x5]: Six<A>, f: (x: A) => B): Six<B> => [f(x0), f(x1), f(x2), f(x3), f(x4), f(x5)];

/** Bᵀd. */
export function inputTransform(fn: FunctionBuilder, target: Target, side: TileSide): (d: readonly Local<"v128">[]) => readonly V128[] {
  if (side === 4) return (d) => shortInputTransform(d as unknown as Four<Local<"v128">>);
  // Set before the transform's loops, as making a constant takes several instructions; but not before those of the products, which need all registers.
  const [ca, cb, a2, b2, sum, product] = mapSix([a, b, a * a, b * b, a * a + b * b, a * a * b * b], (value) => fn.let(f32x4.const(value)));
  return (d) => {
    const [d0, d1, d2, d3, d4, d5] = d as unknown as Six<Local<"v128">>;
    const even1 = fn.let(nmadd(target, b2, d2, d4));
    const odd1 = fn.let(nmadd(target, b2, d1, d3));
    const even2 = fn.let(nmadd(target, a2, d2, d4));
    const odd2 = fn.let(nmadd(target, a2, d1, d3));
    return [
      madd(target, product, d0, nmadd(target, sum, d2, d4)),
      madd(target, ca, odd1, even1),
      nmadd(target, ca, odd1, even1),
      madd(target, cb, odd2, even2),
      nmadd(target, cb, odd2, even2),
      madd(target, product, d1, nmadd(target, sum, d3, d5)),
    ];
  };
}

/** At 0, ±1 and ∞; the filters' transform has the denominators. */
function shortInputTransform([d0, d1, d2, d3]: Four<Local<"v128">>): readonly V128[] {
  return [f32x4.sub(d2, d0), f32x4.add(d2, d1), f32x4.sub(d2, d1), f32x4.sub(d3, d1)];
}

/** Aᵀm, of which the last output also takes the product at ∞. */
export function outputTransform(fn: FunctionBuilder, target: Target, side: TileSide, outputs: number): (m: readonly V128[]) => V128[] {
  if (side === 4) return (m) => shortOutputTransform(fn, m as unknown as Four<V128>);
  const powersOf = (p: number) => Array.from({ length: outputs }, (_, i) => (i === 0 ? undefined : fn.let(f32x4.const(p ** i))));
  const [ofA, ofB] = [powersOf(a), powersOf(b)];
  return (m) => {
    const [m0, m1, m2, m3, m4, m5] = m as unknown as Six<V128>;
    const [p1, n1, p2, n2] = mapFour([m1, m2, m3, m4], (value) => fn.let(value));
    const even = [fn.let(f32x4.add(p1, n1)), fn.let(f32x4.add(p2, n2))] as const;
    const odd = [fn.let(f32x4.sub(p1, n1)), fn.let(f32x4.sub(p2, n2))] as const;
    return Array.from({ length: outputs }, (_, i) => {
      if (i === 0) return f32x4.add(f32x4.add(m0, even[0]), even[1]);
      const [x, y] = i % 2 === 0 ? even : odd;
      const [ca, cb] = [ofA[i] as V128, ofB[i] as V128];
      return madd(target, ca, x, i === outputs - 1 ? madd(target, cb, y, m5) : f32x4.mul(cb, y));
    });
  };
}

function shortOutputTransform(fn: FunctionBuilder, [m0, m1, m2, m3]: Four<V128>): V128[] {
  const [p, n] = [fn.let(m1), fn.let(m2)];
  return [f32x4.add(f32x4.add(m0, p), n), f32x4.add(f32x4.sub(p, n), m3)];
}

/** Vector t, lane i becomes vector i, lane t. */
export function transpose(fn: FunctionBuilder, rows: Four<V128>): Four<Local<"v128">> {
  const [r0, r1, r2, r3] = rows;
  const low01 = fn.let(v128.shuffle(r0, r1, [0, 4, 1, 5]));
  const high01 = fn.let(v128.shuffle(r0, r1, [2, 6, 3, 7]));
  const low23 = fn.let(v128.shuffle(r2, r3, [0, 4, 1, 5]));
  const high23 = fn.let(v128.shuffle(r2, r3, [2, 6, 3, 7]));
  const firsts = (x: V128, y: V128) => fn.let(v128.shuffle(x, y, [0, 1, 4, 5]));
  const seconds = (x: V128, y: V128) => fn.let(v128.shuffle(x, y, [2, 3, 6, 7]));
  return [firsts(low01, low23), seconds(low01, low23), firsts(high01, high23), seconds(high01, high23)];
}

/** Lanes 2 and 3 of four vectors as two vectors. */
export function transposeHigh(fn: FunctionBuilder, [r0, r1, r2, r3]: Four<V128>): readonly [Local<"v128">, Local<"v128">] {
  const high01 = fn.let(v128.shuffle(r0, r1, [2, 6, 3, 7]));
  const high23 = fn.let(v128.shuffle(r2, r3, [2, 6, 3, 7]));
  return [fn.let(v128.shuffle(high01, high23, [0, 1, 4, 5])), fn.let(v128.shuffle(high01, high23, [2, 3, 6, 7]))];
}
