import fc from "fast-check";
import { describe, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { e } from "../../src/ir/expr.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { type DType, elementCount, makeData, type Tensor } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { randomNumbers } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";

/** Multiples of ¼, so that sums and comparisons are exact; whole numbers for integers. */
function smallNumbers(dtype: DType, shape: readonly number[], seed: number): Tensor {
  const next = randomNumbers(seed);
  const data = makeData(dtype, elementCount(shape));
  for (let i = 0; i < data.length; i++) {
    const v = Math.round(next() * 24) / 4;
    const whole = dtype === "bool" ? Number(v > 0) : dtype === "uint8" ? Math.abs(Math.trunc(v)) : Math.trunc(v);
    data[i] = (dtype === "float32" ? v : dtype === "int64" ? BigInt(whole) : whole) as never;
  }
  return { dtype, shape, data } as Tensor;
}

const numeric: readonly DType[] = ["float32", "int32", "int64", "uint8", "int8"];
const ops: Readonly<Record<string, { readonly dtypes: readonly DType[]; readonly inputs: number }>> = {
  ...Object.fromEntries(["Add", "Sub", "Mul", "Min", "Max", "Less", "GreaterOrEqual"].map((op) => [op, { dtypes: numeric, inputs: 2 }])),
  ...Object.fromEntries(["Neg", "Abs", "Sign", "Clip"].map((op) => [op, { dtypes: numeric, inputs: 1 }])),
  Div: { dtypes: ["int32", "int64", "uint8", "int8"], inputs: 2 },
  Mod: { dtypes: ["int32", "int64", "uint8", "int8"], inputs: 2 },
  Equal: { dtypes: [...numeric, "bool"], inputs: 2 },
  And: { dtypes: ["bool"], inputs: 2 },
  Or: { dtypes: ["bool"], inputs: 2 },
  Not: { dtypes: ["bool"], inputs: 1 },
  Cast: { dtypes: [...numeric, "bool"], inputs: 1 },
  Where: { dtypes: [...numeric, "bool"], inputs: 2 },
  ...Object.fromEntries(["Tanh", "Sigmoid", "Erf", "Softplus", "HardSwish", "Mish", "PRelu"].map((op) => [op, { dtypes: ["float32"] as const, inputs: op === "PRelu" ? 2 : 1 }])),
};

const step = fc.record({
  op: fc.constantFrom(...Object.keys(ops)),
  a: fc.nat(20),
  b: fc.nat(20),
  condition: fc.nat(20),
  to: fc.constantFrom<DType>(...numeric, "bool"),
});

const spec = fc.record({
  shape: fc.array(fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 6 }) }, { weight: 1, arbitrary: fc.constantFrom(0, 17, 70) }), { maxLength: 4 }),
  inputs: fc.array(fc.record({ dtype: fc.constantFrom<DType>(...numeric, "bool"), broadcast: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), drop: fc.nat(2) }), {
    minLength: 2,
    maxLength: 5,
  }),
  steps: fc.array(step, { minLength: 1, maxLength: 8 }),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

/** Every value is an output, as far as its parts are exact. */
function build({ shape, inputs, steps }: Spec): { readonly graph: Graph; readonly feeds: Record<string, Tensor> } {
  const b = new GraphBuilder("test");
  const feeds: Record<string, Tensor> = {};
  const values: Value[] = inputs.map(({ dtype, broadcast, drop }, i) => {
    const own = shape.map((d, k) => (broadcast[k] === true ? 1 : d)).slice(Math.min(drop, shape.length));
    feeds[`x${i}`] = smallNumbers(dtype, own, i);
    return b.input(`x${i}`, { dtype, shape: own });
  });
  for (const { op, a, b: second, condition, to } of steps) {
    const pick = (dtypes: readonly DType[], i: number) => {
      const fitting = values.filter((v) => dtypes.includes(v.type.dtype));
      return fitting[i % Math.max(1, fitting.length)];
    };
    const { dtypes, inputs: count } = ops[op] as (typeof ops)[string];
    const x = pick(dtypes, a);
    if (x === undefined) continue;
    const y = count === 2 ? pick([x.type.dtype], second) : undefined;
    const test = op === "Where" ? pick(["bool"], condition) : undefined;
    const fits = y === undefined || op !== "PRelu" || (elementCount(y.type.shape) === 1 && y.type.shape.length <= x.type.shape.length);
    if ((op === "Where" && test === undefined) || !fits) continue;
    const attrs = op === "Cast" ? { to } : op === "Clip" ? { min: -2, max: 3 } : {};
    const p = e.input(0);
    const q = e.select(e.eq(e.input(1), 0), 3, e.input(1));
    values.push(
      op === "Mod"
        ? b.add("Map", [x, y], { expr: e.sub(p, e.mul(q, e.floor(e.div(p, q)))), dtype: x.type.dtype })
        : b.add(op, [...(test === undefined ? [] : [test]), x, ...(y === undefined ? [] : [y])], attrs),
    );
  }
  values.slice(inputs.length).forEach((v, i) => {
    b.output(`y${i}`, v);
  });
  b.output("again", values.at(-1) as Value);
  return { graph: b.finish(), feeds };
}

describe("random elementwise graphs of any shapes and types", () => {
  test.each(Object.values(targets))("$name", (target) => {
    fc.assert(
      fc.property(spec, (s) => {
        const { graph, feeds } = build(s);
        expectSame(graph, feeds, target);
      }),
      { numRuns: Number(process.env.RUNS ?? 100) },
    );
  });
});
