import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differentiateExpr, type Expr, e, evaluateExpr, formatExpr, substitute } from "../../src/ir/expr.ts";
import { broadcastShapes, type DType, elementCount, stridesOf } from "../../src/ir/types.ts";
import { elementwiseExpr } from "../../src/ops/elementwise.ts";
import { elementwise } from "../../src/ops/elementwise-table.ts";
import { count, f, ints, runOp, valuesOf } from "./run-op.ts";

const { PI, SQRT1_2, SQRT2, E, tanh, log, exp, sqrt } = Math;
const erf1 = 0.8427007929497149;

describe("float functions", () => {
  const x = f([5], [-2, -0.5, 0, 1, 3]);
  const cases: readonly (readonly [string, Record<string, number>, readonly number[]])[] = [
    ["Neg", {}, [2, 0.5, -0, -1, -3]],
    ["Abs", {}, [2, 0.5, 0, 1, 3]],
    ["Exp", {}, [exp(-2), exp(-0.5), 1, E, exp(3)]],
    ["Floor", {}, [-2, -1, 0, 1, 3]],
    ["Ceil", {}, [-2, -0, 0, 1, 3]],
    ["Sign", {}, [-1, -1, 0, 1, 1]],
    ["Reciprocal", {}, [-0.5, -2, Number.POSITIVE_INFINITY, 1, 1 / 3]],
    ["Relu", {}, [0, 0, 0, 1, 3]],
    ["LeakyRelu", { alpha: 0.1 }, [-0.2, -0.05, 0, 1, 3]],
    ["LeakyRelu", { alpha: 2 }, [-4, -1, 0, 1, 3]],
    ["Clip", { min: -1, max: 2 }, [-1, -0.5, 0, 1, 2]],
    ["Clip", { min: Number.NEGATIVE_INFINITY, max: 0.5 }, [-2, -0.5, 0, 0.5, 0.5]],
    ["Clip", { min: 5, max: 4 }, [4, 4, 4, 4, 4]],
    ["Sigmoid", {}, [1 / (1 + exp(2)), 1 / (1 + exp(0.5)), 0.5, 1 / (1 + exp(-1)), 1 / (1 + exp(-3))]],
    ["HardSigmoid", { alpha: 0.2, beta: 0.5 }, [0.1, 0.4, 0.5, 0.7, 1]],
    ["HardSwish", {}, [-1 / 3, -5 / 24, 0, 2 / 3, 3]],
    ["Tanh", {}, [tanh(-2), tanh(-0.5), 0, tanh(1), tanh(3)]],
    ["Elu", { alpha: 2 }, [2 * (exp(-2) - 1), 2 * (exp(-0.5) - 1), 0, 1, 3]],
    ["Selu", { alpha: 2, gamma: 3 }, [6 * (exp(-2) - 1), 6 * (exp(-0.5) - 1), 0, 3, 9]],
    ["Softplus", {}, [log(1 + exp(-2)), log(1 + exp(-0.5)), log(2), log(1 + E), log(1 + exp(3))]],
    ["Softsign", {}, [-2 / 3, -1 / 3, 0, 0.5, 0.75]],
    ["Mish", {}, [-2 * tanh(log(1 + exp(-2))), -0.5 * tanh(log(1 + exp(-0.5))), 0, tanh(log(1 + E)), 3 * tanh(log(1 + exp(3)))]],
  ];
  test.each(cases)("%s %j", (op, attrs, expected) => {
    valuesOf(op, [x], attrs).forEach((v, i) => {
      if (Number.isFinite(expected[i])) expect(v).toBeCloseTo(expected[i] as number, 6);
      else expect(v).toBe(expected[i]);
    });
  });
  test("Sqrt, Log, Erf, Round", () => {
    expect(valuesOf("Sqrt", [f([2], [4, 2])])).toEqual([2, Math.fround(sqrt(2))]);
    expect(valuesOf("Log", [f([2], [1, 0])])).toEqual([0, Number.NEGATIVE_INFINITY]);
    expect(valuesOf("Erf", [f([4], [0, 1, -1, 9])])).toEqual([0, Math.fround(erf1), -Math.fround(erf1), 1]);
    expect(valuesOf("Round", [f([7], [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4])])).toEqual([0, 2, 2, -0, -2, -2, 2]);
  });
  test("Gelu", () => {
    expect(valuesOf("Gelu", [f([1], [SQRT2])], { approximate: "none" })[0]).toBeCloseTo(0.5 * SQRT2 * (1 + erf1), 6);
    expect(valuesOf("Gelu", [f([1], [1])], { approximate: "tanh" })[0]).toBeCloseTo(0.5 * (1 + tanh(sqrt(2 / PI) * 1.044715)), 6);
    expect(formatExpr(elementwiseExpr("Gelu", { approximate: "none" }) as Expr)).toContain(String(SQRT1_2));
  });
  test("PRelu takes one slope a channel", () => {
    expect(valuesOf("PRelu", [f([2, 2], [-1, -1, 2, -2]), f([2], [0.5, 10])])).toEqual([-0.5, -10, 2, -20]);
    expect(() => runOp("PRelu", [count(2), count(2, 2)])).toThrow(/slope/);
  });
  test("no overflow in Softplus and Sigmoid", () => {
    expect(valuesOf("Softplus", [f([2], [-1000, 1000])])).toEqual([0, 1000]);
    expect(valuesOf("Sigmoid", [f([2], [-1000, 1000])])).toEqual([0, 1]);
  });
  test("NaN passes through Relu, Clip, Max", () => {
    const nan = f([1], [Number.NaN]);
    expect(valuesOf("Relu", [nan])).toEqual([Number.NaN]);
    expect(valuesOf("Clip", [nan], { min: 0, max: 1 })).toEqual([Number.NaN]);
    expect(valuesOf("Max", [nan, f([1], [1])])).toEqual([Number.NaN]);
  });
});

