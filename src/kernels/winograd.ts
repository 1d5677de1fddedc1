import type { Target } from "../codegen/target.ts";
import { f32x4, type V128, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { madd, nmadd } from "./vector-math.ts";

/**
 * Winograd's minimal filtering F(m×m, r×r) with m + r − 1 = 6 (arXiv 1509.09308): y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, 36 products for the m×m outputs y of a 6×6 tile d: in place of
 * 144 for 3×3 filters, of 144 for 4×4 and of 100 for 5×5. It evaluates polynomials at 0, ±a, ±b and ∞, so that Bᵀ is the same for all. With a = 5/8 and b = 3/2 every constant is a short
 * binary fraction, and the error is a quarter of that of the usual ±1, ±2: twice that of the plain sum.
 */
const a = 5 / 8;
const b = 3 / 2;

/** Elements of a transformed tile. */
export const winogradPoints = 36;

const finite = [0, a, -a, b, -b];

/** Taps a side of the filters, r. */
export type WinogradTaps = 3 | 4 | 5;

/** Outputs a side of a tile, m. */
export const outputsOf = (taps: WinogradTaps): 4 | 3 | 2 => (7 - taps) as 4 | 3 | 2;

/** G, 6×r: the filter's polynomial at each point, divided by the product of the point's distances to the others. */
export const filterTransform = (taps: WinogradTaps): readonly (readonly number[])[] => {
  const powers = Array.from({ length: taps }, (_, i) => i);
  const scale = (p: number): number => 1 / finite.reduce((product, q) => (q === p ? product : product * (p - q)), 1);
  return [...finite.map((p) => powers.map((i) => p ** i * scale(p))), powers.map((i) => (i === taps - 1 ? 1 : 0))];
};

export type Six<T> = readonly [T, T, T, T, T, T];
export type Four<T> = readonly [T, T, T, T];
export const mapFour = <A, B>([x0, x1, x2, x3]: Four<A>, f: (x: A) => B): Four<B> => [f(x0), f(x1), f(x2), f(x3)];
export const mapSix = <A, B>([x0, x1, x2, x3, x4, x5]: Six<A>, f: (x: A) => B): Six<B> => [f(x0), f(x1), f(x2), f(x3), f(x4), f(x5)];

/** Bᵀd. */
export function inputTransform(fn: FunctionBuilder, target: Target): (d: Six<Local<"v128">>) => Six<V128> {
  // Set before the transform's loops, as making a constant takes several instructions; but not before those of the products, which need all registers.
  const [ca, cb, a2, b2, sum, product] = mapSix([a, b, a * a, b * b, a * a + b * b, a * a * b * b], (value) => fn.let(f32x4.const(value)));
  return ([d0, d1, d2, d3, d4, d5]) => {
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

/** Aᵀm, of which the last output also takes the product at ∞. */
export function outputTransform(fn: FunctionBuilder, target: Target, outputs: 4 | 3 | 2): (m: Six<V128>) => V128[] {
  const powersOf = (p: number) => Array.from({ length: outputs }, (_, i) => (i === 0 ? undefined : fn.let(f32x4.const(p ** i))));
  const [ofA, ofB] = [powersOf(a), powersOf(b)];
  return ([m0, m1, m2, m3, m4, m5]) => {
    const [p1, n1, p2, n2] = mapFour([m1, m2, m3, m4], (m) => fn.let(m));
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
