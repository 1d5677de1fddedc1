import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Attrs, Graph, Value } from "../../src/ir/graph.ts";
import { eliminateDeadNodes } from "../../src/passes/eliminate-dead-nodes.ts";
import { eliminateIdentity, eliminateNeutralOperands } from "../../src/passes/eliminate-identity.ts";
import { expectEquivalent, TestGraph, text } from "./helpers.ts";

const eliminate = (graph: Graph) => eliminateNeutralOperands.run(eliminateIdentity.run(graph));

type Make = (b: TestGraph, x: Value) => Value;
const simple =
  (op: string, attrs: Attrs = {}): Make =>
  (b, x) =>
    b.add(op, [x], attrs);
const shape = [1, 2, 3, 4];
const window = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], kernel: [1, 1], ceilMode: false };

const identities: Readonly<Record<string, Make>> = {
  Identity: simple("Identity"),
  Dropout: simple("Dropout", { ratio: 0.5 }),
  Reshape: simple("Reshape", { shape }),
  Expand: simple("Expand", { shape }),
  Cast: simple("Cast", { to: "float32" }),
  Concat: simple("Concat", { axis: 1 }),
  Slice: simple("Slice", { starts: [0, 0, 0, 0], sizes: shape, steps: [1, 1, 1, 1] }),
  Pad: simple("Pad", { pads: new Array(8).fill(0), value: 0, mode: "constant" }),
  Transpose: simple("Transpose", { perm: [0, 1, 2, 3] }),
  Clip: simple("Clip", { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY }),
  MaxPool: simple("MaxPool", window),
  AveragePool: simple("AveragePool", { ...window, countIncludePad: false }),
  "Add 0": (b, x) => b.add("Add", [x, b.filled("zero", [1], 0)]),
  "0 + x": (b, x) => b.add("Add", [b.filled("zero", [2, 1, 1], 0), x]),
  "Mul 1": (b, x) => b.add("Mul", [x, b.filled("one", [], 1)]),
  "Sub 0": (b, x) => b.add("Sub", [x, b.filled("zero", [], 0)]),
  "Div 1": (b, x) => b.add("Div", [x, b.filled("one", [], 1)]),
  "Pow 1": (b, x) => b.add("Pow", [x, b.filled("one", [], 1)]),
};

const others: Readonly<Record<string, Make>> = {
  Reshape: simple("Reshape", { shape: [2, 12] }),
  Cast: simple("Cast", { to: "int32" }),
  Slice: simple("Slice", { starts: [0, 1, 2, 3], sizes: shape, steps: [1, -1, -1, -1] }),
  Transpose: simple("Transpose", { perm: [0, 1, 3, 2] }),
  "1 - x": (b, x) => b.add("Sub", [b.filled("zero", [], 0), x]),
  "broadcast + 0": (b, x) => b.add("Add", [x, b.filled("zero", [2, 2, 3, 4], 0)]),
  "MaxPool of every second": simple("MaxPool", { ...window, strides: [2, 2] }),
  "Clip at 0": simple("Clip", { min: 0, max: Number.POSITIVE_INFINITY }),
};

describe("eliminate-identity", () => {
  test("drops nodes that do nothing; outputs keep their names", () => {
    const b = new TestGraph();
    const x = b.image("x", shape);
    const y = b.add("Relu", [b.add("Dropout", [x], { ratio: 0.5 }, "drop")], {}, "relu");
    b.output("result", b.add("Mul", [b.add("Reshape", [y], { shape }, "reshape"), b.filled("one", [1], 1)], {}, "scaled"));
    b.output("input", b.add("Identity", [x], {}, "copy"));
    const before = b.finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%drop: float32[1, 2, 3, 4] = Dropout(%x) {ratio: 0.5}
      %relu: float32[1, 2, 3, 4] = Relu(%drop)
      %reshape: float32[1, 2, 3, 4] = Reshape(%relu) {shape: [1, 2, 3, 4]}
      %scaled: float32[1, 2, 3, 4] = Mul(%reshape, @one)
      %copy: float32[1, 2, 3, 4] = Identity(%x)
      output result = scaled
      output input = copy"
    `);
    const after = eliminate(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%relu: float32[1, 2, 3, 4] = Relu(%x)
      output result = relu
      output input = x"
    `);
    expectEquivalent(before, after);
  });

  test.each(Object.keys(identities))("%s", (name) => {
    const b = new TestGraph();
    b.output("y", (identities[name] as Make)(b, b.image("x", shape)));
    const before = b.finish();
    const after = eliminate(before);
    expect(after.nodes).toEqual([]);
    expectEquivalent(before, after);
  });

  test.each(Object.keys(others))("does not fire on %s", (name) => {
    const b = new TestGraph();
    b.output("y", (others[name] as Make)(b, b.image("x", shape)));
    const before = b.finish();
    expect(eliminate(before)).toBe(before);
  });

  test("operands that may be trained stay in the first pass", () => {
    const b = new TestGraph();
    b.output("y", b.add("Add", [b.image("x", shape), b.filled("bias", [2, 1, 1], 0)]));
    const graph = b.finish();
    expect(eliminateIdentity.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    const step = fc.constantFrom(...Object.values(identities), simple("Relu"), simple("Sigmoid"));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), fc.nat(1000), (steps, seed) => {
        const b = new TestGraph(seed);
        b.output(
          "y",
          steps.reduce<Value>((x, make) => make(b, x), b.image("x", shape)),
        );
        const before = b.finish();
        const after = eliminate(before);
        expect(after.nodes.every((n) => n.op === "Relu" || n.op === "Sigmoid")).toBe(true);
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 30 },
    );
  });
});

describe("eliminate-dead-nodes", () => {
  test("keeps what outputs and updates depend on", () => {
    const b = new TestGraph();
    const x = b.image("x", [2, 2]);
    b.add("Sigmoid", [b.add("Relu", [x], {}, "unread")], {}, "dead");
    const p = b.parameter("p", { dtype: "float32", shape: [2, 2], data: new Float32Array(4) });
    b.update(p, b.add("Add", [p, x], {}, "step"));
    b.output("y", b.add("Tanh", [x], {}, "live"));
    const before = b.finish();
    const after = eliminateDeadNodes.run(before);
    expect(after.nodes.map((n) => n.name)).toEqual(["step", "live"]);
    expect(eliminateDeadNodes.run(after)).toBe(after);
  });
});
