import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fuseActivation } from "../../src/passes/fuse-activation.ts";
import { hoistClamp } from "../../src/passes/hoist-clamp.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

const window = (kernel: number, pad: number, ceilMode = false) => ({ kernel: [kernel, kernel], strides: [2, 2], pads: [pad, pad, pad, pad], dilations: [1, 1], ceilMode });

function convPoolClamp(pool = window(2, 0), op = "Relu", seed = 0) {
  const b = new TestGraph(seed);
  const y = b.add("Conv", [b.image("x", [1, 2, 7, 7]), b.weight("w", [3, 2, 3, 3])], conv(1), "conv");
  b.output("y", b.add(op, [b.add("MaxPool", [y], pool, "pool")], op === "Clip" ? { min: -0.25, max: 0.5 } : {}, "clamp"));
  return b;
}

describe("hoist-clamp", () => {
  test("clamps before it pools, where the convolution can do it", () => {
    const before = convPoolClamp().finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%conv: float32[1, 3, 7, 7] = Conv(%x, @w) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %pool: float32[1, 3, 3, 3] = MaxPool(%conv) {kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false}
      %clamp: float32[1, 3, 3, 3] = Relu(%pool)
      output y = clamp"
    `);
    const after = fuseActivation.run(hoistClamp.run(before));
    expect(text(after)).toMatchInlineSnapshot(`
      "%clamp_1: float32[1, 3, 7, 7] = FusedConv(%x, @w) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1, activation: relu}
      %clamp: float32[1, 3, 3, 3] = MaxPool(%clamp_1) {kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false}
      output y = clamp"
    `);
    expectEquivalent(before, after);
  });

  test("clamps before it pools, where that is done already", () => {
    const b = new TestGraph(0);
    const y = b.add("Conv", [b.image("x", [1, 2, 7, 7]), b.weight("w", [3, 2, 3, 3])], conv(1), "conv");
    const pooled = b.add("MaxPool", [b.add("Clip", [y], { min: -1, max: 0.5 }, "first")], window(2, 0), "pool");
    b.output("y", b.add("Relu", [b.add("Relu", [pooled], {}, "second")], {}, "third"));
    const before = b.finish();
    const after = fuseActivation.run(hoistClamp.run(before));
    expect(text(after)).toMatchInlineSnapshot(`
      "%third_1: float32[1, 3, 7, 7] = FusedConv(%x, @w) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1, activation: clamp(0, 0.5)}
      %third: float32[1, 3, 3, 3] = MaxPool(%third_1) {kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false}
      output y = third"
    `);
    expectEquivalent(before, after);
    expect(hoistClamp.run(after)).toBe(after);
  });

  test("does not fire where the pooled or the convolved is read elsewhere, windows may be empty, or the function is not monotone", () => {
    const [pooled, convolved] = [convPoolClamp(), convPoolClamp()];
    pooled.output("pooled", pooled.resultOf(1));
    convolved.output("convolved", convolved.resultOf(0));
    const graphs = [pooled, convolved, convPoolClamp(window(2, 2)), convPoolClamp(window(2, 1, true)), convPoolClamp(window(2, 0), "HardSwish")];
    for (const graph of graphs.map((b) => b.finish())) expect(hoistClamp.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    fc.assert(
      fc.property(fc.constantFrom(window(2, 0), window(3, 1), window(3, 2), window(2, 1)), fc.constantFrom("Relu", "Clip"), fc.nat(999), (pool, op, seed) => {
        const before = convPoolClamp(pool, op, seed).finish();
        const after = hoistClamp.run(before);
        expect(after.nodes.at(-1)?.op).toBe("MaxPool");
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 20 },
    );
  });
});
