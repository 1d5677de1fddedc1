import { type Expr, e } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { broadcastShapes, type DType } from "../ir/types.ts";
import { isIntegerExpr } from "../kernels/integer-math.ts";
import { type NestDim, sortDims } from "../kernels/nest.ts";
import { f32Arg } from "../kernels/wasm/f32-arg.ts";
import type { MapProblem } from "../kernels/wasm/f32-map.ts";
import type { ReduceProblem } from "../kernels/wasm/f32-reduce.ts";
import { elementwiseExpr } from "../ops/elementwise.ts";
import type { LoweringContext } from "./context.ts";
import { broadcast, elementTypeOf, here, mapStrided, reduceStrided } from "./strided.ts";

/** Integers are computed as such where the expression lets them, else by way of floats. */
export function lowerElementwise(ctx: LoweringContext, node: Node): void {
  const y = node.outputs[0] as Value;
  const inputs = node.inputs.filter((v): v is Value => v !== undefined);
  const plain = node.op === "Cast" ? e.input(0) : (elementwiseExpr(node.op, node.attrs) as Expr);
  const expr = y.type.dtype === "bool" && !isTest(plain) && inputs.some((v) => v.type.dtype !== "bool") ? e.ne(plain, 0) : plain;
  const integer = [...inputs, y].every((v) => v.type.dtype !== "float32") && isIntegerExpr(expr);
  const shape = broadcastShapes(y.type.shape, ...inputs.map((v) => v.type.shape));
  const sources = inputs.map((v) => ({ ...broadcast(ctx.readAny(v), v.type.shape, shape), type: elementTypeOf(v.type.dtype) }));
  const target = { ...broadcast(ctx.write(y), y.type.shape, shape), type: outputTypes[y.type.dtype] };
  mapStrided(ctx, shape, expr, sources, target, integer ? "i32" : "f32");
}

const outputTypes: Readonly<Record<DType, MapProblem["output"]>> = { float32: "f32", int32: "i32", int64: "i32", bool: "i32", uint8: "u8", int8: "i8" };

const isTest = (expr: Expr): boolean => expr.kind === "binary" && ["lt", "le", "gt", "ge", "eq", "ne"].includes(expr.op);

const x0 = e.input(0);
const reductions: Readonly<Record<string, { readonly kind: ReduceProblem["kind"]; readonly before?: Expr; readonly after?: (count: number) => Expr }>> = {
  ReduceSum: { kind: "sum" },
  ReduceMean: { kind: "sum", after: (n) => e.div(x0, n) },
  ReduceMax: { kind: "max" },
  ReduceMin: { kind: "min" },
  ReduceProd: { kind: "prod" },
  ReduceL1: { kind: "sum", before: e.abs(x0) },
  ReduceL2: { kind: "sum", before: e.mul(x0, x0), after: () => e.sqrt(x0) },
  ReduceSumSquare: { kind: "sum", before: e.mul(x0, x0) },
  ReduceLogSum: { kind: "sum", after: () => e.log(x0) },
  GlobalAveragePool: { kind: "sum", after: (n) => e.div(x0, n) },
  GlobalMaxPool: { kind: "max" },
};

export const reductionNames: readonly string[] = Object.keys(reductions);

export function lowerReduction(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const y = node.outputs[0] as Value;
  const { kind, before = x0, after } = reductions[node.op] as (typeof reductions)[string];
  const { shape } = x.type;
  const global = node.op.startsWith("Global");
  const axes = global ? shape.map((_, i) => i).slice(2) : (node.attrs.axes as readonly number[]);
  const count = axes.reduce((n, a) => n * (shape[a] as number), 1);
  const finish = saturated(after?.(count) ?? x0, y.type.dtype);
  const place = ctx.write(y);
  const strides = reducedStrides(place.layout.strides, shape.length, axes, global || node.attrs.keepdims === true);
  reduceStrided(ctx, shape, axes, { kind, before, after: finish, integer: x.type.dtype !== "float32" }, [here(ctx, x)], { place, strides });
}

/** Sums of bytes may leave their range. */
function saturated(expr: Expr, dtype: DType): Expr {
  if (dtype === "uint8") return e.min(e.max(expr, 0), 255);
  return dtype === "int8" ? e.min(e.max(expr, -128), 127) : expr;
}

/** Position of the largest or smallest element along an axis. */
export function lowerArg(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const { axis, keepdims, selectLast } = node.attrs as { axis: number; keepdims: boolean; selectLast: boolean };
  const { shape, dtype } = x.type;
  const source = here(ctx, x);
  const place = ctx.write(node.outputs[0] as Value);
  const strides = reducedStrides(place.layout.strides, shape.length, [axis], keepdims);
  const dim = (i: number): NestDim => ({ size: shape[i] as number, strides: [source.strides[i] as number, i === axis ? 1 : 0, strides[i] as number] });
  const kept = sortDims(shape.flatMap((_, i) => (i === axis ? [] : [dim(i)])));
  const problem = { kept, reduced: [dim(axis)], kind: node.op === "ArgMax" ? "max" : "min", last: selectLast, integer: dtype !== "float32", origin: 0 } as const;
  ctx.call(f32Arg, problem, [source.place, place]);
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
