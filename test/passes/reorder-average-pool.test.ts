import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { reorderAveragePool } from "../../src/passes/reorder-average-pool.ts";
import { conv, expectEquivalent, TestGraph, text } from "./helpers.ts";

interface Case {
  readonly order: "pool, conv" | "conv, pool";
  readonly channels: number;
  readonly filters: number;
  readonly stride: number;
  readonly pad: number;
  readonly countIncludePad: boolean;
  readonly ceilMode: boolean;
  readonly bias: boolean;
  readonly kernel: number;
  readonly seed: number;
}

const usual: Case = { order: "pool, conv", channels: 6, filters: 2, stride: 1, pad: 1, countIncludePad: false, ceilMode: false, bias: true, kernel: 1, seed: 0 };

function build(part: Partial<Case>): TestGraph {
  const { order, channels, filters, stride, pad, countIncludePad, ceilMode, bias, kernel, seed } = { ...usual, ...part };
  const b = new TestGraph(seed);
  const attrs = { kernel: [3, 3], strides: [stride, stride], pads: [pad, pad, pad, pad], dilations: [1, 1], ceilMode, countIncludePad };
  const convolve = (x: Parameters<TestGraph["add"]>[1][number]) =>
    b.add("Conv", [x, b.weight("w", [filters, channels, kernel, kernel]), ...(bias ? [b.weight("b", [filters])] : [])], conv(kernel >> 1), "conv");
  const x = b.image("x", [1, channels, 8, 7]);
  const y = order === "pool, conv" ? convolve(b.add("AveragePool", [x], attrs, "pool")) : b.add("AveragePool", [convolve(x)], attrs, "pool");
  b.output("y", b.add("Relu", [y], {}, "relu"));
  return b;
}

const opsOf = (part: Partial<Case>): string[] => reorderAveragePool.run(build(part).finish()).nodes.map((n) => n.op);

describe("reorder-average-pool", () => {
  test("convolves first where fewer channels are left to pool", () => {
    const before = build({}).finish();
    const after = reorderAveragePool.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%conv_1: float32[1, 2, 8, 7] = Conv(%x, @w, @b) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1}
      %conv: float32[1, 2, 8, 7] = AveragePool(%conv_1) {kernel: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], ceilMode: false, countIncludePad: false}
      %relu: float32[1, 2, 8, 7] = Relu(%conv)
      output y = relu"
    `);
    expectEquivalent(before, after);
    expect(reorderAveragePool.run(after)).toBe(after);
  });

  test("pools first where fewer pixels are left to convolve", () => {
    const before = build({ order: "conv, pool", stride: 2, channels: 4, filters: 6 }).finish();
    const after = reorderAveragePool.run(before);
    expect(after.nodes.map((n) => n.op)).toEqual(["AveragePool", "Conv", "Relu"]);
    expectEquivalent(before, after);
  });

  test("leaves what saves nothing or would not be the same", () => {
    expect(opsOf({ filters: 6 })).toEqual(["AveragePool", "Conv", "Relu"]);
    expect(opsOf({ stride: 2, filters: 5 })).toEqual(["AveragePool", "Conv", "Relu"]);
    expect(opsOf({ kernel: 3 })).toEqual(["AveragePool", "Conv", "Relu"]);
    expect(opsOf({ countIncludePad: true })).toEqual(["AveragePool", "Conv", "Relu"]);
    expect(opsOf({ countIncludePad: true, bias: false })).toEqual(["Conv", "AveragePool", "Relu"]);
    expect(opsOf({ countIncludePad: true, pad: 0, order: "conv, pool", stride: 2, channels: 4, filters: 6 })).toEqual(["AveragePool", "Conv", "Relu"]);
    const read = build({});
    read.output("pooled", read.resultOf(0));
    const graph = read.finish();
    expect(reorderAveragePool.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    const cases = fc.record({
      order: fc.constantFrom<Case["order"]>("pool, conv", "conv, pool"),
      channels: fc.constantFrom(2, 6, 3),
      filters: fc.constantFrom(2, 5, 1),
      stride: fc.constantFrom(1, 2),
      pad: fc.constantFrom(1, 0),
      countIncludePad: fc.boolean(),
      ceilMode: fc.boolean(),
      bias: fc.boolean(),
      kernel: fc.constantFrom(1, 1, 3),
      seed: fc.nat(99),
    });
    fc.assert(
      fc.property(cases, (part) => {
        const before = build(part).finish();
        expectEquivalent(before, reorderAveragePool.run(before));
      }),
      { numRuns: 60 },
    );
  });
});
