import fc from "fast-check";
import { describe, test } from "vitest";
import { type Expr, e, evaluateExpr } from "../../src/ir/expr.ts";
import { type ElementType, f32Map, type MapProblem } from "../../src/kernels/wasm/f32-map.ts";
import { blank, canary, checkKernel, fuzz } from "./harness.ts";
import { booleans, forEachPosition, nestOf, nestSizes, type Walk, walks } from "./nests.ts";
import { at, noise, unit } from "./problems.ts";

const [a, b, c] = [e.input(0), e.input(1), e.input(2)];
const floatExprs: readonly { readonly inputs: number; readonly expr: Expr }[] = [
  { inputs: 1, expr: a },
  { inputs: 1, expr: e.max(e.mul(a, 0.5), a) },
  { inputs: 1, expr: e.sub(e.mul(e.sigmoid(a), a), e.abs(a)) },
  { inputs: 2, expr: e.add(a, b) },
  { inputs: 2, expr: e.select(e.lt(a, b), e.min(a, 0), e.mul(b, b)) },
  { inputs: 2, expr: e.sub(e.ge(a, b), e.eq(a, a)) },
  { inputs: 3, expr: e.add(e.mul(a, b), c) },
  { inputs: 0, expr: e.number(2.5) },
];
const integerExprs: readonly { readonly inputs: number; readonly expr: Expr }[] = [
  { inputs: 1, expr: e.neg(a) },
  { inputs: 2, expr: e.add(a, b) },
  { inputs: 2, expr: e.mul(a, b) },
  { inputs: 2, expr: e.trunc(e.div(a, b)) },
  { inputs: 2, expr: e.select(e.gt(a, b), e.sub(a, b), e.max(e.abs(a), b)) },
  { inputs: 3, expr: e.add(e.mul(e.sign(a), b), c) },
];

const casesOf = (exprs: typeof floatExprs) =>
  fc.tuple(nestSizes(4), fc.constantFrom(...exprs)).chain(([sizes, { inputs, expr }]) =>
    fc.record({
      sizes: fc.constant(sizes),
      expr: fc.constant(expr),
      inputs: fc.array(walks(sizes, { still: fc.oneof(fc.constant(sizes.map(() => false)), booleans(sizes.length)) }), { minLength: inputs, maxLength: inputs }),
      types: fc.array(fc.constantFrom<ElementType>("f32", "i32"), { minLength: inputs, maxLength: inputs }),
      output: walks(sizes),
    }),
  );

const whole = (seed: number, name: string, size: number, most: number): Int32Array => Int32Array.from(noise(seed, name, size), (v) => Math.round(v * most));

/** y[i…] = expr(x0[i…], x1[i…], …), `store` being what becomes of the exact value. */
function check(
  problem: Omit<MapProblem, "dims">,
  sizes: readonly number[],
  inputs: readonly Walk[],
  output: Walk,
  data: readonly (Float32Array | Int32Array)[],
  expect: (value: number, inputs: readonly number[]) => { value: number; tolerance: number },
): void {
  const expected = new Map<number, { value: number; tolerance: number }>();
  forEachPosition(sizes, [...inputs, output], (indices) => {
    const values = inputs.map((_, i) => at(data[i] as Float32Array, at(indices, i)));
    expected.set(at(indices, inputs.length), expect(evaluateExpr(problem.expr, values), values));
  });
  const operands = {
    ...Object.fromEntries(inputs.map((walk, i) => [`x${i}`, { data: data[i] as Float32Array, at: walk.at }])),
    y: { data: problem.output === "f32" ? blank(output.size) : new Int32Array(output.size).fill(canary), at: output.at },
  };
  checkKernel({ template: f32Map, problem: { ...problem, dims: nestOf(sizes, [...inputs, output]) }, operands, expected });
}

describe("f32-map", () => {
  test("computes expressions of floats, and of integers among them, for broadcasts, gaps and any order of dimensions", () => {
    fuzz(casesOf(floatExprs), 120, ({ sizes, expr, inputs, types, output }, seed) => {
      const data = inputs.map((walk, i) => (types[i] === "i32" ? whole(seed, `x${i}`, walk.size, 9) : noise(seed, `x${i}`, walk.size)));
      check({ expr, inputs: types, output: "f32", domain: "f32" }, sizes, inputs, output, data, (value, values) => {
        const scale = values.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
        return { value, tolerance: 16 * unit * scale ** 2 };
      });
    });
  });

  test("turns floats into integers as a cast does: towards zero, saturating, NaN to 0", () => {
    fuzz(casesOf([{ inputs: 1, expr: a }]), 40, ({ sizes, expr, inputs, output }, seed) => {
      const data = inputs.map((walk, i) => noise(seed, `x${i}`, walk.size).map((v, k) => [v * 300, Number.NaN, 1e20, -1e20, v * 1e9][k % 5] as number));
      for (const [type, low, high] of [
        ["i32", -(2 ** 31), 2 ** 31 - 1],
        ["u8", 0, 255],
        ["i8", -128, 127],
      ] as const)
        check({ expr, inputs: ["f32"], output: type, domain: "f32" }, sizes, inputs, output, data, (value) => {
          const inside = Math.trunc(Math.max(low, Math.min(high, value)));
          return { value: Number.isNaN(value) ? 0 : inside + 0, tolerance: 0 };
        });
    });
  });

  test("computes expressions of integers with wrap-around; a division by zero gives 0", () => {
    fuzz(casesOf(integerExprs), 60, ({ sizes, expr, inputs, output }, seed) => {
      const data = inputs.map((walk, i) => whole(seed, `x${i}`, walk.size, i === 0 ? 5000 : 3));
      check({ expr, inputs: inputs.map(() => "i32"), output: "i32", domain: "i32" }, sizes, inputs, output, data, (value) => ({
        value: Number.isFinite(value) ? value | 0 : 0,
        tolerance: 0,
      }));
    });
  });

  test("integers wrap where floats would round", () => {
    const walk: Walk = { strides: [1], size: 3, at: 0 };
    const data = [Int32Array.of(2 ** 31 - 1, -(2 ** 31), 2 ** 30 + 1), Int32Array.of(1, -1, 3)];
    const cases: readonly [Expr, readonly number[]][] = [
      [e.add(a, b), [-(2 ** 31), 2 ** 31 - 1, 2 ** 30 + 4]],
      [e.mul(a, b), [2 ** 31 - 1, -(2 ** 31), -(2 ** 30) + 3]],
      [e.trunc(e.div(a, b)), [2 ** 31 - 1, -(2 ** 31), 357913941]],
    ];
    for (const [expr, wanted] of cases) {
      let i = 0;
      check({ expr, inputs: ["i32", "i32"], output: "i32", domain: "i32" }, [3], [walk, walk], walk, data, () => ({ value: wanted[i++] as number, tolerance: 0 }));
    }
  });
});
