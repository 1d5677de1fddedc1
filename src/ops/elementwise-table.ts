import { type Expr, e } from "../ir/expr.ts";
import type { DType } from "../ir/types.ts";
import { allTypes, floatTypes, numericTypes } from "./numbers.ts";

/** An op that treats each element alone. Its inputs broadcast and share one element type. */
export interface Elementwise {
  readonly inputs: number;
  readonly dtypes: readonly DType[];
  /** Whether the result is bool; else it has the type of the inputs. */
  readonly test?: boolean;
  readonly expr: (attrs: NumberAttrs) => Expr;
  /** Exact semantics on integers and bools, where doubles would not do. The result wraps around. */
  readonly integer?: (attrs: NumberAttrs) => (a: bigint, b: bigint) => bigint;
}
export type NumberAttrs = { readonly [name: string]: number };

const [x, y] = [e.input(0), e.input(1)];
const clamp = (a: Expr, low: number, high: number) => {
  const raised = low === Number.NEGATIVE_INFINITY ? a : e.max(a, low);
  return high === Number.POSITIVE_INFINITY ? raised : e.min(raised, high);
};
const bit = (condition: boolean) => (condition ? 1n : 0n);

const unary = (expr: Expr, integer?: (a: bigint) => bigint): Elementwise => ({
  inputs: 1,
  dtypes: integer === undefined ? floatTypes : numericTypes,
  expr: () => expr,
  ...(integer === undefined ? {} : { integer: () => integer }),
});
const activation = (expr: (attrs: NumberAttrs) => Expr): Elementwise => ({ inputs: 1, dtypes: floatTypes, expr });
const arithmetic = (expr: Expr, integer: (a: bigint, b: bigint) => bigint): Elementwise => ({ inputs: 2, dtypes: numericTypes, expr: () => expr, integer: () => integer });
const comparison = (expr: Expr, integer: (a: bigint, b: bigint) => boolean, dtypes = numericTypes): Elementwise => ({
  inputs: 2,
  dtypes,
  test: true,
  expr: () => expr,
  integer: () => (a, b) => bit(integer(a, b)),
});
const logic = (inputs: number, expr: Expr): Elementwise => ({ inputs, dtypes: ["bool"], test: true, expr: () => expr });

/** log(1 + exp(x)) without overflow. */
const softplus = e.add(e.max(x, 0), e.log1p(e.exp(e.neg(e.abs(x)))));
/** tanh(softplus(x)) = n/(n + 2), n = eˣ(eˣ + 2): one exp, and nothing cancels where x is far below 0. */
const mishGate = (() => {
  const power = e.exp(e.min(x, 20));
  const n = e.mul(power, e.add(power, 2));
  return e.div(n, e.add(n, 2));
})();
const expMinus1 = e.sub(e.exp(x), 1);

/** Ops whose definition is one expression. Dividing integers truncates towards zero, and by zero gives 0. */
export const elementwise = {
  Add: arithmetic(e.add(x, y), (a, b) => a + b),
  Sub: arithmetic(e.sub(x, y), (a, b) => a - b),
  Mul: arithmetic(e.mul(x, y), (a, b) => a * b),
  Div: arithmetic(e.div(x, y), (a, b) => (b === 0n ? 0n : a / b)),
  // biome-ignore lint/complexity/useMathMinMax: takes no bigint
  Min: arithmetic(e.min(x, y), (a, b) => (a < b ? a : b)),
  // biome-ignore lint/complexity/useMathMinMax: takes no bigint
  Max: arithmetic(e.max(x, y), (a, b) => (a > b ? a : b)),
  Equal: comparison(e.eq(x, y), (a, b) => a === b, allTypes),
  Less: comparison(e.lt(x, y), (a, b) => a < b),
  LessOrEqual: comparison(e.le(x, y), (a, b) => a <= b),
  Greater: comparison(e.gt(x, y), (a, b) => a > b),
  GreaterOrEqual: comparison(e.ge(x, y), (a, b) => a >= b),
  And: logic(2, e.mul(x, y)),
  Or: logic(2, e.max(x, y)),
  Not: logic(1, e.eq(x, 0)),
  Neg: unary(e.neg(x), (a) => -a),
  Abs: unary(e.abs(x), (a) => (a < 0n ? -a : a)),
  Sign: unary(e.sign(x), (a) => (a < 0n ? -1n : bit(a > 0n))),
  Sqrt: unary(e.sqrt(x)),
  Exp: unary(e.exp(x)),
  Log: unary(e.log(x)),
  Erf: unary(e.erf(x)),
  Floor: unary(e.floor(x)),
  Ceil: unary(e.ceil(x)),
  Round: unary(e.round(x)),
  Reciprocal: unary(e.div(1, x)),
  Relu: unary(e.max(x, 0), (a) => (a > 0n ? a : 0n)),
  Sigmoid: unary(e.sigmoid(x)),
  HardSwish: unary(e.mul(x, clamp(e.add(e.mul(x, 1 / 6), 0.5), 0, 1))),
  Tanh: unary(e.tanh(x)),
  Softplus: unary(softplus),
  Softsign: unary(e.div(x, e.add(1, e.abs(x)))),
  Mish: unary(e.mul(x, mishGate)),
  LeakyRelu: activation(({ alpha = 0.01 }) => e.select(e.lt(x, 0), e.mul(x, alpha), x)),
  HardSigmoid: activation(({ alpha = 0.2, beta = 0.5 }) => clamp(e.add(e.mul(x, alpha), beta), 0, 1)),
  Elu: activation(({ alpha = 1 }) => e.select(e.lt(x, 0), e.mul(expMinus1, alpha), x)),
  Selu: activation(({ alpha = 1.6732631921768188, gamma = 1.0507010221481323 }) => e.mul(e.select(e.gt(x, 0), x, e.mul(expMinus1, alpha)), gamma)),
  Clip: {
    inputs: 1,
    dtypes: numericTypes,
    expr: ({ min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }) => clamp(x, min, max),
    integer: ({ min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }) => {
      const raise = Number.isFinite(min) ? (a: bigint) => (a < BigInt(min) ? BigInt(min) : a) : (a: bigint) => a;
      return Number.isFinite(max) ? (a) => (raise(a) > BigInt(max) ? BigInt(max) : raise(a)) : raise;
    },
  },
  PRelu: { inputs: 2, dtypes: floatTypes, expr: () => e.select(e.lt(x, 0), e.mul(x, y), x) },
} as const satisfies Record<string, Elementwise>;

/** x · Φ(x), exactly or by the tanh approximation. */
export function geluExpr(approximate: string): Expr {
  const inner = approximate === "tanh" ? e.tanh(e.mul(Math.sqrt(2 / Math.PI), e.add(x, e.mul(0.044715, e.mul(x, e.mul(x, x)))))) : e.erf(e.mul(x, Math.SQRT1_2));
  return e.mul(e.mul(0.5, x), e.add(1, inner));
}
