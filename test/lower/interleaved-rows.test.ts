import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { SpmmProblem } from "../../src/kernels/wasm/f32-spmm.ts";
import { lower } from "../../src/lower/index.ts";
import type { KernelCall } from "../../src/lower/kernel-graph.ts";
import { optimize } from "../../src/passes/index.ts";
import { randomTensor, TestGraph } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";

const [channels, size] = [20, 12];
const target = { ...targets["wasm-x64-relaxed"], interleavedBytes: 4 * channels * size * size };

interface Case {
  readonly zeros: number;
  readonly w: number;
  readonly stride: number;
  readonly channels: number;
  /** What else reads the value between the convolutions. */
  readonly reader: "none" | "depthwise" | "output";
}

const usual: Case = { zeros: 0, w: size, stride: 1, channels, reader: "none" };

/** Two 1×1 convolutions; without stride also a third, whose residual is what lies between them, and a fourth behind it. */
function pointwiseNet(part: Partial<Case>): Graph {
  const { zeros, w, stride, channels: m, reader } = { ...usual, ...part };
  const b = new TestGraph(3);
  const conv = (x: Parameters<TestGraph["add"]>[1][number], name: string, shape: [number, ...number[]], attrs = {}) => {
    const weight = b.weight(name, shape);
    weight.data.forEach((_, i) => {
      if ((i * 7919) % 100 < zeros * 100) weight.data[i] = 0;
    });
    return b.add("Conv", [x, weight, b.weight(`${name}.b`, [shape[0]])], { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, ...attrs });
  };
  const between = b.add("Relu", [conv(b.image("x", [1, 8, size, w]), "first", [m, 8, 1, 1])]);
  b.output("y", b.add("Relu", [conv(between, "second", [m, m, 1, 1], { strides: [stride, stride] })]));
  if (stride === 1) b.output("sum", conv(b.add("Relu", [b.add("Add", [conv(between, "third", [m, m, 1, 1]), between])]), "fourth", [8, m, 1, 1]));
  if (reader === "depthwise") b.output("z", conv(between, "depthwise", [m, 1, 3, 3], { group: m, pads: [1, 1, 1, 1] }));
  if (reader === "output") b.output("z", between);
  return b.finish();
}

/** Elements from one plane to the next of what the first convolution writes. */
function firstOutStride(part: Partial<Case>): number {
  const [first] = lower(optimize(pointwiseNet(part)), target).calls.filter((c) => ["f32-gemm", "f32-spmm"].includes(c.template.name));
  return ((first as KernelCall).problem as SpmmProblem).outStride;
}

const interleaved: readonly Partial<Case>[] = [{}, { zeros: 0.8 }];
const strided: readonly Partial<Case>[] = [{ stride: 2 }, { zeros: 0.8, stride: 2 }];
const planes: readonly Partial<Case>[] = [{ w: 14 }, { channels: channels - 4 }, { reader: "depthwise" }, { reader: "output" }];

describe("interleaved rows", () => {
  test.each(interleaved)("are for large values that only 1×1 convolutions read: %o", (part) => expect(firstOutStride(part)).toBe(size));

  test.each(planes)("are not for others: %o", (part) => expect(firstOutStride(part)).toBeGreaterThanOrEqual(size * size));

  test.each([...interleaved, ...planes, ...strided])("compute the same: %o", (part) => {
    expectSame(pointwiseNet(part), { x: randomTensor([1, 8, size, part.w ?? size], 5) }, target);
  });
});
