import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { useGlobalAveragePool } from "../../src/passes/use-global-average-pool.ts";
import { expectEquivalent, TestGraph, text } from "./helpers.ts";

const pool = (kernel: readonly number[], pads = [0, 0, 0, 0]) => ({ kernel, strides: [1, 1], pads, dilations: [1, 1], ceilMode: false, countIncludePad: false });

describe("use-global-average-pool", () => {
  test("a mean over the plane, and a window as large as it", () => {
    const b = new TestGraph();
    const x = b.image("x", [1, 3, 4, 5]);
    b.output("kept", b.add("ReduceMean", [x], { axes: [2, 3], keepdims: true }, "mean"));
    b.output("dropped", b.add("ReduceMean", [x], { axes: [2, 3], keepdims: false }, "flat"));
    b.output("pooled", b.add("AveragePool", [x], pool([4, 5]), "pool"));
    const before = b.finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%mean: float32[1, 3, 1, 1] = ReduceMean(%x) {axes: [2, 3], keepdims: true}
      %flat: float32[1, 3] = ReduceMean(%x) {axes: [2, 3], keepdims: false}
      %pool: float32[1, 3, 1, 1] = AveragePool(%x) {kernel: [4, 5], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false, countIncludePad: false}
      output kept = mean
      output dropped = flat
      output pooled = pool"
    `);
    const after = useGlobalAveragePool.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%mean: float32[1, 3, 1, 1] = GlobalAveragePool(%x)
      %flat.pool: float32[1, 3, 1, 1] = GlobalAveragePool(%x)
      %flat: float32[1, 3] = Reshape(%flat.pool) {shape: [1, 3]}
      %pool: float32[1, 3, 1, 1] = GlobalAveragePool(%x)
      output kept = mean
      output dropped = flat
      output pooled = pool"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire on other axes, smaller or padded windows", () => {
    const b = new TestGraph();
    const x = b.image("x", [1, 3, 4, 4]);
    b.output("a", b.add("ReduceMean", [x], { axes: [1, 2], keepdims: true }));
    b.output("b", b.add("ReduceMean", [x], { axes: [3], keepdims: true }));
    b.output("c", b.add("AveragePool", [x], pool([4, 3])));
    b.output("d", b.add("AveragePool", [x], pool([4, 4], [1, 1, 0, 0])));
    b.output("e", b.add("ReduceMean", [b.image("rows", [3, 4])], { axes: [1], keepdims: true }));
    const graph = b.finish();
    expect(useGlobalAveragePool.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    const extent = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(extent, extent, fc.boolean(), (h, w, keepdims) => {
        const b = new TestGraph();
        b.output("y", b.add("ReduceMean", [b.image("x", [2, 3, h, w])], { axes: [2, 3], keepdims }));
        const before = b.finish();
        expectEquivalent(before, useGlobalAveragePool.run(before));
      }),
      { numRuns: 15 },
    );
  });
});
