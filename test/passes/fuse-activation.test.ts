import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Activation } from "../../src/ir/activation.ts";
import { activationExpr } from "../../src/ir/activation.ts";
import { e, evaluateExpr } from "../../src/ir/expr.ts";
import type { Attrs } from "../../src/ir/graph.ts";
import { composeActivations, fuseActivation } from "../../src/passes/fuse-activation.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

function convThen(op: string, attrs: Attrs = {}, seed = 0) {
  const b = new TestGraph(seed);
  const y = b.add("Conv", [b.image("x", [1, 2, 4, 4]), b.weight("w", [3, 2, 3, 3]), b.weight("b", [3])], conv(1), "conv");
  b.output("result", b.add(op, [y], attrs, "act"));
  return b;
}
const activations: readonly (readonly [string, Attrs])[] = [
  ["Relu", {}],
  ["Clip", { min: 0, max: 6 }],
  ["LeakyRelu", { alpha: 0.1 }],
  ["Sigmoid", {}],
  ["HardSigmoid", { alpha: 0.2, beta: 0.5 }],
  ["HardSwish", {}],
  ["Tanh", {}],
  ["Elu", { alpha: 1 }],
  ["Map", { expr: e.mul(e.input(0), e.sigmoid(e.input(0))) }],
];

describe("fuse-activation", () => {
  test("Relu becomes a clamp of the convolution's result, under the Relu's name", () => {
    const before = convThen("Relu").finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%conv: float32[1, 3, 4, 4] = Conv(%x, @w, @b) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %act: float32[1, 3, 4, 4] = Relu(%conv)
      output result = act"
    `);
    const after = fuseActivation.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%act: float32[1, 3, 4, 4] = FusedConv(%x, @w, @b) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1, activation: relu}
      output result = act"
    `);
    expect(after.nodes[0]?.name).toBe("conv");
    expectEquivalent(before, after);
  });

  test("LeakyRelu becomes an expression of a Gemm's result", () => {
    const b = new TestGraph();
    const y = b.add("Gemm", [b.image("x", [1, 4]), b.weight("w", [3, 4])], { alpha: 1, beta: 1, transA: false, transB: true }, "fc");
    b.output("y", b.add("LeakyRelu", [y], { alpha: 0.25 }, "act"));
    const before = b.finish();
    const after = fuseActivation.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%act: float32[1, 3] = FusedGemm(%x, @w) {alpha: 1, beta: 1, transA: false, transB: true, activation: select(lt(x0, 0), mul(x0, 0.25), x0)}
      output y = act"
    `);
    expectEquivalent(before, after);
  });

  test("does not fire where something else reads the convolution, or the function takes a second tensor", () => {
    const b = convThen("Relu");
    b.output("raw", b.resultOf(0));
    const shared = b.finish();
    expect(fuseActivation.run(shared)).toBe(shared);
    const two = new TestGraph();
    const x = two.image("x", [1, 2, 4, 4]);
    two.output("y", two.add("Map", [two.add("Conv", [x, two.weight("w", [2, 2, 1, 1])], conv()), x], { expr: e.mul(e.input(0), e.input(1)) }));
    const graph = two.finish();
    expect(fuseActivation.run(graph)).toBe(graph);
  });

  test("computes the same, one activation or two", () => {
    const some = fc.constantFrom(...activations);
    fc.assert(
      fc.property(some, fc.option(some), fc.nat(1000), ([op, attrs], second, seed) => {
        const b = convThen(op, attrs, seed);
        if (second !== null) b.output("again", b.add(second[0], [b.nodes.at(-1)?.outputs[0]], second[1]));
        const graph = b.finish();
        const before = second === null ? graph : { ...graph, outputs: graph.outputs.slice(1) };
        const after = fuseActivation.run(before);
        expect(after.nodes.map((n) => n.op)).toEqual(["FusedConv"]);
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 40 },
    );
  });

  test("two clamps compose to the clamp that acts like both", () => {
    const bound = fc.tuple(fc.integer({ min: -5, max: 5 }), fc.integer({ min: -5, max: 5 }));
    fc.assert(
      fc.property(bound, bound, fc.integer({ min: -8, max: 8 }), ([a, b], [c, d], x) => {
        const clamp = (p: number, q: number): Activation => ({ kind: "clamp", low: Math.min(p, q), high: Math.max(p, q) });
        const [first, second] = [clamp(a, b), clamp(c, d)];
        const both = composeActivations(first, second);
        expect(both.kind).toBe("clamp");
        const apply = (f: Activation, v: number) => evaluateExpr(activationExpr(f), [v]);
        expect(apply(both, x)).toBe(apply(second, apply(first, x)));
      }),
    );
  });
});