describe("integers", () => {
  test("Add, Sub, Mul wrap around", () => {
    expect(valuesOf("Add", [ints("int32", [1], [2 ** 31 - 1]), ints("int32", [1], [1])])).toEqual([-(2 ** 31)]);
    expect(valuesOf("Mul", [ints("int32", [1], [65537]), ints("int32", [1], [65537])])).toEqual([131073]);
    expect(valuesOf("Sub", [ints("uint8", [1], [1]), ints("uint8", [1], [2])])).toEqual([255]);
    expect(valuesOf("Add", [ints("int8", [1], [127]), ints("int8", [1], [1])])).toEqual([-128]);
  });
  test("int64 is exact beyond 2^53", () => {
    const big = { dtype: "int64", shape: [1], data: BigInt64Array.of(2n ** 53n + 1n) } as const;
    expect(runOp("Mul", [big, ints("int64", [1], [3])])[0]?.data).toEqual(BigInt64Array.of(3n * (2n ** 53n + 1n)));
    expect(runOp("Where", [ints("bool", [1], [1]), big, ints("int64", [1], [3])])[0]?.data).toEqual(big.data);
  });
  test("Div truncates towards zero", () => {
    expect(valuesOf("Div", [ints("int64", [4], [7, -7, 7, 1]), ints("int64", [4], [2, 2, -2, 0])])).toEqual([3, -3, -3, 0]);
  });
  test("Pow takes the type of its base", () => {
    expect(runOp("Pow", [ints("int32", [3], [2, 3, 4]), f([3], [3, 2, 0.5])])[0]).toMatchObject({ dtype: "int32", data: Int32Array.of(8, 9, 2) });
    expect(runOp("Pow", [f([2], [2, 9]), ints("int64", [2], [-1, 2])])[0]).toMatchObject({ dtype: "float32", data: Float32Array.of(0.5, 81) });
    expect(valuesOf("Pow", [ints("int64", [1], [3]), ints("int64", [1], [5])])).toEqual([243]);
  });
  test("Clip, Abs, Neg, Sign, Min, Max", () => {
    const x = ints("int8", [3], [-5, 0, 7]);
    expect(valuesOf("Clip", [x], { min: -1, max: 3 })).toEqual([-1, 0, 3]);
    expect(valuesOf("Clip", [x], { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY })).toEqual([-5, 0, 7]);
    expect(valuesOf("Abs", [x])).toEqual([5, 0, 7]);
    expect(valuesOf("Neg", [x])).toEqual([5, 0, -7]);
    expect(valuesOf("Sign", [x])).toEqual([-1, 0, 1]);
    expect(valuesOf("Min", [x, ints("int8", [1], [1])])).toEqual([-5, 0, 1]);
    expect(valuesOf("Max", [x, ints("int8", [1], [1])])).toEqual([1, 1, 7]);
  });
  test("mixed types are rejected", () => {
    expect(() => runOp("Add", [count(1), ints("int32", [1], [1])])).toThrow(expect.objectContaining({ code: "E_DTYPE_MISMATCH" }));
    expect(() => runOp("Sqrt", [ints("int32", [1], [1])])).toThrow(expect.objectContaining({ code: "E_UNSUPPORTED_TYPE" }));
  });
});

