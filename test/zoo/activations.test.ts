import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { elementCount } from "../../src/ir/types.ts";
import { type ZooName, zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";

/** Root mean square of every convolution, sum and output, as onnxruntime computes them for normal pixels. */
async function scales(graph: Graph): Promise<Map<string, number>> {
  const watched = graph.nodes.filter((n) => ["Conv", "Add", "Gemm"].includes(n.op)).flatMap((n) => n.outputs.map((value) => ({ name: `watched.${n.name}`, value })));
  const session = await InferenceSession.create(exportOnnx({ ...graph, outputs: [...graph.outputs, ...watched] }), { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const shape = graph.inputs[0]?.type.shape ?? [];
  const random = createRandom(2, "pixels");
  const results = await session.run({
    input: new Tensor(
      "float32",
      Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
      shape,
    ),
  });
  await session.release();
  return new Map(Object.entries(results).map(([name, { data }]) => [name, Math.sqrt((data as Float32Array).reduce((sum, v) => sum + v * v, 0) / data.length)]));
}

describe("activations stay near unit size through the whole net", () => {
  const names: readonly ZooName[] = ["lenet5", "resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2", "inception_v3"];
  test.each(names.flatMap((name) => [0, 0.85].map((sparsity) => [name, sparsity] as const)))("%s at sparsity %d", async (name, sparsity) => {
    for (const [value, scale] of await scales(zooGraph(name, { sparsity }))) {
      expect(scale, value).toBeGreaterThan(0.1);
      expect(scale, value).toBeLessThan(10);
    }
  });
});
