import type { Expr } from "../ir/expr.ts";
import type { Value } from "../ir/graph.ts";
import type { DType } from "../ir/types.ts";
import { type NestDim, sortDims } from "../kernels/nest.ts";
import { type ElementType, f32Map, type MapProblem } from "../kernels/wasm/f32-map.ts";
import { f32Reduce, type ReduceProblem } from "../kernels/wasm/f32-reduce.ts";
import type { LoweringContext, Placed } from "./context.ts";
import type { Place } from "./kernel-graph.ts";

/** A place walked with one stride for each dimension of a shape that is given beside it (0: broadcast). */
export interface Strided {
  readonly place: Place;
  readonly strides: readonly number[];
  /** Of an output also how it is narrowed; f32 if absent. */
  readonly type?: MapProblem["output"];
}

export const elementTypeOf = (dtype: DType): ElementType => (dtype === "float32" ? "f32" : "i32");

/** A placed tensor along a shape that it broadcasts to. */
export function broadcast(placed: Placed, shape: readonly number[], to: readonly number[]): Strided {
  const shift = to.length - shape.length;
  return { place: placed, strides: to.map((_, i) => (i < shift || shape[i - shift] === 1 ? 0 : (placed.layout.strides[i - shift] as number))) };
}

/** A vector along one dimension of a shape. */
export function alongAxis(placed: Place, shape: readonly number[], axis: number): Strided {
  return { place: placed, strides: shape.map((_, i) => (i === axis ? 1 : 0)) };
}

/** y[i…] = expr(inputs[i…]) over a shape. */
export function mapStrided(ctx: LoweringContext, shape: readonly number[], expr: Expr, inputs: readonly Strided[], output: Strided, domain: ElementType = "f32"): void {
  ctx.call(f32Map, mapProblem(shape, expr, inputs, output, domain), [...inputs.map((s) => s.place), output.place]);
}

type Walked = Omit<Strided, "place">;

export function mapProblem(shape: readonly number[], expr: Expr, inputs: readonly Walked[], output: Walked, domain: ElementType = "f32"): MapProblem {
  const dims = shape.map((size, i): NestDim => ({ size, strides: [...inputs, output].map((s) => s.strides[i] as number) }));
  return { dims: sortDims(dims), expr, inputs: inputs.map((s) => (s.type ?? "f32") as ElementType), output: output.type ?? "f32", domain };
}

/** y = after(reduce over axes of before(inputs)); the output's strides along the axes are 0. */
export function reduceStrided(
  ctx: LoweringContext,
  shape: readonly number[],
  axes: readonly number[],
  how: Pick<ReduceProblem, "kind" | "before" | "after" | "integer">,
  inputs: readonly Strided[],
  output: Strided,
  macs = 0,
): void {
  const dim = (i: number): NestDim => ({ size: shape[i] as number, strides: [...inputs.map((s) => s.strides[i] as number), axes.includes(i) ? 0 : (output.strides[i] as number)] });
  const kept = sortDims(
    shape
      .map((_, i) => i)
      .filter((i) => !axes.includes(i))
      .map(dim),
  );
  const reduced = axes.map(dim).sort((a, b) => Math.abs(b.strides[0] as number) - Math.abs(a.strides[0] as number));
  ctx.call(f32Reduce, { kept, reduced, inputs: inputs.length, ...how }, [...inputs.map((s) => s.place), output.place], { macs });
}

/** Row-major scratch space of a shape. */
export function scratch(ctx: LoweringContext, name: string, shape: readonly number[]): Strided {
  const strides = new Array<number>(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= shape[i] as number;
  }
  return { place: { buffer: ctx.buffer(name, n), offset: 0 }, strides: strides.map((s, i) => (shape[i] === 1 ? 0 : s)) };
}

/** The value where it is, along its own shape. */
export function here(ctx: LoweringContext, value: Value): Strided {
  const placed = ctx.readAny(value);
  return { place: placed, strides: placed.layout.strides, type: elementTypeOf(value.type.dtype) };
}

export function there(ctx: LoweringContext, value: Value): Strided {
  const placed = ctx.write(value);
  return { place: placed, strides: placed.layout.strides, type: elementTypeOf(value.type.dtype) };
}
