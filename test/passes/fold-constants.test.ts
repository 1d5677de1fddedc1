import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { foldConstants } from "../../src/passes/fold-constants.ts";
import { originalName } from "../../src/passes/index.ts";
import { expectEquivalent, gemm, TestGraph, text } from "./helpers.ts";

function transposedWeight(seed = 0, rows = 3, columns = 4) {
  const b = new TestGraph(seed);
  const w = b.add("Transpose", [b.weight("w", [rows, columns])], { perm: [1, 0] }, "transpose");
  const scaled = b.add("Mul", [w, b.weight("scale", [rows])], {}, "scaled");
  b.output("y", b.add("Gemm", [b.image("x", [2, columns]), scaled], gemm, "fc"));
  return b.finish();
}

describe("fold-constants", () => {
  test("evaluates what depends on constants alone", () => {
    const before = transposedWeight();
    expect(text(before)).toMatchInlineSnapshot(`
      "%transpose: float32[4, 3] = Transpose(@w) {perm: [1, 0]}
      %scaled: float32[4, 3] = Mul(%transpose, @scale)
      %fc: float32[2, 3] = Gemm(%x, %scaled) {alpha: 1, beta: 1, transA: false, transB: false}
      output y = fc"
    `);
    const after = foldConstants.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%fc: float32[2, 3] = Gemm(%x, @w.folded_1) {alpha: 1, beta: 1, transA: false, transB: false}
      output y = fc"
    `);
    expect(originalName(after.nodes[0]?.inputs[1]?.name ?? "")).toBe("w");
    expectEquivalent(before, after);
  });

  test("an output may become a constant", () => {
    const b = new TestGraph();
    b.output("y", b.add("Relu", [b.weight("w", [3])]));
    const before = b.finish();
    const after = foldConstants.run(before);
    expect(after.outputs[0]).toMatchObject({ name: "y", value: { kind: "constant" } });
    expectEquivalent(before, after);
  });

  test("a sparse weight that is moved stays sparse", () => {
    const b = new TestGraph();
    const w = b.constant("w", { dtype: "float32", shape: [2, 2], data: Float32Array.of(0, 1, 0, 2) }, { kind: "sparse" });
    b.output("y", b.add("Gemm", [b.image("x", [1, 2]), b.add("Transpose", [w], { perm: [1, 0] })], gemm));
    expect(foldConstants.run(b.finish()).nodes[0]?.inputs[1]).toMatchObject({ kind: "constant", encoding: { kind: "sparse" } });
  });

  test("does not fire on inputs and parameters, on what would bloat the file or take long", () => {
    const b = new TestGraph();
    b.output("a", b.add("Relu", [b.parameter("p", { dtype: "float32", shape: [1], data: new Float32Array(1) })]));
    b.output("b", b.add("Expand", [b.weight("one", [1])], { shape: [10_000] }));
    b.output("c", b.add("MatMul", [b.filled("left", [1000, 1000], 1), b.filled("right", [1000, 1000], 1)]));
    const graph = b.finish();
    expect(foldConstants.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }), (seed, rows, columns) => {
        const before = transposedWeight(seed, rows, columns);
        const after = foldConstants.run(before);
        expect(after.nodes.length).toBe(1);
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 10 },
    );
  });
});
