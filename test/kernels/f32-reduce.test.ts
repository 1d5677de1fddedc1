import fc from "fast-check";
import { describe, test } from "vitest";
import { type Expr, e, evaluateExpr } from "../../src/ir/expr.ts";
import { f32Reduce, type ReduceProblem } from "../../src/kernels/wasm/f32-reduce.ts";
import { blank, canary, checkKernel, fuzz } from "./harness.ts";
import { booleans, forEachPosition, nestOf, walks } from "./nests.ts";
import { at, noise, unit } from "./problems.ts";

const [a, b] = [e.input(0), e.input(1)];
const befores: readonly { readonly inputs: number; readonly before: Expr }[] = [
  { inputs: 1, before: a },
  { inputs: 1, before: e.mul(a, a) },
  { inputs: 1, before: e.abs(a) },
  { inputs: 1, before: e.exp(a) },
  { inputs: 2, before: e.mul(a, b) },
];
const afters: readonly Expr[] = [a, e.mul(a, 0.125), e.add(e.max(a, 0.1), 1), e.sqrt(e.abs(a))];
const kinds = fc.constantFrom<ReduceProblem["kind"]>("sum", "sum", "max", "min", "prod");

const sizeLists = fc.tuple(
  fc.oneof(fc.constantFrom([], [67], [130], [3, 64]), fc.array(fc.constantFrom(3, 5, 1, 4, 7), { maxLength: 3 })),
  fc.oneof(fc.constantFrom([], [16], [35], [67], [2, 18]), fc.array(fc.constantFrom(3, 5, 1, 4, 7), { maxLength: 3 })),
);

const cases = fc.tuple(sizeLists, fc.constantFrom(...befores)).chain(([[kept, reduced], { inputs, before }]) => {
  const sizes = [...kept, ...reduced];
  const still = fc.oneof({ weight: 2, arbitrary: fc.constant(sizes.map(() => false)) }, { weight: 1, arbitrary: booleans(sizes.length) });
  return fc.record({
    kept: fc.constant(kept),
    reduced: fc.constant(reduced),
    before: fc.constant(before),
    after: fc.constantFrom(...afters),
    kind: kinds,
    inputs: fc.array(walks(sizes, { still }), { minLength: inputs, maxLength: inputs }),
    output: walks(sizes, { still: fc.constant(sizes.map((_, i) => i >= kept.length)) }),
  });
});

const combine = { sum: (x: number, y: number) => x + y, max: Math.max, min: Math.min, prod: (x: number, y: number) => x * y } as const;
const start = { sum: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY, prod: 1 } as const;

type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** For each output index: the reduced value, the sum of the absolute values, and their number. */
function reduceAll(c: Case, data: readonly ArrayLike<number>[]): Map<number, { value: number; magnitude: number; count: number }> {
  const sums = new Map<number, { value: number; magnitude: number; count: number }>();
  forEachPosition([...c.kept, ...c.reduced], [...c.inputs, c.output], (indices) => {
    const x = evaluateExpr(
      c.before,
      c.inputs.map((_, i) => at(data[i] as ArrayLike<number>, at(indices, i))),
    );
    const y = at(indices, c.inputs.length);
    const { value, magnitude, count } = sums.get(y) ?? { value: start[c.kind], magnitude: 0, count: 0 };
    sums.set(y, { value: combine[c.kind](value, x), magnitude: magnitude + Math.abs(x), count: count + 1 });
  });
  return sums;
}

function problemOf(c: Case, integer: boolean): ReduceProblem {
  const dims = nestOf([...c.kept, ...c.reduced], [...c.inputs, c.output]);
  return {
    kept: dims.slice(0, c.kept.length),
    reduced: dims.slice(c.kept.length),
    kind: c.kind,
    inputs: c.inputs.length,
    before: c.before,
    after: c.after,
    ...(integer ? { integer } : {}),
  };
}

const inputsOf = (c: Case, data: readonly (Float32Array | Int32Array)[]) =>
  Object.fromEntries(c.inputs.map((walk, i) => [`x${i}`, { data: data[i] as Float32Array, at: walk.at }]));

describe("f32-reduce", () => {
  test("every choice computes after(reduce of before(x…)), for broadcasts, gaps and any order of dimensions", () => {
    fuzz(cases, 150, (c, seed) => {
      const data = c.inputs.map((walk, i) => noise(seed, `x${i}`, walk.size));
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (const [index, { value, magnitude, count }] of reduceAll(c, data)) {
        // Each element of the sum carries an error of its own from `before`.
        const error = c.kind === "sum" ? (count + 8) * unit * magnitude : c.kind === "prod" ? (9 * count + 2) * unit * Math.abs(value) + 2 ** -126 : 8 * unit * Math.abs(value);
        const result = evaluateExpr(c.after, [value]);
        const root = Math.sqrt(error);
        const tolerance = c.after === afters[3] ? Math.min(root, error / Math.max(1e-30, Math.sqrt(Math.abs(value)))) : error;
        expected.set(index, { value: result, tolerance: tolerance + 4 * unit * Math.abs(result) + 1e-37 });
      }
      checkKernel({ template: f32Reduce, problem: problemOf(c, false), operands: { ...inputsOf(c, data), y: { data: blank(c.output.size), at: c.output.at } }, expected });
    });
  });

  test("reduces integers, which wrap around", () => {
    const integers = cases.map((c): Case => ({ ...c, before: c.inputs.length === 2 ? e.mul(a, b) : e.abs(a), after: e.neg(a) }));
    fuzz(integers, 50, (c, seed) => {
      const data = c.inputs.map((walk, i) => Int32Array.from(noise(seed, `x${i}`, walk.size), (v) => Math.round(v * (c.kind === "prod" ? 1.2 : 30000))));
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (const [index, { value }] of reduceAll(c, data)) expected.set(index, { value: -value | 0, tolerance: 0 });
      const operands = { ...inputsOf(c, data), y: { data: new Int32Array(c.output.size).fill(canary), at: c.output.at } };
      checkKernel({ template: f32Reduce, problem: problemOf(c, true), operands, expected });
    });
  });
});
