import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import { elementCount, float32Tensor, type Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { verify } from "../../src/ops/verify.ts";
import { optimize } from "../../src/passes/index.ts";
import { expectClose } from "./compare.ts";
import { runOnnxruntime } from "./onnxruntime.ts";

const folder = "../shared/data/nets";
const present = existsSync(folder);
if (!present) console.log(`skipped: trained nets (${folder} is missing)`);

/** Ops after import: nothing of the shape arithmetic around the shortcuts of the ResNets is left. */
const nets: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  cifar10_resnet20: { Conv: 19, BatchNormalization: 19, Relu: 19, Add: 9, Slice: 4, Pad: 2, AveragePool: 1, Reshape: 1, Gemm: 1 },
  cifar10_resnet56: { Conv: 55, BatchNormalization: 55, Relu: 55, Add: 27, Slice: 4, Pad: 2, AveragePool: 1, Reshape: 1, Gemm: 1 },
  "mobilenet_v1_0.25_224_bn": { Conv: 27, BatchNormalization: 27, Clip: 27, GlobalAveragePool: 1, Reshape: 1, Gemm: 1 },
  "mobilenet_v1_1.0_224": { Conv: 28, Clip: 27, GlobalAveragePool: 1, Reshape: 1, Softmax: 1 },
  "mobilenet_v2_1.0_224": { Conv: 53, Clip: 35, Add: 10, GlobalAveragePool: 1, Reshape: 1, Softmax: 1 },
};

const load = (name: string) => new Uint8Array(readFileSync(`${folder}/${name}.onnx`));

function histogram(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of graph.nodes) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

/** Reproducible pixels in −1 … 1 for the first input. */
function feedsFor(graph: Graph): Record<string, Tensor> {
  const [input] = graph.inputs;
  const shape = input?.type.shape ?? [];
  return {
    [input?.name ?? ""]: float32Tensor(
      shape,
      Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i * 0.37) * Math.cos(i * 0.011)),
    ),
  };
}

describe.skipIf(!present).each(Object.entries(nets))("%s", (name, ops) => {
  test("imports to canonical ops alone, under the file's names", () => {
    const graph = importOnnx(load(name));
    expect(histogram(graph)).toEqual(ops);
    expect(graph.inputs.map((i) => i.name)).toEqual(["input"]);
    expect(graph.inputs[0]?.type.shape[0]).toBe(1);
    verify(graph);
  });

  test("written and read again is the same graph", () => {
    const graph = importOnnx(load(name));
    expect(printGraph(importOnnx(exportOnnx(graph)))).toBe(printGraph(graph));
  });

  test("written, at any opset and with a symbolic batch, gives the same outputs in onnxruntime", async () => {
    const bytes = load(name);
    const graph = importOnnx(bytes);
    const feeds = feedsFor(graph);
    const expected = await runOnnxruntime(bytes, feeds);
    for (const options of [{}, { opset: 21 }, { dynamicBatch: true }]) {
      const actual = await runOnnxruntime(exportOnnx(graph, options), feeds);
      for (const { name: output } of graph.outputs) expectClose(actual[output], expected[output], 1e-6);
    }
    const optimized = await runOnnxruntime(exportOnnx(optimize(graph)), feeds);
    for (const { name: output } of graph.outputs) expectClose(optimized[output], expected[output], 1e-5);
    const two = importOnnx(bytes, { inputShapes: { input: [2, ...(graph.inputs[0]?.type.shape.slice(1) ?? [])] } });
    const batch = await runOnnxruntime(exportOnnx(graph, { dynamicBatch: true }), feedsFor(two));
    const both = await runOnnxruntime(bytes, feedsFor(two));
    for (const { name: output } of graph.outputs) expectClose(batch[output], both[output], 1e-6);
  });
});

test.skipIf(!present)("the reference semantics agree with onnxruntime on a whole net", async () => {
  const bytes = load("cifar10_resnet20");
  const graph = importOnnx(bytes);
  const feeds = feedsFor(graph);
  const expected = await runOnnxruntime(bytes, feeds);
  const { outputs } = interpret(graph, feeds);
  for (const { name } of graph.outputs) expectClose(outputs.get(name), expected[name], 1e-5);
});
