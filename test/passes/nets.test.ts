import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { type ZooName, zooGraph } from "../../src/zoo/index.ts";
import { expectEquivalent, histogram } from "./helpers.ts";

const tail = { GlobalAveragePool: 1, Reshape: 1, Gemm: 1 };

/** What is left of each net: every Conv takes its BatchNorm, its residual and its activation with it. */
const zooOps: Partial<Record<ZooName, Record<string, number>>> = {
  lenet5: { Conv: 2, MaxPool: 2, Reshape: 1, FusedGemm: 1, Gemm: 1 },
  resnet18: { FusedConv: 17, Conv: 3, MaxPool: 1, ...tail },
  resnet50: { FusedConv: 49, Conv: 4, MaxPool: 1, ...tail },
  mobilenet_v1: { FusedConv: 27, ...tail },
  mobilenet_v2: { FusedConv: 45, Conv: 7, ...tail },
  inception_v3: { FusedConv: 94, MaxPool: 4, AveragePool: 9, Concat: 15, ...tail },
};

const trainedOps: Record<string, Record<string, number>> = {
  cifar10_resnet20: { FusedConv: 19, Slice: 2, Pad: 2, ...tail },
  cifar10_resnet56: { FusedConv: 55, Slice: 2, Pad: 2, ...tail },
  "mobilenet_v1_0.25_224_bn": { FusedConv: 27, ...tail },
  "mobilenet_v1_1.0_224": { FusedConv: 27, Conv: 1, GlobalAveragePool: 1, Reshape: 1, Softmax: 1 },
  "mobilenet_v2_1.0_224": { FusedConv: 45, Conv: 8, GlobalAveragePool: 1, Reshape: 1, Softmax: 1 },
};

describe("nets of the zoo", () => {
  test.each(Object.entries(zooOps))("%s", (name, expected) => {
    expect(histogram(optimize(zooGraph(name as ZooName), { verify: true }))).toEqual(expected);
  });

  test("all rules together take milliseconds, apart from arithmetic on weights", () => {
    const graph = zooGraph("inception_v3");
    optimize(graph);
    const times = Array.from({ length: 3 }, () => {
      const start = performance.now();
      optimize(graph, { disable: ["fold-batch-norm", "fold-scale-shift"] });
      return performance.now() - start;
    });
    expect(Math.min(...times)).toBeLessThan(400);
  });
});

const folder = new URL("../../../shared/data/nets/", import.meta.url);
const available = existsSync(folder);
if (!available) console.log("skipped: no ../shared/data/nets");

describe.skipIf(!available)("trained nets", () => {
  const load = (name: string) => importOnnx(new Uint8Array(readFileSync(new URL(`${name}.onnx`, folder))));

  test.each(Object.entries(trainedOps))("%s", (name, expected) => {
    expect(histogram(optimize(load(name), { verify: true }))).toEqual(expected);
  });

  test("cifar10_resnet20 computes the same", () => {
    const before = load("cifar10_resnet20");
    expectEquivalent(before, optimize(before));
  });
});