describe("comparisons and logic", () => {
  test("give bool", () => {
    const [a, b] = [f([4], [1, 2, 3, Number.NaN]), f([4], [2, 2, 2, Number.NaN])];
    expect(runOp("Less", [a, b])[0]).toMatchObject({ dtype: "bool", data: Uint8Array.of(1, 0, 0, 0) });
    expect(valuesOf("LessOrEqual", [a, b])).toEqual([1, 1, 0, 0]);
    expect(valuesOf("Greater", [a, b])).toEqual([0, 0, 1, 0]);
    expect(valuesOf("GreaterOrEqual", [a, b])).toEqual([0, 1, 1, 0]);
    expect(valuesOf("Equal", [a, b])).toEqual([0, 1, 0, 0]);
    expect(valuesOf("Equal", [ints("bool", [2], [1, 0]), ints("bool", [2], [1, 1])])).toEqual([1, 0]);
    expect(valuesOf("Less", [ints("int64", [2], [-1, 3]), ints("int64", [], [1])])).toEqual([1, 0]);
  });
  test("And, Or, Not", () => {
    const [a, b] = [ints("bool", [4], [0, 0, 1, 1]), ints("bool", [4], [0, 1, 0, 1])];
    expect(valuesOf("And", [a, b])).toEqual([0, 0, 0, 1]);
    expect(valuesOf("Or", [a, b])).toEqual([0, 1, 1, 1]);
    expect(valuesOf("Not", [a])).toEqual([1, 1, 0, 0]);
  });
  test("Where broadcasts all three", () => {
    expect(valuesOf("Where", [ints("bool", [2, 1], [1, 0]), f([2], [1, 2]), f([], [9])])).toEqual([1, 2, 9, 9]);
    expect(runOp("Where", [ints("bool", [2], [1, 0]), ints("uint8", [], [7]), ints("uint8", [2], [1, 2])])[0]).toMatchObject({ dtype: "uint8", data: Uint8Array.of(7, 2) });
  });
});

describe("Cast", () => {
  const cases: readonly (readonly [DType, readonly number[], DType, readonly number[]])[] = [
    ["float32", [-1.7, 1.7, 300, Number.NaN], "int32", [-1, 1, 300, 0]],
    ["float32", [-1.7, 1.7, 3e9, Number.NaN], "int64", [-1, 1, 3e9, 0]],
    ["float32", [0, -0.5, Number.NaN, 2], "bool", [0, 1, 1, 1]],
    ["int32", [300, -1, 0, 5], "uint8", [44, 255, 0, 5]],
    ["int64", [2 ** 32 + 5, -1, 0, 5], "int32", [5, -1, 0, 5]],
    ["int64", [2 ** 32, -1, 0, 5], "bool", [1, 1, 0, 1]],
    ["uint8", [255, 128, 0, 5], "int8", [-1, -128, 0, 5]],
    ["bool", [1, 0, 1, 1], "float32", [1, 0, 1, 1]],
    ["int8", [-3, 0, 1, 127], "int64", [-3, 0, 1, 127]],
  ];
  test.each(cases)("%s %j to %s", (from, values, to, expected) => {
    expect(valuesOf("Cast", [from === "float32" ? f([4], values) : ints(from, [4], values)], { to })).toEqual(expected);
  });
});

describe("Map", () => {
  test("fuses broadcast inputs of any types", () => {
    const expr = e.select(e.input(0), e.mul(e.input(1), 2), e.input(2));
    expect(valuesOf("Map", [ints("bool", [2, 1], [1, 0]), f([2], [1, 2]), ints("int32", [], [7])], { expr })).toEqual([2, 4, 7, 7]);
    expect(runOp("Map", [count(3)], { expr: e.gt(e.input(0), 2), dtype: "bool" })[0]).toMatchObject({ dtype: "bool", data: Uint8Array.of(0, 0, 1) });
    expect(() => runOp("Map", [count(3)], { expr: e.input(1) })).toThrow(/reads input 1 of 1/);
  });
});

test("Identity and Dropout pass through", () => {
  expect(valuesOf("Identity", [ints("int64", [2], [1, 2])])).toEqual([1, 2]);
  expect(valuesOf("Dropout", [count(2)], { ratio: 0.5 })).toEqual([1, 2]);
});

