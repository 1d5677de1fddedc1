import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { type LowerOptions, lower } from "../../src/lower/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { randomTensor, TestGraph } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";

const usual = { n: 1, channels: 24, filters: 20, h: 16, w: 16, kernel: 3, stride: 1, dilation: 1, pad: 1, group: 1, zeros: 0, residual: false };

function convolution(part: Partial<typeof usual>): Graph {
  const { n, channels, filters, h, w, kernel, stride, dilation, pad, group, zeros, residual } = { ...usual, ...part };
  const b = new TestGraph(3);
  const weight = b.weight("w", [filters, channels / group, kernel, kernel]);
  weight.data.forEach((_, i) => {
    if ((i * 7919) % 100 < zeros * 100) weight.data[i] = 0;
  });
  const attrs = { strides: [stride, stride], pads: [pad, pad, pad, pad], dilations: [dilation, dilation], group };
  const sum = b.add("Conv", [b.image("x", [n, channels, h, w]), weight, b.weight("b", [filters])], attrs);
  const y = residual ? b.add("Add", [sum, b.image("r", sum.type.shape)]) : sum;
  b.output("y", b.add("Relu", [y]));
  return b.finish();
}

const kernels = (graph: Graph, options: LowerOptions = {}, target = targets["wasm-x64-relaxed"]) => lower(optimize(graph), target, options).calls.map((c) => c.template.name);

describe("convolutions by Winograd's algorithm", () => {
  test.each(Object.values(targets).map((t) => [t.name, t] as const))("are taken for dense weights on %s", (_, target) =>
    expect(kernels(convolution({}), {}, target)).toContain("f32-winograd"),
  );

  test("are not taken where they are switched off, or would not be right or fast", () => {
    expect(kernels(convolution({}), { winograd: false })).not.toContain("f32-winograd");
    for (const part of [{ stride: 2 }, { dilation: 2 }, { kernel: 7 }, { kernel: 5, pad: 2, residual: true }, { kernel: 1, pad: 0 }, { h: 3 }, { zeros: 0.95 }])
      expect(kernels(convolution(part)), JSON.stringify(part)).not.toContain("f32-winograd");
  });

  test.each([
    { kernel: 5, pad: 2 },
    { kernel: 7, stride: 2, pad: 3, w: 30, h: 31, channels: 12 },
    { kernel: 5, stride: 2, pad: 1, w: 29, h: 30 },
    { kernel: 11, stride: 4, pad: 2, w: 67, h: 63, channels: 6 },
  ])("are taken for larger windows and the phases of strided ones: %o", (part) => {
    const graph = convolution(part);
    for (const target of Object.values(targets)) {
      expect(kernels(graph, {}, target)).toContain("f32-winograd");
      expectSame(graph, { x: randomTensor(graph.inputs[0]?.type.shape as number[], 5) }, target, 1e-5);
    }
  });

  const sizes = fc.record({
    n: fc.constantFrom(1, 2),
    channels: fc.constantFrom(24, 40),
    filters: fc.constantFrom(20, 34, 48),
    h: fc.constantFrom(7, 14, 33, 8, 5),
    w: fc.constantFrom(7, 14, 19, 8, 30),
    pad: fc.constantFrom(1, 0),
    group: fc.constantFrom(1, 2),
    zeros: fc.constantFrom(0, 0.3),
    residual: fc.boolean(),
  });

  test("compute what the reference semantics say, to the same bits on any number of threads", () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(...Object.values(targets)), (size, target) => {
        const graph = convolution(size);
        const feeds = Object.fromEntries(graph.inputs.map((v, i) => [v.name, randomTensor(v.type.shape, 5 + i)]));
        expectSame(graph, feeds, target, 1e-5);
      }),
      { numRuns: Number(process.env.RUNS ?? 20) },
    );
  });

  test("several in a row, with 256 channels, stay within 1e-5 of the range", () => {
    const b = new TestGraph(4);
    let x = b.add("Conv", [b.image("x", [1, 32, 12, 12]), b.weight("w0", [256, 32, 3, 3])], { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 });
    for (const i of [1, 2]) {
      const sum = b.add("Conv", [x, b.weight(`w${i}`, [i === 2 ? 16 : 64, x.type.shape[1] as number, 3, 3])], { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 });
      x = b.add("Relu", [sum]);
    }
    b.output("y", x);
    const graph = b.finish();
    expect(kernels(graph).filter((name) => name === "f32-winograd")).toHaveLength(3);
    expectSame(graph, { x: randomTensor([1, 32, 12, 12], 6) });
  });
});
