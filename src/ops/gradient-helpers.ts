import { type Expr, e, formatExpr } from "../ir/expr.ts";
import { isConstant, type Value } from "../ir/graph.ts";
import { elementCount, sameShape } from "../ir/types.ts";
import type { GraphBuilder } from "./builder.ts";

/** Folds numbers and drops neutral elements: x · 1, x + 0, 0 · x, −(−x), c · (select 1 : 0). Takes finite inputs for granted. */
export function simplifyExpr(expr: Expr): Expr {
  switch (expr.kind) {
    case "input":
    case "number":
      return expr;
    case "unary": {
      const a = simplifyExpr(expr.a);
      if (expr.op === "neg" && a.kind === "number") return e.number(-a.value);
      if (expr.op === "neg" && a.kind === "unary" && a.op === "neg") return a.a;
      return { ...expr, a };
    }
    case "select": {
      const condition = simplifyExpr(expr.condition);
      const a = simplifyExpr(expr.a);
      const b = simplifyExpr(expr.b);
      if (condition.kind === "number") return condition.value !== 0 ? a : b;
      return formatExpr(a) === formatExpr(b) ? a : { kind: "select", condition, a, b };
    }
    case "binary":
      return simplifyBinary({ ...expr, a: simplifyExpr(expr.a), b: simplifyExpr(expr.b) });
  }
}

function simplifyBinary(expr: Extract<Expr, { kind: "binary" }>): Expr {
  const { op, a, b } = expr;
  const isNumber = (x: Expr, value: number) => x.kind === "number" && x.value === value;
  switch (op) {
    case "add":
      return isNumber(a, 0) ? b : isNumber(b, 0) ? a : expr;
    case "sub":
      return isNumber(b, 0) ? a : expr;
    case "div":
      return isNumber(b, 1) ? a : isNumber(a, 0) ? a : expr;
    case "mul": {
      if (isNumber(a, 0) || isNumber(b, 0)) return e.number(0);
      if (isNumber(a, 1)) return b;
      if (isNumber(b, 1)) return a;
      if (a.kind === "number" && b.kind === "number") return e.number(a.value * b.value);
      if (isNumber(a, -1)) return simplifyExpr(e.neg(b));
      if (isNumber(b, -1)) return simplifyExpr(e.neg(a));
      if (b.kind === "select" && isNumberChoice(b)) return simplifyExpr(e.select(b.condition, e.mul(a, b.a), e.mul(a, b.b)));
      if (a.kind === "select" && isNumberChoice(a)) return simplifyExpr(e.select(a.condition, e.mul(a.a, b), e.mul(a.b, b)));
      return expr;
    }
    default:
      return expr;
  }
}

const isNumberChoice = (x: Extract<Expr, { kind: "select" }>) => x.a.kind === "number" && x.b.kind === "number";

/**
 * One Map node for `expr` of `inputs` (broadcast), with equal inputs merged, scalar constants written into the expression and
 * unused inputs left out. No node at all where `expr` is one of the inputs; `undefined` where it is 0.
 * The result has the broadcast shape of the inputs that are left.
 */
export function addMap(builder: GraphBuilder, expr: Expr, inputs: readonly Value[], name?: string): Value | undefined {
  const used: Value[] = [];
  const leaf = (index: number): Expr => {
    const value = inputs[index] as Value;
    if (isConstant(value) && value.type.dtype === "float32" && elementCount(value.type.shape) === 1) return e.number(value.data[0] as number);
    if (!used.includes(value)) used.push(value);
    return { kind: "input", index: used.indexOf(value) };
  };
  // First leave out what simplification makes vanish, then number the inputs in order of first use.
  const simple = simplifyExpr(
    rewriteLeaves(expr, (i) => {
      const value = inputs[i] as Value;
      return isConstant(value) && value.type.dtype === "float32" && elementCount(value.type.shape) === 1 ? leaf(i) : e.input(i);
    }),
  );
  if (simple.kind === "number" && simple.value === 0) return undefined;
  if (simple.kind === "input") return inputs[simple.index] as Value;
  const numbered = rewriteLeaves(simple, leaf);
  return builder.add("Map", used, { expr: numbered }, name === undefined ? undefined : builder.uniqueName(name));
}

function rewriteLeaves(expr: Expr, leaf: (index: number) => Expr): Expr {
  switch (expr.kind) {
    case "number":
      return expr;
    case "input":
      return leaf(expr.index);
    case "unary":
      return { ...expr, a: rewriteLeaves(expr.a, leaf) };
    case "binary":
      return { ...expr, a: rewriteLeaves(expr.a, leaf), b: rewriteLeaves(expr.b, leaf) };
    case "select":
      return { ...expr, condition: rewriteLeaves(expr.condition, leaf), a: rewriteLeaves(expr.a, leaf), b: rewriteLeaves(expr.b, leaf) };
  }
}

export function reshape(builder: GraphBuilder, value: Value, shape: readonly number[]): Value {
  return sameShape(value.type.shape, shape) ? value : builder.add("Reshape", [value], { shape });
}

/** The adjoint of broadcasting from `shape`: sums over every dimension that broadcasting added or stretched. */
export function sumTo(builder: GraphBuilder, value: Value, shape: readonly number[]): Value {
  const from = value.type.shape;
  const extra = from.length - shape.length;
  const axes = from.flatMap((d, i) => (i < extra || (shape[i - extra] === 1 && d !== 1) ? [i] : []));
  if (axes.length === 0) return value;
  const keepdims = axes.some((a) => a >= extra);
  return reshape(builder, builder.add("ReduceSum", [value], { axes, keepdims }), shape);
}

/** [C] as [1, C, 1, …], to broadcast over a value of `rank` dimensions. */
export function perChannel(builder: GraphBuilder, value: Value, rank: number): Value {
  return reshape(builder, value, [1, elementCount(value.type.shape), ...new Array<number>(Math.max(0, rank - 2)).fill(1)]);
}

/** All dimensions but that of channels. */
export function allButChannel(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 1);
}