describe("broadcasting", () => {
  /** Shapes that broadcast to one, some dimensions being 1 or missing. */
  const shapes = fc
    .array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 })
    .chain((full) =>
      fc
        .array(fc.record({ keep: fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }), drop: fc.nat(full.length) }), { minLength: 2, maxLength: 3 })
        .map((views) => views.map(({ keep, drop }) => full.map((extent, d) => (keep[d] ? extent : 1)).slice(drop))),
    );

  test("each element of the result comes from the elements at its own index", () => {
    fc.assert(
      fc.property(shapes, (inputs) => {
        const shape = broadcastShapes(...inputs);
        // Σ 1000^i · x_i tells from the result which elements met.
        const expr = inputs.map((_, i) => e.mul(e.input(i), 1000 ** i)).reduce((a, b) => e.add(a, b));
        const tensors = inputs.map((s) => count(...s));
        const result = runOp("Map", tensors, { expr })[0];
        expect(result?.shape).toEqual(shape);
        const strides = stridesOf(shape);
        for (let i = 0; i < elementCount(shape); i++) {
          const index = shape.map((extent, d) => Math.floor(i / (strides[d] as number)) % extent);
          const expected = tensors.reduce((sum, t, k) => {
            const own = stridesOf(t.shape);
            const at = t.shape.reduce((offset, extent, d) => offset + (extent === 1 ? 0 : (index[d + shape.length - t.shape.length] as number) * (own[d] as number)), 0);
            return sum + 1000 ** k * (t.data[at] as number);
          }, 0);
          expect(result?.data[i]).toBe(Math.fround(expected));
        }
      }),
    );
  });
  test("what does not broadcast is rejected", () => {
    expect(() => runOp("Add", [count(2, 3), count(2)])).toThrow(/\[2, 3\] and \[2\]/);
  });
});

describe("expressions", () => {
  const smooth: readonly (readonly [string, Record<string, number | string>])[] = [
    ...Object.keys(elementwise)
      .filter((op) => !["And", "Or", "Not", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"].includes(op))
      .map((op) => [op, {}] as const),
    ["Clip", { min: -1, max: 1 }],
    ["Pow", {}],
    ["Gelu", { approximate: "none" }],
    ["Gelu", { approximate: "tanh" }],
  ];
  /** Points away from kinks and poles; logarithms and powers see the positive ones. */
  const points = [0.37, 1.42, 2.81, -0.63, -1.57, -2.24];

  test.each(smooth)("the derivative of %s %j agrees with finite differences", (op, attrs) => {
    const expr = elementwiseExpr(op, attrs) as Expr;
    for (const x of points)
      for (const y of points) {
        if (["Sqrt", "Log", "Pow"].includes(op) && x < 0) continue;
        if (["Min", "Max"].includes(op) && x === y) continue;
        for (const index of [0, 1]) {
          const h = 1e-5;
          const shifted = (d: number) => evaluateExpr(expr, index === 0 ? [x + d, y] : [x, y + d]);
          const numeric = (shifted(h) - shifted(-h)) / (2 * h);
          const exact = evaluateExpr(differentiateExpr(expr, index), [x, y]);
          expect(Math.abs(exact - numeric)).toBeLessThan(1e-6 * (1 + Math.abs(numeric)));
        }
      }
  });
  test("trees of random operations differentiate too", () => {
    const leaf = fc.oneof(fc.constantFrom(e.input(0), e.input(1)), fc.double({ min: -2, max: 2, noNaN: true }).map(e.number));
    const { tree } = fc.letrec<{ tree: Expr }>((tie) => ({
      tree: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        leaf,
        fc.tuple(fc.constantFrom("neg", "tanh", "sigmoid", "erf"), tie("tree")).map(([op, a]): Expr => ({ kind: "unary", op: op as "neg", a })),
        fc.tuple(fc.constantFrom("add", "sub", "mul"), tie("tree"), tie("tree")).map(([op, a, b]): Expr => ({ kind: "binary", op: op as "add", a, b })),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true }), (expr, x, y) => {
        const h = 1e-5;
        const numeric = (evaluateExpr(expr, [x + h, y]) - evaluateExpr(expr, [x - h, y])) / (2 * h);
        const exact = evaluateExpr(differentiateExpr(expr, 0), [x, y]);
        fc.pre(Math.abs(exact) < 1e3);
        expect(Math.abs(exact - numeric)).toBeLessThan(1e-4 * (1 + Math.abs(exact) ** 2));
      }),
      { seed: 1, numRuns: 300 }, // steep trees would exceed any fixed tolerance
    );
  });
  test("substitute replaces inputs", () => {
    expect(formatExpr(substitute(e.max(e.input(1), e.input(0)), [e.number(3), e.neg(e.input(0))]))).toBe("max(neg(x0), 3)");
  });
  test("ops that are not elementwise have none", () => {
    expect(elementwiseExpr("Conv", {})).toBeUndefined();
    expect(elementwiseExpr("toString", {})).toBeUndefined();
  });
});
