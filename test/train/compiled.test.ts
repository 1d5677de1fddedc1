import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile/index.ts";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import { type Graph, parametersOf } from "../../src/ir/graph.ts";
import { elementCount } from "../../src/ir/types.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";
import { createSession } from "../../src/runtime/index.ts";
import { imageDataset } from "../../src/train/data/dataset.ts";
import { accuracyOf, predict } from "../../src/train/evaluate.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { sessionStepper } from "../../src/train/session-stepper.ts";
import { train } from "../../src/train/trainer.ts";
import { makeTrainingGraph, type TrainingGraphOptions } from "../../src/train/training-graph.ts";
import { prepareNet, weightsOf } from "../../src/train/weights.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { bars, tinyNet } from "./toy.ts";

const kernels = (threads: number) => sessionStepper(async (graph) => createSession(await compile(graph), { threads }));

beforeAll(() => {
  enableRelaxedSimd();
});

/** Runs some steps both by kernels and by reference semantics and compares every parameter. */
async function compare(net: Graph, options: TrainingGraphOptions, { steps = 2, threads = 1 } = {}): Promise<void> {
  const training = makeTrainingGraph(net, options);
  const [compiled, reference] = [await kernels(threads)(training.graph), await interpreterStepper(training.graph)];
  const random = createRandom(1, "step");
  const names = parametersOf(training.graph).map((p) => p.name);
  try {
    for (const name of [...training.targets, ...training.masks]) {
      const resident = (await reference.readParameter(name)).map((v) => (name.endsWith(".mask") ? Number(random.uniform() < 0.5) : 0.9 * v));
      for (const stepper of [compiled, reference]) await stepper.writeParameter(name, resident);
    }
    for (let step = 1; step <= steps; step++) {
      const feeds = Object.fromEntries(
        training.graph.inputs.map(({ name, type }) => {
          const count = elementCount(type.shape);
          if (type.dtype === "int32") return [name, Int32Array.from({ length: count }, (_, i) => (i * 7) % training.classes)];
          if (type.shape.length === 0) return [name, Float32Array.of(name === training.inputs.learningRate ? 0.01 : 0.5)];
          return [name, Float32Array.from({ length: count }, () => (name === training.inputs.teacher ? 1 / training.classes : random.normal()))];
        }),
      );
      const [a, b] = [await compiled.run(feeds), await reference.run(feeds)];
      expect(a.loss?.[0]).toBeCloseTo(b.loss?.[0] as number, 3);
      expect(a.correct?.[0]).toBe(b.correct?.[0]);
      for (const name of names) {
        const [p, q] = [await compiled.readParameter(name), await reference.readParameter(name)];
        const scale = q.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-6);
        const worst = p.reduce((m, v, i) => Math.max(m, Math.abs(v - (q[i] as number))), 0) / scale;
        expect(worst, `${name} after step ${step}`).toBeLessThan(2e-4);
      }
    }
  } finally {
    await compiled.dispose();
  }
}

describe("training steps on generated kernels against the interpreter", () => {
  const optimizers = [
    { kind: "sgd", momentum: 0.9, weightDecay: 0.01 },
    { kind: "sgd", momentum: 0.9, nesterov: true },
    { kind: "sgd", momentum: 0 },
  ] as const;
  for (const optimizer of optimizers)
    test(`tiny net, ${JSON.stringify(optimizer)}`, async () => {
      await compare(tinyNet(), { batch: 8, optimizer });
    });

  test("tiny net with penalty, masks and distillation, two threads", async () => {
    const constrained = ["conv2.weight", "fc.weight"];
    await compare(tinyNet(), { batch: 12, optimizer: { kind: "sgd" }, admm: { constrained }, masks: constrained, distill: { temperature: 3, weight: 0.5 } }, { threads: 2 });
  });

  test("LeNet-5 with Adam", async () => {
    // A large epsilon: where a gradient is nearly 0, Adam steps by its sign, which is anyone's guess.
    await compare(zooGraph("lenet5"), { batch: 4, optimizer: { kind: "adam", epsilon: 1e-2 } });
  });

  const path = "../shared/data/nets/cifar10_resnet20.onnx";
  test.skipIf(!existsSync(path))("ResNet-20 (skipped where ../shared/data is missing)", { timeout: 180_000 }, async () => {
    const net = prepareNet(importOnnx(readFileSync(path), { inputShapes: { input: [1, 3, 32, 32] } }));
    await compare(net, { batch: 4, optimizer: { kind: "sgd", weightDecay: 1e-4 } }, { steps: 1 });
  });
});

test("a net learns on generated kernels, with the same bits on one thread as before", async () => {
  const dataset = bars(96);
  const options = { epochs: 16, schedule: { kind: "cosine", peak: 0.02, warmup: 4 }, batch: 16, seed: 5, makeStepper: kernels(1) } as const;
  const trained = await train(tinyNet(), dataset, options);
  const held = bars(60, 99);
  expect(accuracyOf(await predict(trained, held, kernels(1), { batch: 20 }), held)).toBeGreaterThan(90);
  expect(weightsOf(await train(tinyNet(), dataset, options))).toEqual(weightsOf(trained));
});

test("images that are stored as bytes teach what the elements that they become do", async () => {
  const noise = createRandom(2, "bytes");
  const source = { labels: Array.from({ length: 24 }, (_, i) => i % 3), inputShape: [1, 6, 6] as [number, number, number], classes: 3 };
  const bytes = Uint8Array.from({ length: 24 * 36 }, () => Math.floor(256 * noise.uniform()));
  const stored = imageDataset({ ...source, images: bytes, scale: 1 / 255, mean: [0.4], std: [0.3] });
  const elements = imageDataset({ ...source, images: Float32Array.from(bytes, (b) => (b / 255 - 0.4) / 0.3) });
  const options = { epochs: 2, batch: 8, seed: 1, schedule: { kind: "cosine", peak: 0.01 } as const, optimizer: { kind: "adam", epsilon: 1e-2 } as const };
  const nets = [stored, elements].map(async (dataset) => weightsOf(await train(tinyNet(), dataset, { ...options, makeStepper: kernels(1) })));
  const [a, b] = (await Promise.all(nets)) as [Map<string, Float32Array>, Map<string, Float32Array>];
  for (const [name, data] of a) data.forEach((v, i) => expect(v, name).toBeCloseTo(b.get(name)?.[i] as number, 4));
  for (const make of [kernels(2), interpreterStepper]) {
    const [c, d] = [await predict(tinyNet(), stored, make, { batch: 16 }), await predict(tinyNet(), elements, make, { batch: 16 })];
    c.logits.forEach((v, i) => expect(v).toBeCloseTo(d.logits[i] as number, 4));
  }
});
