import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gemmFromMatMul } from "../../src/passes/gemm-from-matmul.ts";
import { expectEquivalent, TestGraph, text } from "./helpers.ts";

function dense(shape: readonly number[], columns: number, bias: readonly number[] | undefined, swapped = false, seed = 0) {
  const b = new TestGraph(seed);
  const y = b.add("MatMul", [b.image("x", shape), b.weight("w", [shape.at(-1) as number, columns])], {}, "matmul");
  if (bias === undefined) b.output("y", y);
  else {
    const c = b.weight("c", bias);
    b.output("y", b.add("Add", swapped ? [c, y] : [y, c], {}, "biased"));
  }
  return b.finish();
}

describe("gemm-from-matmul", () => {
  test("takes in the bias", () => {
    const before = dense([2, 4], 3, [3]);
    expect(text(before)).toMatchInlineSnapshot(`
      "%matmul: float32[2, 3] = MatMul(%x, @w)
      %biased: float32[2, 3] = Add(%matmul, @c)
      output y = biased"
    `);
    const after = gemmFromMatMul.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%biased: float32[2, 3] = Gemm(%x, @w, @c) {alpha: 1, beta: 1, transA: false, transB: false}
      output y = biased"
    `);
    expectEquivalent(before, after);
  });

  test("makes rows of leading dimensions", () => {
    const before = dense([2, 3, 4], 5, [5], true);
    const after = gemmFromMatMul.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%matmul.rows: float32[6, 4] = Reshape(%x) {shape: [6, 4]}
      %matmul.gemm: float32[6, 5] = Gemm(%matmul.rows, @w, @c) {alpha: 1, beta: 1, transA: false, transB: false}
      %biased: float32[2, 3, 5] = Reshape(%matmul.gemm) {shape: [2, 3, 5]}
      output y = biased"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire where the right side is not a constant matrix", () => {
    const b = new TestGraph();
    b.output("y", b.add("MatMul", [b.image("x", [2, 4]), b.image("w", [4, 3])]));
    b.output("z", b.add("MatMul", [b.image("p", [2, 2, 4]), b.weight("q", [2, 4, 3])]));
    b.output("v", b.add("MatMul", [b.image("r", [4]), b.weight("s", [4, 3])]));
    const graph = b.finish();
    expect(gemmFromMatMul.run(graph)).toBe(graph);
  });

  test("leaves a sum that is no bias to the Add", () => {
    const before = dense([2, 3], 2, [2, 1]);
    const after = gemmFromMatMul.run(before);
    expect(after.nodes.map((n) => n.op)).toEqual(["Gemm", "Add"]);
    expectEquivalent(before, after);
  });

  test("computes the same", () => {
    const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(shape, fc.integer({ min: 1, max: 4 }), fc.constantFrom("none", "row", "one", "matrix"), fc.boolean(), fc.nat(99), (s, columns, bias, swapped, seed) => {
        const shapes = { none: undefined, row: [columns], one: [1], matrix: [s.at(-2) as number, columns] };
        const before = dense(s, columns, shapes[bias], swapped, seed);
        const after = gemmFromMatMul.run(before);
        expect(after.nodes.some((n) => n.op === "MatMul")).toBe(false);
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 40 },
    );
  });
});
