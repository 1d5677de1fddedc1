import type { Target } from "../codegen/target.ts";
import { f32x4, i32, i32x4, type V128, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { invariant } from "../errors.ts";
import type { Activation } from "../ir/activation.ts";
import type { BinaryOp, Expr, UnaryOp } from "../ir/expr.ts";

/** a · b + c, fused where the target can. */
export function madd(target: Target, a: V128, b: V128, c: V128): V128 {
  return target.fma ? f32x4.relaxedMadd(a, b, c) : f32x4.add(c, f32x4.mul(a, b));
}

/** c − a · b, fused where the target can. */
export function nmadd(target: Target, a: V128, b: V128, c: V128): V128 {
  return target.fma ? f32x4.relaxedNmadd(a, b, c) : f32x4.sub(c, f32x4.mul(a, b));
}

/** min and max for finite data: where one side is NaN the first operand wins or not, as the engine likes. */
export const fastMin = (target: Target, a: V128, b: V128): V128 => (target.pseudoMinMax ? f32x4.pmin(a, b) : f32x4.min(a, b));
export const fastMax = (target: Target, a: V128, b: V128): V128 => (target.pseudoMinMax ? f32x4.pmax(a, b) : f32x4.max(a, b));

/** The larger one; NaN wins. Where `max` is no single instruction, all bits of lanes where x is NaN are set, which makes them NaN too. */
export const maxOrNaN = (target: Target, a: V128, x: Local<"v128">): V128 => (target.pseudoMinMax ? v128.or(f32x4.pmax(a, x), f32x4.ne(x, x)) : f32x4.max(a, x));

/** Applies an activation to vectors that are already in locals. NaN passes through. */
export function emitActivation(fn: FunctionBuilder, target: Target, activation: Activation, values: Local<"v128"> | readonly Local<"v128">[]): void {
  const all = "index" in values ? [values] : values;
  if (activation.kind === "expr") for (const value of all) fn.set(value, emitExpr(fn, target, activation.expr, [value]));
  // One bound of all after the other, so that no vector waits for the instruction before.
  if (activation.kind === "clamp") for (const bound of bounds(fn, target, activation)) for (const value of all) bound(value);
}

/** What applies an activation to one vector after another; a clamp's bounds are made once, here, for all of them. */
export function activator(fn: FunctionBuilder, target: Target, activation: Activation): (value: Local<"v128">) => void {
  if (activation.kind === "none") return () => undefined;
  if (activation.kind === "expr") return (value) => fn.set(value, emitExpr(fn, target, activation.expr, [value]));
  const clamp = bounds(fn, target, activation);
  return (value) => {
    for (const bound of clamp) bound(value);
  };
}

/** pmax(v, low) is v unless v < low, so NaN stays; so does min/max. */
function bounds(fn: FunctionBuilder, target: Target, { low, high }: Activation & { readonly kind: "clamp" }): ((value: Local<"v128">) => void)[] {
  const least = low === Number.NEGATIVE_INFINITY ? undefined : fn.let(f32x4.const(low));
  const most = high === Number.POSITIVE_INFINITY ? undefined : fn.let(f32x4.const(high));
  return [
    ...(least === undefined ? [] : [(value: Local<"v128">) => fn.set(value, fastMax(target, value, least))]),
    ...(most === undefined ? [] : [(value: Local<"v128">) => fn.set(value, fastMin(target, value, most))]),
  ];
}

/**
 * Four elements of an expression at once. Comparisons give 1 or 0. Errors in units of the last place: exp 2, log 3, sigmoid 3 (but results
 * below the smallest normal number become 0), tanh 6, erf 5, xʸ 4 + 3 · |y · ln x|; powers with small integer constants are products.
 */
export function emitExpr(fn: FunctionBuilder, target: Target, expr: Expr, inputs: readonly V128[]): V128 {
  const seen = new Map<Expr, Local<"v128">>();
  const go = (x: Expr): V128 => {
    const known = seen.get(x);
    if (known !== undefined) return known;
    const result = step(x);
    if (x.kind === "number" || x.kind === "input") return result;
    const local = fn.let(result);
    seen.set(x, local);
    return local;
  };
  const step = (x: Expr): V128 => {
    switch (x.kind) {
      case "number":
        return f32x4.const(x.value);
      case "input": {
        const input = inputs[x.index];
        invariant(input !== undefined, `expression reads input ${x.index} of ${inputs.length}`);
        return input;
      }
      case "unary":
        return emitUnary(fn, target, x.op, go(x.a));
      case "binary":
        return emitBinary(fn, target, x.op, x.a, x.b, go);
      case "select":
        return v128.bitselect(
          go(x.a),
          go(x.b),
          isComparison(x.condition) ? compare(x.condition.op, go(x.condition.a), go(x.condition.b)) : f32x4.ne(go(x.condition), f32x4.const(0)),
        );
    }
  };
  return go(expr);
}

const one = f32x4.const(1);
const comparisons = { lt: f32x4.lt, le: f32x4.le, gt: f32x4.gt, ge: f32x4.ge, eq: f32x4.eq, ne: f32x4.ne } as const;
type Comparison = keyof typeof comparisons;
const isComparison = (x: Expr): x is Expr & { kind: "binary"; op: Comparison } => x.kind === "binary" && x.op in comparisons;
const compare = (op: Comparison, a: V128, b: V128): V128 => comparisons[op](a, b);

function emitBinary(fn: FunctionBuilder, target: Target, op: BinaryOp, a: Expr, b: Expr, go: (x: Expr) => V128): V128 {
  switch (op) {
    case "add":
      return f32x4.add(go(a), go(b));
    case "sub":
      return f32x4.sub(go(a), go(b));
    case "mul":
      return f32x4.mul(go(a), go(b));
    case "div":
      return f32x4.div(go(a), go(b));
    case "min":
      return f32x4.min(go(a), go(b));
    case "max":
      return f32x4.max(go(a), go(b));
    case "pow":
      return b.kind === "number" && Number.isInteger(b.value) && Math.abs(b.value) <= 8 ? integerPower(fn, go(a), b.value) : power(fn, target, go(a), go(b));
    default:
      return v128.and(compare(op, go(a), go(b)), one);
  }
}

function emitUnary(fn: FunctionBuilder, target: Target, op: UnaryOp, a: V128): V128 {
  switch (op) {
    case "neg":
      return f32x4.neg(a);
    case "abs":
      return f32x4.abs(a);
    case "sqrt":
      return f32x4.sqrt(a);
    case "floor":
      return f32x4.floor(a);
    case "ceil":
      return f32x4.ceil(a);
    case "round":
      return f32x4.nearest(a);
    case "trunc":
      return f32x4.trunc(a);
    case "sign": {
      const x = fn.let(a);
      const positive = v128.and(f32x4.gt(x, f32x4.const(0)), one);
      const negative = v128.and(f32x4.lt(x, f32x4.const(0)), one);
      return v128.bitselect(x, f32x4.sub(positive, negative), f32x4.ne(x, x));
    }
    case "exp":
      return exp(fn, target, a);
    case "log":
      return log(fn, target, a);
    case "log1p":
      return log1p(fn, target, a);
    case "sigmoid":
      return f32x4.div(one, f32x4.add(one, exp(fn, target, f32x4.neg(a))));
    case "tanh":
      return tanh(fn, target, a);
    case "erf":
      return erf(fn, target, a);
  }
}

/** Horner's rule, coefficients from the highest power down. */
function polynomial(target: Target, x: V128, coefficients: readonly number[]): V128 {
  return coefficients.slice(1).reduce((sum, c) => madd(target, sum, x, f32x4.const(c)), f32x4.const(coefficients[0] as number) as V128);
}

/** eˣ = 2ⁿ · eʳ with |r| ≤ ln 2 / 2 and the Taylor polynomial of degree 7; 2ⁿ in two factors so that subnormals and overflow come out right. */
function exp(fn: FunctionBuilder, target: Target, a: V128): V128 {
  const x = fn.let(a);
  const clamped = fn.let(f32x4.min(f32x4.max(x, f32x4.const(-104)), f32x4.const(89)));
  const n = fn.let(f32x4.nearest(f32x4.mul(clamped, f32x4.const(Math.LOG2E))));
  const r = fn.let(madd(target, n, f32x4.const(2.1219444e-4), madd(target, n, f32x4.const(-0.693359375), clamped)));
  const p = fn.let(polynomial(target, r, [1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1]));
  const k = fn.let(i32x4.truncSatF32x4(n));
  const half = fn.let(i32x4.shrS(k, i32.const(1)));
  const scale = (e: V128) => i32x4.shl(i32x4.add(e, v128.constI32(127)), i32.const(23));
  return f32x4.mul(f32x4.mul(p, scale(half)), scale(i32x4.sub(k, half)));
}

/** ln x = e · ln 2 + 2 · artanh((m − 1)/(m + 1)), m in [√½, √2). Negative numbers give NaN, 0 gives −∞. */
function log(fn: FunctionBuilder, target: Target, a: V128): V128 {
  const x = fn.let(a);
  const subnormal = fn.let(f32x4.lt(x, f32x4.const(1.1754943508222875e-38)));
  const scaled = fn.let(v128.bitselect(f32x4.mul(x, f32x4.const(2 ** 24)), x, subnormal));
  const bits = fn.let(i32x4.sub(scaled, v128.constI32(0x3f3504f3))); // √½
  const exponent = f32x4.sub(f32x4.convertI32x4(i32x4.shrS(bits, i32.const(23))), v128.and(subnormal, f32x4.const(24)));
  const e = fn.let(exponent);
  const m = fn.let(i32x4.add(v128.and(bits, v128.constI32(0x007fffff)), v128.constI32(0x3f3504f3)));
  const s = fn.let(f32x4.div(f32x4.sub(m, one), f32x4.add(m, one)));
  const s2 = fn.let(f32x4.mul(s, s));
  const p = f32x4.mul(f32x4.mul(f32x4.add(s, s), s2), polynomial(target, s2, [1 / 9, 1 / 7, 1 / 5, 1 / 3]));
  const finite = fn.let(madd(target, e, f32x4.const(Math.LN2), f32x4.add(f32x4.add(s, s), p)));
  const special = v128.bitselect(f32x4.const(Number.NEGATIVE_INFINITY), v128.bitselect(x, f32x4.const(Number.NaN), f32x4.ge(x, f32x4.const(0))), f32x4.eq(x, f32x4.const(0)));
  const ordinary = fn.let(v128.and(f32x4.gt(x, f32x4.const(0)), f32x4.lt(x, f32x4.const(Number.POSITIVE_INFINITY))));
  return v128.bitselect(finite, fn.let(special), ordinary);
}

/** ln(1 + x) = ln w + (x − (w − 1))/w, w = 1 + x rounded: the second term makes up for what rounding took. */
function log1p(fn: FunctionBuilder, target: Target, a: V128): V128 {
  const x = fn.let(a);
  const w = fn.let(f32x4.add(x, one));
  const lost = f32x4.div(f32x4.sub(x, f32x4.sub(w, one)), w);
  const finite = f32x4.lt(f32x4.abs(w), f32x4.const(Number.POSITIVE_INFINITY));
  return f32x4.add(log(fn, target, w), v128.and(v128.and(lost, finite), f32x4.ne(w, f32x4.const(0))));
}

/** Near 0 an odd polynomial (no cancellation), else 1 − 2/(e²ˣ + 1). */
function tanh(fn: FunctionBuilder, target: Target, a: V128): V128 {
  const x = fn.let(a);
  const x2 = fn.let(f32x4.mul(x, x));
  const small = fn.let(madd(target, f32x4.mul(x, x2), polynomial(target, x2, [-0.0088632355, 0.021869488, -0.053968254, 0.13333333, -0.33333334]), x));
  const large = fn.let(f32x4.sub(one, f32x4.div(f32x4.const(2), f32x4.add(exp(fn, target, f32x4.add(x, x)), one))));
  return v128.bitselect(small, large, f32x4.lt(f32x4.abs(x), f32x4.const(0.45)));
}

/** Near 0 its Maclaurin series; else 1 − t·exp(−x² + P(t)), t = 1/(1 + |x|/2), the classic Chebyshev fit of erfc (error 1.2e-7). */
function erf(fn: FunctionBuilder, target: Target, a: V128): V128 {
  const x = fn.let(a);
  const x2 = fn.let(f32x4.mul(x, x));
  const c = 2 / Math.sqrt(Math.PI);
  const small = fn.let(f32x4.mul(x, polynomial(target, x2, [c / 9360, -c / 1320, c / 216, -c / 42, c / 10, -c / 3, c])));
  const t = fn.let(f32x4.div(one, madd(target, f32x4.abs(x), f32x4.const(0.5), one)));
  const fit = polynomial(target, t, [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223]);
  const tail = f32x4.sub(one, f32x4.mul(t, exp(fn, target, f32x4.sub(fit, x2))));
  const sign = v128.and(x, v128.constI32(-0x80000000));
  return v128.bitselect(small, v128.or(fn.let(tail), sign), f32x4.lt(f32x4.abs(x), f32x4.const(0.5)));
}

function integerPower(fn: FunctionBuilder, a: V128, n: number): V128 {
  const x = fn.let(a);
  let result: V128 = one;
  let base: Local<"v128"> = x;
  for (let k = Math.abs(n); k > 0; k >>= 1) {
    if (k % 2 === 1) result = result === one ? base : fn.let(f32x4.mul(result, base));
    if (k > 1) base = fn.let(f32x4.mul(base, base));
  }
  return n < 0 ? f32x4.div(one, result) : result;
}

/** |x|ʸ by exp and log; a negative base (and −0) takes the sign of an odd integer exponent, and gives NaN for a fractional one. */
function power(fn: FunctionBuilder, target: Target, a: V128, b: V128): V128 {
  const x = fn.let(a);
  const y = fn.let(b);
  const magnitude = fn.let(exp(fn, target, f32x4.mul(y, log(fn, target, f32x4.abs(x)))));
  const half = fn.let(f32x4.mul(y, f32x4.const(0.5)));
  const whole = fn.let(f32x4.eq(f32x4.floor(y), y));
  const odd = v128.and(f32x4.ne(f32x4.floor(half), half), whole);
  const signed = v128.xor(magnitude, v128.and(v128.and(odd, x), v128.constI32(-0x80000000)));
  const undefinedRoot = v128.andnot(v128.and(f32x4.lt(x, f32x4.const(0)), f32x4.gt(x, f32x4.const(Number.NEGATIVE_INFINITY))), whole);
  const general = v128.bitselect(f32x4.const(Number.NaN), signed, undefinedRoot);
  return v128.bitselect(one, general, f32x4.eq(y, f32x4.const(0)));
}
