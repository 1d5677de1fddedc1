import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Attrs, Value } from "../../src/ir/graph.ts";
import { fusePad } from "../../src/passes/fuse-pad.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

const spatialPad = ([top, left, bottom, right]: readonly number[], value = 0, mode = "constant") => ({ pads: [0, 0, top, left, 0, 0, bottom, right] as number[], value, mode });
const pool = (pads = [0, 0, 0, 0], more: Attrs = {}) => ({ kernel: [3, 3], strides: [2, 2], pads, dilations: [1, 1], ceilMode: false, ...more });

function padded(pad: Attrs, consumer: (b: TestGraph, x: Value) => Value, before: (b: TestGraph, x: Value) => Value = (_, x) => x, seed = 0) {
  const b = new TestGraph(seed);
  b.output("y", consumer(b, b.add("Pad", [before(b, b.image("x", [1, 2, 6, 6]))], pad, "pad")));
  return b.finish();
}
const intoConv =
  (kernel = 3, pad = 0) =>
  (b: TestGraph, x: Value) =>
    b.add("Conv", [x, b.weight("w", [3, 2, kernel, kernel])], conv(pad, 2), "conv");
const intoAverage = (attrs: Attrs) => (b: TestGraph, x: Value) => b.add("AveragePool", [x], attrs, "pool");
const intoMax = (attrs: Attrs) => (b: TestGraph, x: Value) => b.add("MaxPool", [x], attrs, "pool");
const relu = (b: TestGraph, x: Value) => b.add("Relu", [x], {}, "relu");

describe("fuse-pad", () => {
  test("the convolution pads", () => {
    const before = padded(spatialPad([0, 1, 1, 2]), intoConv());
    expect(text(before)).toMatchInlineSnapshot(`
      "%pad: float32[1, 2, 7, 9] = Pad(%x) {pads: [0, 0, 0, 1, 0, 0, 1, 2], value: 0, mode: "constant"}
      %conv: float32[1, 3, 3, 4] = Conv(%pad, @w) {strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1}
      output y = conv"
    `);
    const after = fusePad.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%conv: float32[1, 3, 3, 4] = Conv(%x, @w) {strides: [2, 2], pads: [0, 1, 1, 2], dilations: [1, 1], group: 1}
      output y = conv"
    `);
    expectEquivalent(before, after);
  });

  test("the average counts the padding", () => {
    const before = padded(spatialPad([1, 1, 0, 1]), intoAverage(pool([0, 0, 0, 0], { countIncludePad: false })));
    const after = fusePad.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%pool: float32[1, 2, 3, 3] = AveragePool(%x) {kernel: [3, 3], strides: [2, 2], pads: [1, 1, 0, 1], dilations: [1, 1], ceilMode: false, countIncludePad: true}
      output y = pool"
    `);
    expectEquivalent(before, after);
  });

  test("the maximum ignores zeros beside what is not negative", () => {
    const before = padded(spatialPad([1, 1, 1, 1]), intoMax(pool()), relu);
    const after = fusePad.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%relu: float32[1, 2, 6, 6] = Relu(%x)
      %pool: float32[1, 2, 3, 3] = MaxPool(%relu) {kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], dilations: [1, 1], ceilMode: false}
      output y = pool"
    `);
    expectEquivalent(before, after);
  });

  test.each([
    ["padding by another number", padded(spatialPad([1, 1, 1, 1], 1), intoConv())],
    ["reflection", padded(spatialPad([1, 1, 1, 1], 0, "reflect"), intoConv())],
    ["cropping", padded(spatialPad([-1, 1, 1, 1]), intoConv())],
    ["padding of channels", padded({ pads: [0, 1, 0, 0, 0, 0, 0, 0], value: 0, mode: "constant" }, (b, x) => b.add("Conv", [x, b.weight("w", [2, 3, 3, 3])], conv()))],
    ["a 1×1 convolution", padded(spatialPad([1, 1, 1, 1]), intoConv(1))],
    ["an average that does not count its own padding", padded(spatialPad([1, 1, 1, 1]), intoAverage(pool([1, 1, 0, 0], { countIncludePad: false })))],
    ["a maximum of numbers that may be negative", padded(spatialPad([1, 1, 1, 1]), intoMax(pool()))],
    ["a maximum that may see padding only", padded(spatialPad([3, 0, 0, 0]), intoMax(pool()), relu)],
  ])("does not fire on %s", (_, graph) => {
    expect(fusePad.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    const amount = fc.integer({ min: 0, max: 3 });
    const kinds = [
      intoConv(),
      intoConv(2),
      intoConv(3, 1),
      intoAverage(pool([1, 1, 1, 1], { countIncludePad: true })),
      intoAverage(pool([0, 0, 0, 0], { countIncludePad: false })),
    ];
    const maxima = [intoMax(pool()), intoMax(pool([1, 1, 0, 0])), intoMax(pool([0, 0, 0, 0], { dilations: [2, 1] }))];
    fc.assert(
      fc.property(fc.tuple(amount, amount, amount, amount), fc.constantFrom(...kinds, ...maxima), fc.boolean(), fc.nat(99), (pads, consumer, lowest, seed) => {
        const value = lowest && maxima.includes(consumer) ? Number.NEGATIVE_INFINITY : 0;
        const before = padded(spatialPad(pads, value), consumer, relu, seed);
        expectEquivalent(before, fusePad.run(before), seed);
      }),
      { numRuns: 100 },
    );
  });
});
