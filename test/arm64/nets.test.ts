import { existsSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile/index.ts";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import { elementCount, float32Tensor } from "../../src/ir/types.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { runOnnxruntime } from "../frontend/onnxruntime.ts";
import { errorOf } from "../lower/compare.ts";
import { type Emulated, find, openEmulated, type Shell } from "./emulated.ts";

const resnet20 = "../shared/data/nets/cifar10_resnet20.onnx";
const nets = [
  ["lenet5", () => exportOnnx(zooGraph("lenet5"))],
  ["lenet5 pruned", () => exportOnnx(zooGraph("lenet5", { sparsity: 0.85 }))],
  ...(existsSync(resnet20) ? [["resnet20", () => new Uint8Array(readFileSync(resnet20))] as const] : []),
  ["mobilenet_v2", () => exportOnnx(zooGraph("mobilenet_v2"))],
  ["mobilenet_v2 pruned", () => exportOnnx(zooGraph("mobilenet_v2", { sparsity: 0.85 }))],
] as const satisfies readonly (readonly [name: string, model: () => Uint8Array])[];
/** The runtime's own choice, and what it must be; and the plain module where another one is better. */
const choices: Readonly<Record<Shell, readonly (readonly [target: string | undefined, ran: string])[]>> = {
  node: [
    [undefined, "wasm-arm64-relaxed"],
    ["wasm-arm64-plain", "wasm-arm64-plain"],
  ],
  jsc: [[undefined, "wasm-arm64-plain"]],
};

if (!existsSync(resnet20)) console.log(`skipped: ResNet-20 (${resnet20} is missing)`);

for (const shell of ["node", "jsc"] as const) {
  const found = await find(shell);
  if ("missing" in found) console.log(`skipped: nets on arm64 in ${shell}: ${found.missing}`);

  describe.skipIf("missing" in found)(`nets on arm64 in ${shell} compute what onnxruntime does`, { timeout: 240_000 }, () => {
    let engine: Emulated | undefined;
    afterAll(() => engine?.close());

    test.each(nets)("%s", async (_, read) => {
      const model = read();
      const random = createRandom(3, "pixels");
      const tensors = importOnnx(model).inputs.map(({ name: input, type: { shape } }) => {
        const data = Float32Array.from({ length: elementCount(shape) }, () => random.normal());
        return [input, { shape, data }] as const;
      });
      const feeds = Object.fromEntries(tensors);
      const [expected] = Object.values(await runOnnxruntime(model, Object.fromEntries(tensors.map(([input, { shape, data }]) => [input, float32Tensor(shape, data)]))));
      // As files are made for everybody: the runtime must find the module that is for this processor.
      const artifact = await compile(model);
      engine ??= openEmulated(shell, "command" in found ? found.command : []);
      for (const [target, ran] of choices[shell]) {
        const result = engine.run(artifact, feeds, { target });
        expect(result.target).toBe(ran);
        expect(errorOf(float32Tensor(expected?.shape ?? [], result.output), expected as NonNullable<typeof expected>), ran).toBeLessThan(1e-5);
      }
    });
  });
}
