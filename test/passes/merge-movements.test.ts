import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../src/ir/graph.ts";
import { mergeMovements } from "../../src/passes/merge-movements.ts";
import { expectEquivalent, TestGraph, text } from "./helpers.ts";

describe("merge-movements", () => {
  test("two Reshapes, Transposes, Slices or Pads become one", () => {
    const b = new TestGraph();
    const x = b.image("x", [2, 3, 4]);
    b.output("reshape", b.add("Reshape", [b.add("Reshape", [x], { shape: [6, 4] }, "r1")], { shape: [24] }, "r2"));
    b.output("transpose", b.add("Transpose", [b.add("Transpose", [x], { perm: [1, 2, 0] }, "t1")], { perm: [1, 0, 2] }, "t2"));
    const rows = b.add("Slice", [x], { starts: [0, 0, 0], sizes: [2, 2, 4], steps: [1, 2, 1] }, "s1");
    b.output("slice", b.add("Slice", [rows], { starts: [0, 1, 3], sizes: [2, 2, 2], steps: [1, -1, -2] }, "s2"));
    const pad = (pads: number[]) => ({ pads, value: 0, mode: "constant" });
    b.output("pad", b.add("Pad", [b.add("Pad", [x], pad([0, 1, 0, 0, 0, 2]), "p1")], pad([1, 1, 0, 0, 0, 1]), "p2"));
    const before = b.finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%r1: float32[6, 4] = Reshape(%x) {shape: [6, 4]}
      %r2: float32[24] = Reshape(%r1) {shape: [24]}
      %t1: float32[3, 4, 2] = Transpose(%x) {perm: [1, 2, 0]}
      %t2: float32[4, 3, 2] = Transpose(%t1) {perm: [1, 0, 2]}
      %s1: float32[2, 2, 4] = Slice(%x) {starts: [0, 0, 0], sizes: [2, 2, 4], steps: [1, 2, 1]}
      %s2: float32[2, 2, 2] = Slice(%s1) {starts: [0, 1, 3], sizes: [2, 2, 2], steps: [1, -1, -2]}
      %p1: float32[2, 4, 6] = Pad(%x) {pads: [0, 1, 0, 0, 0, 2], value: 0, mode: "constant"}
      %p2: float32[3, 5, 7] = Pad(%p1) {pads: [1, 1, 0, 0, 0, 1], value: 0, mode: "constant"}
      output reshape = r2
      output transpose = t2
      output slice = s2
      output pad = p2"
    `);
    const after = mergeMovements.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%r2: float32[24] = Reshape(%x) {shape: [24]}
      %t2: float32[4, 3, 2] = Transpose(%x) {perm: [2, 1, 0]}
      %s2: float32[2, 2, 2] = Slice(%x) {starts: [0, 2, 3], sizes: [2, 2, 2], steps: [1, -2, -2]}
      %p2: float32[3, 5, 7] = Pad(%x) {pads: [1, 2, 0, 0, 0, 3], value: 0, mode: "constant"}
      output reshape = r2
      output transpose = t2
      output slice = s2
      output pad = p2"
    `);
    expectEquivalent(before, after);
  });

  test("a Transpose that keeps the order of all elements is a Reshape", () => {
    const b = new TestGraph();
    b.output("y", b.add("Transpose", [b.image("x", [1, 5, 1, 3])], { perm: [1, 0, 3, 2] }, "t"));
    const before = b.finish();
    const after = mergeMovements.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%t: float32[5, 1, 3, 1] = Reshape(%x) {shape: [5, 1, 3, 1]}
      output y = t"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire on a single movement, on Pads of other values, or on a Slice that others read", () => {
    const b = new TestGraph();
    const x = b.image("x", [2, 3]);
    b.output("t", b.add("Transpose", [x], { perm: [1, 0] }));
    const pad = (value: number, mode = "constant") => ({ pads: [0, 1, 0, 1], value, mode });
    b.output("p", b.add("Pad", [b.add("Pad", [x], pad(0))], pad(1)));
    b.output("q", b.add("Pad", [b.add("Pad", [x], pad(0))], pad(0, "edge")));
    const slice = (v: Value) => b.add("Slice", [v], { starts: [0, 1], sizes: [2, 1], steps: [1, 1] });
    const first = b.add("Slice", [x], { starts: [0, 1], sizes: [2, 2], steps: [1, 1] });
    b.output("s", first);
    b.output("u", slice(first));
    const graph = b.finish();
    expect(mergeMovements.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    const perm = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
    fc.assert(
      fc.property(fc.array(perm, { minLength: 1, maxLength: 5 }), fc.constantFrom<number[]>([2, 3, 4], [1, 3, 4], [2, 1, 1]), (perms, shape) => {
        const b = new TestGraph();
        const v = perms.reduce<Value>((x, p) => b.add("Transpose", [x], { perm: p }), b.image("x", shape));
        b.output("y", b.add("Reshape", [v], { shape: [shape.reduce((p, d) => p * d, 1)] }));
        const before = b.finish();
        const after = mergeMovements.run(before);
        if (!shape.includes(1)) expect(after.nodes.length).toBeLessThanOrEqual(2);
        expectEquivalent(before, after);
      }),
    );
  });
});
