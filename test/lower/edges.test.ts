import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { e } from "../../src/ir/expr.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { type DType, float32Tensor, int64Tensor, type Tensor } from "../../src/ir/types.ts";
import { gemm, randomTensor, TestGraph } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";

/** A graph of what `make` builds, all of it outputs. */
function graphOf(make: (b: TestGraph) => Value | readonly Value[]): Graph {
  const b = new TestGraph(1);
  for (const [i, value] of [make(b)].flat().entries()) b.output(`y${i}`, value as Value);
  return b.finish();
}

const everywhere = (graph: Graph, feeds: Readonly<Record<string, Tensor>>) => {
  for (const target of Object.values(targets)) expectSame(graph, feeds, target);
};

const pair = (...numbers: [number[], number[]]) => numbers.map((v): Tensor => ({ dtype: "int32", shape: [v.length], data: Int32Array.from(v) })) as [Tensor, Tensor];

const special = float32Tensor([12], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, 1e10, -1e10, 300.7, -300.7, 2.5, -2.5, 1e-40]);
const reversed = float32Tensor([12], special.data.toReversed());

describe("special values", () => {
  test.each<DType>(["int32", "uint8", "int8", "bool"])("cast to %s truncates and saturates, NaN gives 0 or true", (to) =>
    everywhere(
      graphOf((b) => b.add("Cast", [b.image("x", [12])], { to })),
      { x: special },
    ),
  );

  test.each<DType>(["int32", "uint8", "int8", "bool", "float32"])("integers cast to %s wrap", (to) => {
    const numbers = int64Tensor([9], [0, 1, -1, 127, 128, 255, 256, -129, 2 ** 31 - 1]);
    const graph = graphOf((b) => b.add("Cast", [b.input("x", { dtype: "int64", shape: [9] })], { to }));
    everywhere(graph, { x: numbers });
  });

  test("NaN comes through minima, maxima, clamps and reductions", () =>
    everywhere(
      graphOf((b) => {
        const [x, y] = [b.image("x", [12]), b.image("y", [12])];
        const row = b.add("Reshape", [x], { shape: [1, 12] });
        return [
          ...["Min", "Max", "Add", "Less", "Equal"].map((op) => b.add(op, [x, y])),
          ...["Relu", "Abs", "Neg", "Sign", "Floor", "Round", "Sqrt"].map((op) => b.add(op, [x])),
          b.add("Clip", [x], { min: -1, max: 1 }),
          ...["ReduceMax", "ReduceMin", "ReduceSum"].map((op) => b.add(op, [row], { axes: [1], keepdims: false })),
          ...["ArgMax", "ArgMin"].map((op) => b.add(op, [row], { axis: 1, keepdims: false, selectLast: false })),
          b.add("GlobalMaxPool", [b.add("Reshape", [x], { shape: [1, 1, 12] })]),
        ];
      }),
      { x: special, y: reversed },
    ));

  test("NaN wins every window of max pooling that holds it", () => {
    const x = randomTensor([1, 2, 9, 11], 4);
    x.data[17] = Number.NaN;
    x.data[140] = Number.NaN;
    const attrs = { kernel: [3, 3], dilations: [1, 1], pads: [1, 1, 1, 1], ceilMode: false };
    for (const strides of [
      [1, 1],
      [2, 2],
    ])
      everywhere(
        graphOf((b) => b.add("MaxPool", [b.image("x", [1, 2, 9, 11])], { ...attrs, strides })),
        { x },
      );
  });

  test("integer division", () => {
    const [a, b] = pair([7, -7, 7, -7, 5, 0, -(2 ** 31), 2 ** 31 - 1], [2, 2, -2, -2, 0, 3, -1, -1]);
    const [p, q] = [e.input(0), e.input(1)];
    const make = (g: TestGraph) => {
      const [x, y] = [a, b].map((_, i) => g.input(`x${i}`, { dtype: "int32", shape: [8] })) as [Value, Value];
      const safe = e.select(e.eq(q, 0), 1, q);
      return [g.add("Div", [x, y]), g.add("Map", [x, y], { expr: e.sub(p, e.mul(safe, e.floor(e.div(p, safe)))), dtype: "int32" })];
    };
    everywhere(graphOf(make), { x0: a, x1: b });
  });

  test("integer powers", () => {
    const [a, b] = pair([2, -2, 3, -1, -1, 0, 1, 10], [10, 3, 0, 5, 6, 2, 9, 9]);
    const graph = graphOf((g) => g.add("Pow", [g.input("x0", { dtype: "int32", shape: [8] }), g.input("x1", { dtype: "int32", shape: [8] })]));
    everywhere(graph, { x0: a, x1: b });
  });
});

