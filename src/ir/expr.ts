import { CadnnError } from "../errors.ts";

/**
 * A scalar function of the elements at one position of several tensors. Every elementwise op is one such expression; its
 * reference semantics, its derivative and its kernels on every backend are all made from it.
 */
export type Expr =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "unary"; readonly op: UnaryOp; readonly a: Expr }
  | { readonly kind: "binary"; readonly op: BinaryOp; readonly a: Expr; readonly b: Expr }
  /** `a` where `condition` is not 0, else `b`. */
  | { readonly kind: "select"; readonly condition: Expr; readonly a: Expr; readonly b: Expr };

export type UnaryOp = "neg" | "abs" | "sqrt" | "exp" | "log" | "log1p" | "tanh" | "sigmoid" | "erf" | "floor" | "ceil" | "round" | "trunc" | "sign";
/** Comparisons give 1 or 0. `min` and `max` give NaN if either side is NaN. */
export type BinaryOp = "add" | "sub" | "mul" | "div" | "min" | "max" | "pow" | "lt" | "le" | "gt" | "ge" | "eq" | "ne";

export type ExprLike = Expr | number;

const lift = (e: ExprLike): Expr => (typeof e === "number" ? { kind: "number", value: e } : e);
const unary =
  (op: UnaryOp) =>
  (a: ExprLike): Expr => ({ kind: "unary", op, a: lift(a) });
const binary =
  (op: BinaryOp) =>
  (a: ExprLike, b: ExprLike): Expr => ({ kind: "binary", op, a: lift(a), b: lift(b) });

/** Constructors: `e.mul(e.input(0), 2)`. */
export const e = {
  input: (index: number): Expr => ({ kind: "input", index }),
  number: (value: number): Expr => ({ kind: "number", value }),
  neg: unary("neg"),
  abs: unary("abs"),
  sqrt: unary("sqrt"),
  exp: unary("exp"),
  log: unary("log"),
  /** log(1 + a), exact in proportion also where `a` is small. */
  log1p: unary("log1p"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  erf: unary("erf"),
  floor: unary("floor"),
  ceil: unary("ceil"),
  round: unary("round"),
  trunc: unary("trunc"),
  sign: unary("sign"),
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  min: binary("min"),
  max: binary("max"),
  pow: binary("pow"),
  lt: binary("lt"),
  le: binary("le"),
  gt: binary("gt"),
  ge: binary("ge"),
  eq: binary("eq"),
  ne: binary("ne"),
  select: (condition: ExprLike, a: ExprLike, b: ExprLike): Expr => ({ kind: "select", condition: lift(condition), a: lift(a), b: lift(b) }),
} as const;

/** Replaces each input i by `args[i]`. */
export function substitute(expr: Expr, args: readonly Expr[]): Expr {
  switch (expr.kind) {
    case "number":
      return expr;
    case "input": {
      const arg = args[expr.index];
      if (arg === undefined) throw new CadnnError("E_INTERNAL", `expression reads input ${expr.index} of ${args.length}`);
      return arg;
    }
    case "unary":
      return { ...expr, a: substitute(expr.a, args) };
    case "binary":
      return { ...expr, a: substitute(expr.a, args), b: substitute(expr.b, args) };
    case "select":
      return { ...expr, condition: substitute(expr.condition, args), a: substitute(expr.a, args), b: substitute(expr.b, args) };
  }
}

/** Reference value in double precision. */
export function evaluateExpr(expr: Expr, inputs: readonly number[]): number {
  switch (expr.kind) {
    case "input":
      return inputs[expr.index] as number;
    case "number":
      return expr.value;
    case "unary":
      return unaryFunctions[expr.op](evaluateExpr(expr.a, inputs));
    case "binary":
      return binaryFunctions[expr.op](evaluateExpr(expr.a, inputs), evaluateExpr(expr.b, inputs));
    case "select":
      return evaluateExpr(expr.condition, inputs) !== 0 ? evaluateExpr(expr.a, inputs) : evaluateExpr(expr.b, inputs);
  }
}

export const unaryFunctions: Readonly<Record<UnaryOp, (a: number) => number>> = {
  neg: (a) => -a,
  abs: Math.abs,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  log1p: Math.log1p,
  tanh: Math.tanh,
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  erf,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundHalfToEven,
  trunc: Math.trunc,
  sign: Math.sign,
};

export const binaryFunctions: Readonly<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
  pow: (a, b) => a ** b,
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
  eq: (a, b) => Number(a === b),
  ne: (a, b) => Number(a !== b),
};

