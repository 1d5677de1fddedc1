import { describe, expect, test } from "vitest";
import { decodeArtifact } from "../../src/artifact/format.ts";
import type { TargetName } from "../../src/artifact/manifest.ts";
import { compile } from "../../src/compile/index.ts";
import { compressPostTraining, type PostTrainingOptions } from "../../src/compress/index.ts";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { targetsFor } from "../../src/runtime/features.ts";
import { createSession, detectFeatures } from "../../src/runtime/index.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { bars, tinyNet } from "../train/toy.ts";

const random = createRandom(3, "input");
const image = Float32Array.from({ length: 36 }, () => random.normal());

describe("a file of a net on levels", () => {
  test.each<[string, PostTrainingOptions]>([
    ["fitted", { bits: 4 }],
    ["rounded", { bits: 3, method: "magnitude" }],
    ["per tensor", { bits: 4, per: "tensor" }],
    ["pruned too", { bits: 4, sparsity: 0.6, scope: "layer" }],
  ])("has a few bits a weight, whatever BatchNorm is folded into it, and computes the same (%s)", async (_, options) => {
    const { graph } = await compressPostTraining(tinyNet(), { batch: 16, ...options }, bars(32), { makeStepper: interpreterStepper });
    const bytes = await compile(importOnnx(exportOnnx(graph)), { targets: [targetsFor(detectFeatures())[0] as TargetName] });
    const { constants } = decodeArtifact(bytes).manifest;
    for (const name of ["conv1.weight", "conv2.weight", "fc.weight"]) {
      const record = constants.find((c) => c.name.startsWith(name));
      const weights = record?.shape.reduce((a, b) => a * b, 1) as number;
      const groups = options.per === "tensor" && name !== "conv1.weight" ? 1 : (record?.shape[0] as number);
      expect(record?.encoding.levels?.bits).toBeLessThanOrEqual(4);
      expect(record?.bytes).toBeLessThanOrEqual(weights / 2 + 8 * groups + 4 * 31 + 4);
    }
    const session = await createSession(bytes, { threads: 1 });
    const expected = interpret(graph, { image: { dtype: "float32", shape: [1, 1, 6, 6], data: image } }).outputs.get("probabilities")?.data as Float32Array;
    const { probabilities } = await session.run({ image });
    expected.forEach((v, i) => expect(probabilities?.data[i]).toBeCloseTo(v, 5));
    await session.dispose();
  });
});