describe("outputs", () => {
  const x = randomTensor([2, 3], 1);

  test("that are inputs, constants, the same value twice, or only reshaped", () =>
    everywhere(
      graphOf((b) => {
        const input = b.image("x", [2, 3]);
        const constant = b.weight("c", [3]);
        const sum = b.add("Add", [input, constant]);
        return [input, input, constant, sum, sum, b.add("Reshape", [input], { shape: [6] }), b.add("Identity", [constant]), b.add("Reshape", [sum], { shape: [3, 2] })];
      }),
      { x },
    ));

  test("that are read again by windows, which want other layouts", () =>
    everywhere(
      graphOf((b) => {
        const first = b.add("Conv", [b.image("x", [1, 1, 5, 5]), b.weight("w", [3, 1, 3, 3])], { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 });
        return [first, b.add("MaxPool", [first], { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], dilations: [1, 1], ceilMode: false })];
      }),
      { x: randomTensor([1, 1, 5, 5], 1) },
    ));

  test("scalars", () =>
    everywhere(
      graphOf((b) => {
        const s = b.image("x", []);
        const sum = b.add("Exp", [b.add("Add", [s, b.filled("one", [], 1)])]);
        return [sum, b.add("ReduceSum", [b.add("Expand", [sum], { shape: [2, 3] })], { axes: [0, 1], keepdims: false })];
      }),
      { x: float32Tensor([], [0.5]) },
    ));
});

describe("values without elements", () => {
  test("pass through, and what is computed from them alone is constant", () =>
    everywhere(
      graphOf((b) => {
        const none = b.image("none", [0, 3]);
        const some = b.image("some", [2, 3]);
        return [
          none,
          b.add("Relu", [none]),
          b.add("Concat", [none, some, none], { axis: 0 }),
          b.add("ReduceSum", [none], { axes: [0], keepdims: true }),
          b.add("Add", [b.add("ReduceProd", [none], { axes: [0], keepdims: false }), some]),
          b.add("MatMul", [b.add("Transpose", [none], { perm: [1, 0] }), none]),
          b.add("Gemm", [b.add("Transpose", [none], { perm: [1, 0] }), none, some.type.shape.length === 2 ? b.image("c", [3]) : undefined], { ...gemm, beta: 2 }),
          ...b.addMany("Split", [some], { axis: 0, sizes: [0, 2] }),
          b.add("Gather", [some, b.constant("nowhere", int64Tensor([0], []))], { axis: 0 }),
          b.add("Pad", [none], { pads: [1, 0, 1, 0], value: 2, mode: "constant" }),
        ];
      }),
      { none: float32Tensor([0, 3], []), some: randomTensor([2, 3], 1), c: randomTensor([3], 2) },
    ));
});

test("an int64 constant beyond 32 bits is refused", () => {
  const graph = graphOf((b) => b.add("Add", [b.input("x", { dtype: "int64", shape: [1] }), b.constant("large", int64Tensor([1], [2n ** 40n]))]));
  expect(() => expectSame(graph, { x: int64Tensor([1], [1]) })).toThrow(expect.objectContaining({ code: "E_UNSUPPORTED_TYPE", at: "large" }));
});
