import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { noActivation, relu } from "../../src/ir/activation.ts";
import { fuseActivation } from "../../src/passes/fuse-activation.ts";
import { fuseResidual } from "../../src/passes/fuse-residual.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

/** relu(conv2(relu(conv1(x))) + shortcut(x)), with the shortcut a convolution or x itself, on either side. */
function block(projected: boolean, swapped: boolean, seed = 0) {
  const b = new TestGraph(seed);
  const x = b.image("x", [1, 3, 4, 4]);
  const inner = b.add("Relu", [b.add("Conv", [x, b.weight("w1", [3, 3, 3, 3])], conv(1), "conv1")], {}, "relu1");
  const main = b.add("Conv", [inner, b.weight("w2", [3, 3, 3, 3])], conv(1), "conv2");
  const shortcut = projected ? b.add("Conv", [x, b.weight("w3", [3, 3, 1, 1])], conv(), "shortcut") : x;
  const sum = b.add("Add", swapped ? [shortcut, main] : [main, shortcut], {}, "sum");
  b.output("result", b.add("Relu", [sum], {}, "relu2"));
  return b.finish();
}

describe("fuse-residual", () => {
  test("the later of two convolutions adds the result of the other", () => {
    const before = block(true, false);
    expect(text(before)).toMatchInlineSnapshot(`
      "%conv1: float32[1, 3, 4, 4] = Conv(%x, @w1) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %relu1: float32[1, 3, 4, 4] = Relu(%conv1)
      %conv2: float32[1, 3, 4, 4] = Conv(%relu1, @w2) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %shortcut: float32[1, 3, 4, 4] = Conv(%x, @w3) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1}
      %sum: float32[1, 3, 4, 4] = Add(%conv2, %shortcut)
      %relu2: float32[1, 3, 4, 4] = Relu(%sum)
      output result = relu2"
    `);
    const after = fuseResidual.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%conv1: float32[1, 3, 4, 4] = Conv(%x, @w1) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %relu1: float32[1, 3, 4, 4] = Relu(%conv1)
      %conv2: float32[1, 3, 4, 4] = Conv(%relu1, @w2) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %sum: float32[1, 3, 4, 4] = FusedConv(%x, @w3, _, %conv2) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, activation: none}
      %relu2: float32[1, 3, 4, 4] = Relu(%sum)
      output result = relu2"
    `);
    expectEquivalent(before, after);
  });

  test("the activation after the Add joins it", () => {
    const after = fuseActivation.run(fuseResidual.run(block(false, true)));
    expect(text(after)).toMatchInlineSnapshot(`
      "%relu1: float32[1, 3, 4, 4] = FusedConv(%x, @w1) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1, activation: relu}
      %relu2: float32[1, 3, 4, 4] = FusedConv(%relu1, @w2, _, %x) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1, activation: relu}
      output result = relu2"
    `);
    expectEquivalent(block(false, true), after);
  });

  test("a residual that is computed after the convolution is known where the fused node stands", () => {
    const b = new TestGraph();
    const x = b.image("x", [1, 2, 3, 3]);
    const y = b.add("Conv", [x, b.weight("w", [2, 2, 1, 1])], conv(), "conv");
    const late = b.add("Sigmoid", [x], {}, "late");
    b.output("y", b.add("Add", [y, late], {}, "sum"));
    const before = b.finish();
    const after = fuseResidual.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%late: float32[1, 2, 3, 3] = Sigmoid(%x)
      %sum: float32[1, 2, 3, 3] = FusedConv(%x, @w, _, %late) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, activation: none}
      output y = sum"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire after an activation, on a broadcast, or where the convolution is read twice", () => {
    const activated = new TestGraph();
    const x = activated.image("x", [1, 2, 3, 3]);
    activated.output("y", activated.add("Add", [activated.add("FusedConv", [x, activated.weight("w", [2, 2, 1, 1])], { ...conv(), activation: relu }), x]));
    const broadcast = new TestGraph();
    const linear = broadcast.add("FusedConv", [broadcast.image("x", [1, 2, 3, 3]), broadcast.weight("w", [2, 2, 1, 1])], { ...conv(), activation: noActivation });
    broadcast.output("y", broadcast.add("Add", [linear, broadcast.image("channel", [1, 2, 1, 1])]));
    const twice = new TestGraph();
    const y = twice.add("Conv", [twice.image("x", [1, 2, 3, 3]), twice.weight("w", [2, 2, 1, 1])], conv());
    twice.output("y", twice.add("Add", [y, y]));
    for (const graph of [activated, broadcast, twice].map((b) => b.finish())) expect(fuseResidual.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), fc.nat(1000), (projected, swapped, seed) => {
        const before = block(projected, swapped, seed);
        const after = fuseResidual.run(before);
        expect(after.nodes.some((n) => n.op === "Add")).toBe(false);
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 12 },
    );
  });
});
