import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../src/ir/graph.ts";
import { fuseElementwise } from "../../src/passes/fuse-elementwise.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

describe("fuse-elementwise", () => {
  test("a tree of ops with a broadcast operand becomes one Map", () => {
    const b = new TestGraph();
    const [x, y] = [b.image("x", [1, 2, 3, 3]), b.image("y", [1, 2, 1, 1])];
    const gate = b.add("Sigmoid", [b.add("Mul", [x, y], {}, "product")], {}, "gate");
    b.output("z", b.add("Sub", [gate, b.add("Div", [x, b.filled("two", [1], 2)], {}, "half")], {}, "difference"));
    const before = b.finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%product: float32[1, 2, 3, 3] = Mul(%x, %y)
      %gate: float32[1, 2, 3, 3] = Sigmoid(%product)
      %half: float32[1, 2, 3, 3] = Div(%x, @two)
      %difference: float32[1, 2, 3, 3] = Sub(%gate, %half)
      output z = difference"
    `);
    const after = fuseElementwise.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%difference: float32[1, 2, 3, 3] = Map(%x, %y) {expr: sub(sigmoid(mul(x0, x1)), div(x0, 2))}
      output z = difference"
    `);
    expectEquivalent(before, after);
  });

  test("hard swish, spelt out, becomes the activation of the convolution before it", () => {
    const b = new TestGraph();
    const x = b.add("Conv", [b.image("x", [1, 2, 3, 3]), b.weight("w", [2, 2, 1, 1])], conv(), "conv");
    const clipped = b.add("Clip", [b.add("Add", [x, b.filled("three", [], 3)])], { min: 0, max: 6 });
    b.output("y", b.add("Div", [b.add("Mul", [x, clipped]), b.filled("six", [], 6)], {}, "swish"));
    const before = b.finish();
    const after = fuseElementwise.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%swish: float32[1, 2, 3, 3] = FusedConv(%x, @w) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, activation: div(mul(x0, min(max(add(x0, 3), 0), 6)), 6)}
      output y = swish"
    `);
    expectEquivalent(before, after);
  });

  test("a comparison joins what it selects", () => {
    const b = new TestGraph();
    const [x, y] = [b.image("x", [4]), b.image("y", [4])];
    b.output("larger", b.add("Where", [b.add("Less", [x, y]), y, x], {}, "larger"));
    const before = b.finish();
    const after = fuseElementwise.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%larger: float32[4] = Map(%y, %x) {expr: select(lt(x1, x0), x0, x1)}
      output larger = larger"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire on single ops, on results that others read, on smaller ones that broadcast, or on integers", () => {
    const b = new TestGraph();
    const x = b.image("x", [2, 2]);
    const shared = b.add("Exp", [x]);
    b.output("a", b.add("Neg", [shared]));
    b.output("b", b.add("Sqrt", [shared]));
    b.output("c", b.add("Mul", [x, b.add("Sigmoid", [b.image("row", [2])])]));
    b.output("d", b.add("Abs", [b.add("Neg", [b.input("i", { dtype: "int32", shape: [2] })])]));
    const graph = b.finish();
    expect(fuseElementwise.run(graph)).toBe(graph);
  });

  test("what is costly is not computed at each place that reads it", () => {
    const b = new TestGraph();
    const swish = (x: Value, name: string) => b.add("Map", [x], { expr: { kind: "binary", op: "mul", a: input0, b: { kind: "unary", op: "sigmoid", a: input0 } } }, name);
    const input0 = { kind: "input", index: 0 } as const;
    b.output("y", swish(swish(b.image("x", [3]), "first"), "second"));
    const graph = b.finish();
    expect(fuseElementwise.run(graph)).toBe(graph);
  });

  test("a Map reads at most 8 tensors", () => {
    const b = new TestGraph();
    const inputs = Array.from({ length: 12 }, (_, i) => b.image(`x${i}`, [3]));
    b.output(
      "y",
      inputs.slice(1).reduce<Value>((sum, x) => b.add("Add", [sum, x]), inputs[0] as Value),
    );
    const before = b.finish();
    const after = fuseElementwise.run(before);
    expect(after.nodes.length).toBe(2);
    expect(Math.max(...after.nodes.map((n) => n.inputs.length))).toBe(8);
    expectEquivalent(before, after);
  });

  test("computes the same", () => {
    const unary = ["Relu", "Sigmoid", "Tanh", "Neg", "Abs", "HardSwish", "Softplus", "Mish", "Erf"] as const;
    const binary = ["Add", "Sub", "Mul", "Min", "Max"] as const;
    const step = fc.record({ op: fc.constantFrom(...unary, ...binary), a: fc.nat(), b: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 14 }), fc.nat(999), (list, seed) => {
        const b = new TestGraph(seed);
        const values: Value[] = [b.image("p", [2, 3]), b.image("q", [3]), b.image("r", [2, 1]), b.filled("c", [1, 1], 1.5)];
        const pick = (i: number) => values[values.length - 1 - (i % Math.min(values.length, 6))] as Value;
        for (const { op, a, b: other } of list) values.push(b.add(op, (unary as readonly string[]).includes(op) ? [pick(a)] : [pick(a), pick(other)]));
        b.output("y", values.at(-1) as Value);
        const before = b.finish();
        expectEquivalent(before, fuseElementwise.run(before), seed);
      }),
      { numRuns: 150 },
    );
  });
});
