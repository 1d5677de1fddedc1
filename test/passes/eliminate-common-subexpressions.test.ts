import { describe, expect, test } from "vitest";
import { e } from "../../src/ir/expr.ts";
import { attrsKey, eliminateCommonSubexpressions } from "../../src/passes/eliminate-common-subexpressions.ts";
import { mergeConstants } from "../../src/passes/merge-constants.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

describe("eliminate-common-subexpressions", () => {
  test("keeps the first of equal nodes, once equal constants are merged", () => {
    const b = new TestGraph();
    const x = b.image("x", [1, 2, 3, 3]);
    const w = b.weight("w", [2, 2, 1, 1]);
    const copy = b.constant("copy", { dtype: "float32", shape: w.type.shape, data: w.data.slice() as Float32Array });
    const branch = (weight: typeof w, name: string) => b.add("Relu", [b.add("Conv", [x, weight], conv(), `conv-${name}`)], {}, `relu-${name}`);
    b.output("y", b.add("Add", [branch(w, "a"), branch(copy, "b")], {}, "sum"));
    const before = b.finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%conv-a: float32[1, 2, 3, 3] = Conv(%x, @w) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1}
      %relu-a: float32[1, 2, 3, 3] = Relu(%conv-a)
      %conv-b: float32[1, 2, 3, 3] = Conv(%x, @copy) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1}
      %relu-b: float32[1, 2, 3, 3] = Relu(%conv-b)
      %sum: float32[1, 2, 3, 3] = Add(%relu-a, %relu-b)
      output y = sum"
    `);
    expect(eliminateCommonSubexpressions.run(before)).toBe(before); // weights may be trained apart
    const after = eliminateCommonSubexpressions.run(mergeConstants.run(before));
    expect(text(after)).toMatchInlineSnapshot(`
      "%conv-a: float32[1, 2, 3, 3] = Conv(%x, @w) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1}
      %relu-a: float32[1, 2, 3, 3] = Relu(%conv-a)
      %sum: float32[1, 2, 3, 3] = Add(%relu-a, %relu-a)
      output y = sum"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire on other attributes, other inputs or another order of them", () => {
    const b = new TestGraph();
    const [x, y] = [b.image("x", [2]), b.image("y", [2])];
    b.output("a", b.add("LeakyRelu", [x], { alpha: 0.1 }));
    b.output("b", b.add("LeakyRelu", [x], { alpha: 0.2 }));
    b.output("c", b.add("LeakyRelu", [y], { alpha: 0.1 }));
    b.output("d", b.add("Sub", [x, y]));
    b.output("e", b.add("Sub", [y, x]));
    b.output("f", b.add("Add", [x, b.weight("p", [2])]));
    b.output("g", b.add("Add", [x, b.weight("q", [2])]));
    const graph = b.finish();
    expect(eliminateCommonSubexpressions.run(graph)).toBe(graph);
    expect(mergeConstants.run(graph)).toBe(graph);
  });

  test("two outputs may share a value", () => {
    const b = new TestGraph();
    const x = b.image("x", [2]);
    b.output("a", b.add("Exp", [x]));
    b.output("b", b.add("Exp", [x]));
    const before = b.finish();
    const after = eliminateCommonSubexpressions.run(before);
    expect(after.nodes.length).toBe(1);
    expectEquivalent(before, after);
  });

  test("attributes are told apart where JSON would not", () => {
    const values = [
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      0,
      -0,
      "Infinity",
      [0],
      e.number(0),
      e.number(-0),
      { kind: "none" } as const,
      Float32Array.of(0, 1),
    ];
    const keys = values.map((v) => attrsKey({ v: v instanceof Float32Array ? { dtype: "float32", shape: [2], data: v } : v }));
    expect(new Set(keys).size).toBe(values.length);
    expect(attrsKey({ a: 1, b: undefined, c: 2 })).toBe(attrsKey({ c: 2, a: 1 }));
  });
});
