import { type BinaryOp, type Expr, formatExpr, type UnaryOp } from "../../../ir/expr.ts";
import type { DType } from "../../../ir/types.ts";
import { attr, dataTypes, type Writer } from "./writer.ts";

/** Standard ops of scalar functions; comparisons give bool. */
const unaryOps: Readonly<Record<Exclude<UnaryOp, "trunc" | "log1p">, string>> = {
  neg: "Neg",
  abs: "Abs",
  sqrt: "Sqrt",
  exp: "Exp",
  log: "Log",
  tanh: "Tanh",
  sigmoid: "Sigmoid",
  erf: "Erf",
  floor: "Floor",
  ceil: "Ceil",
  round: "Round",
  sign: "Sign",
};
const arithmeticOps: Readonly<Partial<Record<BinaryOp, string>>> = { add: "Add", sub: "Sub", mul: "Mul", div: "Div", min: "Min", max: "Max", pow: "Pow" };
const testOps: Readonly<Partial<Record<BinaryOp, string>>> = { lt: "Less", le: "LessOrEqual", gt: "Greater", ge: "GreaterOrEqual", eq: "Equal" };

/**
 * Writes an elementwise function as standard ops and gives the name of its result, which has type `dtype`. `inputs` are names with their types.
 * It is computed in float32. Equal subexpressions are computed once.
 */
export function writeExpr(w: Writer, expr: Expr, inputs: readonly (readonly [name: string, dtype: DType])[], dtype: DType, hint: string): string {
  const numbers = new Map<string, string>();
  const tests = new Map<string, string>();
  const step = (op: string, names: readonly string[], attrs = {}) => w.step(op, names, hint, attrs);
  const cast = (name: string, to: DType) => step("Cast", [name], { to: attr.int(dataTypes[to]) });

  const number = (e: Expr): string =>
    memo(numbers, e, () => {
      switch (e.kind) {
        case "number":
          return w.scalar(e.value);
        case "input": {
          const [name, type] = inputs[e.index] as readonly [string, DType];
          return type === "float32" ? name : cast(name, "float32");
        }
        case "unary":
          if (e.op === "log1p") return step("Log", [step("Add", [number(e.a), w.scalar(1)])]);
          return e.op === "trunc" ? step("Mul", [step("Sign", [number(e.a)]), step("Floor", [step("Abs", [number(e.a)])])]) : step(unaryOps[e.op], [number(e.a)]);
        case "binary": {
          if (e.op === "max" && e.b.kind === "number" && e.b.value === 0) return step("Relu", [number(e.a)]);
          const op = arithmeticOps[e.op];
          return op === undefined ? cast(test(e), "float32") : step(op, [number(e.a), number(e.b)]);
        }
        case "select":
          return step("Where", [test(e.condition), number(e.a), number(e.b)]);
      }
    });
  /** Whether the expression is not 0. */
  const test = (e: Expr): string =>
    memo(tests, e, () => {
      if (e.kind === "binary" && e.op === "ne") return step("Not", [step("Equal", [number(e.a), number(e.b)])]);
      const op = e.kind === "binary" ? testOps[e.op] : undefined;
      if (e.kind === "binary" && op !== undefined) return step(op, [number(e.a), number(e.b)]);
      if (e.kind === "input" && inputs[e.index]?.[1] === "bool") return inputs[e.index]?.[0] as string;
      return step("Not", [step("Equal", [number(e), w.scalar(0)])]);
    });
  if (dtype === "bool") return test(expr);
  return dtype === "float32" ? number(expr) : cast(number(expr), dtype);
}

function memo(table: Map<string, string>, expr: Expr, make: () => string): string {
  const key = formatExpr(expr);
  const name = table.get(key) ?? make();
  table.set(key, name);
  return name;
}
