import type { Attrs } from "../../src/ir/graph.ts";
import { type DType, elementCount, float32Tensor, makeData, sameType, type Tensor } from "../../src/ir/types.ts";
import { opNamed } from "../../src/ops/registry.ts";

/** Infers and evaluates; fails if the results are not of the inferred types. */
export function runOp(op: string, inputs: readonly (Tensor | undefined)[], attrs: Attrs = {}): Tensor[] {
  const def = opNamed(op);
  const types = def.infer(
    inputs.map((t) => t && { dtype: t.dtype, shape: t.shape }),
    attrs,
  );
  const results = def.evaluate(inputs, attrs, types);
  results.forEach((t, i) => {
    const type = types[i];
    if (type === undefined || !sameType(t, type) || t.data.length !== elementCount(type.shape) || t.data.constructor !== makeData(type.dtype, 0).constructor)
      throw new Error(`${op}: output ${i} is not of the inferred type`);
  });
  if (results.length !== types.length) throw new Error(`${op}: ${results.length} outputs, ${types.length} inferred`);
  return results;
}

/** The first output's elements as numbers. */
export function valuesOf(op: string, inputs: readonly (Tensor | undefined)[], attrs: Attrs = {}): number[] {
  return Array.from((runOp(op, inputs, attrs)[0] as Tensor).data as ArrayLike<number | bigint>, Number);
}

export const f = (shape: readonly number[], data: readonly number[]): Tensor<"float32"> => float32Tensor(shape, data);

/** 1, 2, 3, … */
export const count = (...shape: number[]): Tensor<"float32"> =>
  f(
    shape,
    Array.from({ length: elementCount(shape) }, (_, i) => i + 1),
  );

export const ints = (dtype: DType, shape: readonly number[], data: readonly number[]): Tensor => {
  const values = makeData(dtype, data.length);
  data.forEach((v, i) => {
    values[i] = (dtype === "int64" ? BigInt(v) : v) as never;
  });
  return { dtype, shape, data: values };
};

/** Reproducible numbers in −1…1 without a pattern that hides mistakes. */
export const noise = (seed: number, ...shape: number[]): Tensor<"float32"> =>
  f(
    shape,
    Array.from({ length: elementCount(shape) }, (_, i) => {
      const v = Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453;
      return 2 * (v - Math.floor(v)) - 1;
    }),
  );
