import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConstantValue } from "../../src/ir/graph.ts";
import { foldBatchNorm, lowerBatchNorm } from "../../src/passes/fold-batch-norm.ts";
import { originalName } from "../../src/passes/index.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

function convNorm(bias = true, seed = 0, [channels, filters, group]: readonly [number, number, number] = [4, 6, 1]) {
  const b = new TestGraph(seed);
  const x = b.image("x", [1, channels, 5, 5]);
  const w = b.weight("conv.weight", [filters, channels / group, 3, 3], (v) => (Math.abs(v) < 0.5 ? 0 : v));
  const y = b.add("Conv", [x, w, bias ? b.weight("conv.bias", [filters]) : undefined], conv(1, 1, group), "conv");
  const z = b.add("BatchNormalization", [y, ...b.statistics("bn", filters)], { epsilon: 1e-5 }, "bn");
  b.output("result", z);
  return b;
}

describe("fold-batch-norm", () => {
  test("folds into the convolution before it", () => {
    const before = convNorm().finish();
    expect(text(before)).toMatchInlineSnapshot(`
      "%conv: float32[1, 6, 5, 5] = Conv(%x, @conv.weight, @conv.bias) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %bn: float32[1, 6, 5, 5] = BatchNormalization(%conv, @bn.scale, @bn.bias, @bn.mean, @bn.var) {epsilon: 0.00001}
      output result = bn"
    `);
    const after = foldBatchNorm.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%bn: float32[1, 6, 5, 5] = Conv(%x, @conv.weight.folded, @conv.bias.folded) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      output result = bn"
    `);
    expectEquivalent(before, after);
  });

  test("makes a bias where there is none, named after the normalization's", () => {
    const before = convNorm(false).finish();
    const after = foldBatchNorm.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%bn: float32[1, 6, 5, 5] = Conv(%x, @conv.weight.folded, @bn.bias.folded) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      output result = bn"
    `);
    expectEquivalent(before, after);
  });

  test("keeps zeros, their sign and the user's name of the weight", () => {
    const before = convNorm().finish();
    const w = before.nodes[0]?.inputs[1] as ConstantValue;
    const folded = foldBatchNorm.run(before).nodes[0]?.inputs[1] as ConstantValue;
    const zerosOf = (c: ConstantValue) => Array.from(c.data as Float32Array, (v) => Object.is(v, 0));
    expect(zerosOf(w)).toContain(true);
    expect(zerosOf(folded)).toEqual(zerosOf(w));
    expect(originalName(folded.name)).toBe("conv.weight");
  });

  test("scales the levels of a quantized weight with its channels", () => {
    const b = new TestGraph();
    const x = b.image("x", [1, 2, 3, 3]);
    const levels = [Float32Array.of(-0.5, 0.5), Float32Array.of(-0.25, 0.25)];
    const data = Float32Array.of(0.5, -0.5, 0.25, 0);
    const w = b.constant("w", { dtype: "float32", shape: [2, 2, 1, 1], data }, { kind: "quantized", bits: 1, levels });
    b.output("y", b.add("BatchNormalization", [b.add("Conv", [x, w], conv(), "conv"), ...b.statistics("bn", 2)], { epsilon: 0 }));
    const folded = foldBatchNorm.run(b.finish()).nodes[0]?.inputs[1] as ConstantValue;
    if (folded.encoding?.kind !== "quantized") throw new Error("not quantized");
    const [first, second] = folded.encoding.levels as [Float32Array, Float32Array];
    expect([...(folded.data as Float32Array)]).toEqual([first[1], first[0], second[1], 0]);
  });

  test.each(["Gemm", "Gemm transB", "ConvTranspose"])("folds into %s", (kind) => {
    const b = new TestGraph();
    const transB = kind === "Gemm transB";
    const y =
      kind === "ConvTranspose"
        ? b.add("ConvTranspose", [b.image("x", [1, 4, 3, 3]), b.weight("w", [4, 3, 2, 2])], { ...conv(0, 2, 2), outputPadding: [0, 0] })
        : b.add("Gemm", [b.image("x", [2, 4]), b.weight("w", transB ? [6, 4] : [4, 6]), b.weight("c", [6])], { alpha: 0.5, beta: 2, transA: false, transB });
    b.output("y", b.add("BatchNormalization", [y, ...b.statistics("bn", 6)], { epsilon: 1e-3 }));
    const before = b.finish();
    const after = foldBatchNorm.run(before);
    expect(after.nodes.map((n) => n.op)).toEqual([kind.split(" ")[0]]);
    expectEquivalent(before, after);
  });

  test("does not fire where the convolution's own result is wanted, or its weight is not constant", () => {
    const b = convNorm();
    b.output("raw", b.resultOf(0));
    const shared = b.finish();
    expect(foldBatchNorm.run(shared)).toBe(shared);
    const fed = new TestGraph();
    const y = fed.add("Conv", [fed.image("x", [1, 2, 4, 4]), fed.image("w", [3, 2, 1, 1])], conv());
    fed.output("y", fed.add("BatchNormalization", [y, ...fed.statistics("bn", 3)], { epsilon: 1e-5 }));
    const graph = fed.finish();
    expect(foldBatchNorm.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.nat(1000), fc.constantFrom([4, 6, 1] as const, [4, 4, 4] as const, [6, 4, 2] as const), (bias, seed, sizes) => {
        const before = convNorm(bias, seed, sizes).finish();
        expectEquivalent(before, foldBatchNorm.run(before), seed);
      }),
      { numRuns: 20 },
    );
  });
});

describe("lower-batch-norm", () => {
  test("turns what is left into a map with one number a channel", () => {
    const b = new TestGraph();
    b.output("y", b.add("BatchNormalization", [b.image("x", [2, 3, 2, 2]), ...b.statistics("bn", 3)], { epsilon: 1e-5 }, "bn"));
    const before = b.finish();
    const after = lowerBatchNorm.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%bn: float32[2, 3, 2, 2] = Map(%x, @bn.scale.folded, @bn.bias.folded) {expr: add(mul(x0, x1), x2)}
      output y = bn"
    `);
    expectEquivalent(before, after);
  });
});
