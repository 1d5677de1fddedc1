import { type Expr, e } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { broadcastShapes } from "../ir/types.ts";
import type { ReduceProblem } from "../kernels/wasm/f32-reduce.ts";
import { elementwiseExpr } from "../ops/elementwise.ts";
import type { LoweringContext } from "./context.ts";
import { broadcast, elementTypeOf, here, mapStrided, reduceStrided } from "./strided.ts";

export function lowerElementwise(ctx: LoweringContext, node: Node): void {
  const y = node.outputs[0] as Value;
  const inputs = node.inputs.filter((v): v is Value => v !== undefined);
  const expr = node.op === "Cast" ? castExpr(inputs[0] as Value, y) : (elementwiseExpr(node.op, node.attrs) as Expr);
  const types = inputs.map((v) => elementTypeOf(v.type.dtype));
  const integer = types.every((t) => t === "i32") && elementTypeOf(y.type.dtype) === "i32";
  const wrapped = y.type.dtype === "uint8" && integer ? wrapByte(expr, node.op) : expr;
  const shape = broadcastShapes(y.type.shape, ...inputs.map((v) => v.type.shape));
  const sources = inputs.map((v, i) => ({ ...broadcast(ctx.readAny(v), v.type.shape, shape), type: types[i] as "f32" | "i32" }));
  const output = { ...broadcast(ctx.write(y), y.type.shape, shape), type: elementTypeOf(y.type.dtype) };
  mapStrided(ctx, shape, wrapped, sources, output, integer ? "i32" : "f32");
}

function castExpr(x: Value, y: Value): Expr {
  if (y.type.dtype === "bool") return e.ne(e.input(0), 0);
  if (x.type.dtype === "float32" && y.type.dtype !== "float32") return e.trunc(e.input(0));
  return e.input(0);
}

/** Unsigned bytes wrap around 256; comparisons and choices cannot leave the range. */
function wrapByte(expr: Expr, op: string): Expr {
  if (!["Add", "Sub", "Mul", "Cast", "Neg"].includes(op)) return expr;
  const q = e.div(e.sub(expr, e.select(e.lt(expr, 0), 255, 0)), 256);
  return e.sub(expr, e.mul(q, 256));
}

const x0 = e.input(0);
const reductions: Readonly<Record<string, { readonly kind: ReduceProblem["kind"]; readonly before: Expr; readonly after: (count: number) => Expr }>> = {
  ReduceSum: { kind: "sum", before: x0, after: () => x0 },
  ReduceMean: { kind: "sum", before: x0, after: (n) => e.mul(x0, 1 / n) },
  ReduceMax: { kind: "max", before: x0, after: () => x0 },
  ReduceMin: { kind: "min", before: x0, after: () => x0 },
  ReduceProd: { kind: "prod", before: x0, after: () => x0 },
  ReduceL1: { kind: "sum", before: e.abs(x0), after: () => x0 },
  ReduceL2: { kind: "sum", before: e.mul(x0, x0), after: () => e.sqrt(x0) },
  ReduceSumSquare: { kind: "sum", before: e.mul(x0, x0), after: () => x0 },
  ReduceLogSum: { kind: "sum", before: x0, after: () => e.log(x0) },
  GlobalAveragePool: { kind: "sum", before: x0, after: (n) => e.mul(x0, 1 / n) },
  GlobalMaxPool: { kind: "max", before: x0, after: () => x0 },
};

export const reductionNames: readonly string[] = Object.keys(reductions);

export function lowerReduction(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const y = node.outputs[0] as Value;
  const { kind, before, after } = reductions[node.op] as (typeof reductions)[string];
  const { shape } = x.type;
  const global = node.op.startsWith("Global");
  const axes = global ? shape.map((_, i) => i).slice(2) : (node.attrs.axes as readonly number[]);
  const count = axes.reduce((n, a) => n * (shape[a] as number), 1);
  const source = here(ctx, x);
  const output = reducedStrides(ctx.write(y).layout.strides, shape.length, axes, global || node.attrs.keepdims === true);
  reduceStrided(ctx, shape, axes, { kind, before, after: after(count) }, [source], { place: ctx.readAny(y), strides: output });
}

/** An output's strides along the dimensions of what was reduced. */
export function reducedStrides(strides: readonly number[], rank: number, axes: readonly number[], keepdims: boolean): number[] {
  let next = 0;
  return Array.from({ length: rank }, (_, i) => {
    const reduced = axes.includes(i);
    const stride = reduced && !keepdims ? 0 : (strides[next++] as number);
    return reduced ? 0 : stride;
  });
}