function roundHalfToEven(a: number): number {
  const r = Math.round(a);
  return Math.abs(a % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** The error function to double precision: its Maclaurin series near 0, a continued fraction of erfc further out. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 60; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let f = 0;
  for (let k = 60; k >= 1; k--) f = (k * 0.5) / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}

/** ∂expr/∂(input index), simplified where a factor is 0 or 1. Kinks take the derivative from one side. */
export function differentiateExpr(expr: Expr, index: number): Expr {
  const d = (x: Expr) => differentiateExpr(x, index);
  switch (expr.kind) {
    case "number":
      return e.number(0);
    case "input":
      return e.number(expr.index === index ? 1 : 0);
    case "select":
      return isNumber(d(expr.a), 0) && isNumber(d(expr.b), 0) ? e.number(0) : e.select(expr.condition, d(expr.a), d(expr.b));
    case "unary":
      return times(d(expr.a), unaryDerivatives[expr.op](expr.a, expr));
    case "binary":
      return differentiateBinary(expr.op, expr.a, expr.b, d(expr.a), d(expr.b), expr);
  }
}

const unaryDerivatives: Readonly<Record<UnaryOp, (a: Expr, self: Expr) => Expr>> = {
  neg: () => e.number(-1),
  abs: (a) => e.sign(a),
  sqrt: (_, self) => e.div(0.5, self),
  exp: (_, self) => self,
  log: (a) => e.div(1, a),
  log1p: (a) => e.div(1, e.add(1, a)),
  tanh: (_, self) => e.sub(1, e.mul(self, self)),
  sigmoid: (_, self) => e.mul(self, e.sub(1, self)),
  erf: (a) => e.mul(2 / Math.sqrt(Math.PI), e.exp(e.neg(e.mul(a, a)))),
  floor: () => e.number(0),
  ceil: () => e.number(0),
  round: () => e.number(0),
  trunc: () => e.number(0),
  sign: () => e.number(0),
};

function differentiateBinary(op: BinaryOp, a: Expr, b: Expr, da: Expr, db: Expr, self: Expr): Expr {
  switch (op) {
    case "add":
      return plus(da, db);
    case "sub":
      return plus(da, times(db, e.number(-1)));
    case "mul":
      return plus(times(da, b), times(db, a));
    case "div":
      return plus(times(da, e.div(1, b)), times(db, e.neg(e.div(self, b))));
    case "min":
      return choose(e.lt(a, b), da, db);
    case "max":
      return choose(e.gt(a, b), da, db);
    case "pow":
      return plus(times(da, e.mul(b, e.pow(a, e.sub(b, 1)))), times(db, e.mul(self, e.log(a))));
    default:
      return e.number(0); // comparisons
  }
}

const isNumber = (x: Expr, value: number) => x.kind === "number" && x.value === value;
const plus = (a: Expr, b: Expr) => (isNumber(a, 0) ? b : isNumber(b, 0) ? a : e.add(a, b));
const times = (a: Expr, b: Expr) => (isNumber(a, 0) || isNumber(b, 0) ? e.number(0) : isNumber(a, 1) ? b : isNumber(b, 1) ? a : e.mul(a, b));
const choose = (condition: Expr, a: Expr, b: Expr) => (isNumber(a, 0) && isNumber(b, 0) ? a : e.select(condition, a, b));

/** Text form, as `max(x0, 0)`; stable, so it can be part of a kernel's key. */
export function formatExpr(expr: Expr): string {
  switch (expr.kind) {
    case "input":
      return `x${expr.index}`;
    case "number":
      return String(expr.value);
    case "unary":
      return `${expr.op}(${formatExpr(expr.a)})`;
    case "binary":
      return `${expr.op}(${formatExpr(expr.a)}, ${formatExpr(expr.b)})`;
    case "select":
      return `select(${formatExpr(expr.condition)}, ${formatExpr(expr.a)}, ${formatExpr(expr.b)})`;
  }
}
