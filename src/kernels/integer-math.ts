import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { CadnnError } from "../errors.ts";
import type { BinaryOp, Expr } from "../ir/expr.ts";

const comparisons = { lt: i32.ltS, le: i32.leS, gt: i32.gtS, ge: i32.geS, eq: i32.eq, ne: i32.ne } as const;
const rounding: readonly string[] = ["floor", "ceil", "round", "trunc"];

/**
 * Whether integers suffice to compute the expression on integers. A quotient must be rounded down or towards zero at once, or be the
 * result itself, which an integer output truncates.
 */
export function isIntegerExpr(expr: Expr, rounded: "down" | "zero" | "none" = "zero"): boolean {
  switch (expr.kind) {
    case "input":
      return true;
    case "number":
      return Number.isInteger(expr.value) || Math.abs(expr.value) === Number.POSITIVE_INFINITY;
    case "select":
      return [expr.condition, expr.a, expr.b].every((x) => isIntegerExpr(x, "none"));
    case "binary":
      return (expr.op !== "div" || rounded !== "none") && isIntegerExpr(expr.a, "none") && isIntegerExpr(expr.b, "none");
    case "unary":
      if (rounding.includes(expr.op)) return isIntegerExpr(expr.a, expr.op === "floor" ? "down" : expr.op === "trunc" ? "zero" : "none");
      return ["neg", "abs", "sign"].includes(expr.op) && isIntegerExpr(expr.a, "none");
  }
}

/** One element of an expression that `isIntegerExpr`. Results wrap around; dividing truncates, under `floor` rounds down, and by 0 gives 0. */
export function emitIntegerExpr(fn: FunctionBuilder, expr: Expr, inputs: readonly I32[]): I32 {
  const go = (x: Expr): Local<"i32"> => fn.let(emitIntegerExpr(fn, x, inputs));
  switch (expr.kind) {
    case "number":
      return i32.const(Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, expr.value)));
    case "input":
      return inputs[expr.index] as I32;
    case "select":
      return i32.select(go(expr.a), go(expr.b), go(expr.condition));
    case "binary":
      return emitBinary(fn, expr.op, go(expr.a), go(expr.b));
    case "unary": {
      const quotient = expr.a.kind === "binary" && expr.a.op === "div" ? expr.a : undefined;
      if (expr.op === "floor" && quotient !== undefined) return floorDivide(fn, go(quotient.a), go(quotient.b));
      const a = go(expr.a);
      if (rounding.includes(expr.op)) return a;
      if (expr.op === "neg") return i32.sub(i32.const(0), a);
      if (expr.op === "abs") return i32.select(i32.sub(i32.const(0), a), a, i32.ltS(a, i32.const(0)));
      if (expr.op === "sign") return i32.sub(i32.gtS(a, i32.const(0)), i32.ltS(a, i32.const(0)));
      throw unsupported(expr.op);
    }
  }
}

function emitBinary(fn: FunctionBuilder, op: BinaryOp, a: Local<"i32">, b: Local<"i32">): I32 {
  switch (op) {
    case "add":
    case "sub":
    case "mul":
      return i32[op](a, b);
    case "div":
      return divide(a, b);
    case "min":
      return i32.select(a, b, i32.ltS(a, b));
    case "max":
      return i32.select(a, b, i32.gtS(a, b));
    case "pow":
      return power(fn, a, b);
    default:
      return comparisons[op](a, b);
  }
}

/** a / b towards zero. Dividing by 0 or −1 might trap: a · b is what they give. */
function divide(a: I32, b: I32): I32 {
  const special = i32.leU(i32.add(b, i32.const(1)), i32.const(1));
  return i32.select(i32.mul(a, b), i32.divS(a, i32.select(i32.const(1), b, special)), special);
}

/** One less than the truncated quotient if the remainder is not 0 and differs from b in its sign. */
function floorDivide(fn: FunctionBuilder, a: Local<"i32">, b: Local<"i32">): I32 {
  const quotient = fn.let(divide(a, b));
  const rest = fn.let(i32.sub(a, i32.mul(quotient, b)));
  const apart = i32.and(i32.ne(rest, i32.const(0)), i32.ltS(i32.xor(rest, b), i32.const(0)));
  return i32.sub(quotient, i32.select(apart, i32.const(0), b));
}

/** aᵇ by repeated squaring. Of negative powers only those of 1 and −1 are not 0. */
function power(fn: FunctionBuilder, a: Local<"i32">, b: Local<"i32">): I32 {
  const result = fn.let(i32.const(1));
  const base = fn.let(a);
  const left = fn.let(i32.select(i32.sub(i32.const(0), b), b, i32.ltS(b, i32.const(0))));
  fn.while(left, () => {
    fn.if(i32.and(left, i32.const(1)), () => fn.set(result, i32.mul(result, base)));
    fn.set(base, i32.mul(base, base));
    fn.set(left, i32.shrU(left, i32.const(1)));
  });
  const unit = i32.or(i32.eq(a, i32.const(1)), i32.eq(a, i32.const(-1)));
  return i32.select(i32.const(0), result, i32.and(i32.ltS(b, i32.const(0)), i32.eqz(unit)));
}

const unsupported = (op: string) => new CadnnError("E_INTERNAL", `${op} of integers is no integer`);
