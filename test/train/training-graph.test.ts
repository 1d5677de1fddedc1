import { describe, expect, test } from "vitest";
import type { ParameterValue } from "../../src/ir/graph.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { verify } from "../../src/ops/verify.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { makeTrainingGraph } from "../../src/train/training-graph.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { bars, tinyNet } from "./toy.ts";

const updated = (updates: ReadonlyMap<ParameterValue, Tensor>, name: string): Float32Array => {
  const [, tensor] = [...updates].find(([p]) => p.name === name) as [ParameterValue, Tensor<"float32">];
  return tensor.data;
};

describe("training graph of LeNet-5", () => {
  const source = zooGraph("lenet5", { seed: 1 });
  const training = makeTrainingGraph(source, { batch: 4, optimizer: { kind: "adam" } });

  test("is valid, keeps the names of the weights and has one update for each parameter", () => {
    verify(training.graph);
    expect(training.weights).toEqual(["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "ip1.weight", "ip1.bias", "ip2.weight", "ip2.bias"]);
    expect(training.graph.updates.map((u) => u.parameter.name).toSorted()).toEqual([...training.weights, ...training.state].toSorted());
    expect(training.graph.outputs.map((o) => o.name)).toEqual(["loss", "correct"]);
  });

  test("lowers the loss of one batch", async () => {
    const random = createRandom(1, "images");
    const images = Float32Array.from({ length: 4 * 784 }, () => random.normal());
    const labels = Int32Array.of(3, 1, 4, 1);
    const stepper = await interpreterStepper(training.graph);
    const losses: number[] = [];
    for (let t = 1; t <= 3; t++) {
      const out = await stepper.run({ input: images, labels, learning_rate: Float32Array.of(1e-3 / (1 - 0.9 ** t)), moment_scale: Float32Array.of(1 / Math.sqrt(1 - 0.999 ** t)) });
      losses.push(out.loss?.[0] as number);
    }
    expect(losses[2] as number).toBeLessThan(0.5 * (losses[0] as number));
  });
});

describe("training graph of a net with BatchNorm", () => {
  const dataset = bars(8);
  const feeds = (extra: Record<string, Tensor>): Record<string, Tensor> => {
    const images = new Float32Array(8 * 36);
    const labels = new Int32Array(8);
    dataset.batch([0, 1, 2, 3, 4, 5, 6, 7], images, labels);
    return { image: { dtype: "float32", shape: [8, 1, 6, 6], data: images }, labels: { dtype: "int32", shape: [8], data: labels }, ...extra };
  };
  const scalar = (value: number): Tensor => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });

  test("momentum and weight decay step as written down", () => {
    const training = makeTrainingGraph(tinyNet(), { batch: 8, optimizer: { kind: "sgd", momentum: 0.9, weightDecay: 0.01 } });
    verify(training.graph);
    const still = interpret(training.graph, feeds({ learning_rate: scalar(0) }));
    const moved = interpret(training.graph, feeds({ learning_rate: scalar(0.1) }));
    const before = updated(still.updates, "fc.weight");
    const velocity = updated(moved.updates, "fc.weight.momentum");
    updated(moved.updates, "fc.weight").forEach((w, i) => {
      expect(w).toBeCloseTo((before[i] as number) - 0.1 * (velocity[i] as number), 5);
    });
  });

  test("running statistics follow those of the batch", () => {
    const runningAfter = (batchNormMomentum: number) => {
      const training = makeTrainingGraph(tinyNet(), { batch: 8, optimizer: { kind: "sgd" }, batchNormMomentum });
      const { updates } = interpret(training.graph, feeds({ learning_rate: scalar(0) }));
      return { mean: updated(updates, "bn.mean"), variance: updated(updates, "bn.var") };
    };
    const batch = runningAfter(1);
    const mixed = runningAfter(0.25);
    expect(runningAfter(0)).toEqual({ mean: new Float32Array(8), variance: new Float32Array(8).fill(1) });
    batch.mean.forEach((v, c) => {
      expect(mixed.mean[c]).toBeCloseTo(0.25 * v, 5);
      expect(mixed.variance[c]).toBeCloseTo(0.75 + 0.25 * (batch.variance[c] as number), 5);
      expect(Math.abs(v)).toBeGreaterThan(0);
    });
  });

  test("the penalty pulls to the target, masked weights stay", async () => {
    const names = ["conv2.weight", "fc.weight"];
    const training = makeTrainingGraph(tinyNet(), { batch: 8, optimizer: { kind: "sgd", momentum: 0 }, admm: { constrained: names }, masks: ["fc.weight"] });
    const step = async (rho: number) => {
      const stepper = await interpreterStepper(training.graph);
      const before = await stepper.readParameter("conv2.weight");
      const fcBefore = await stepper.readParameter("fc.weight");
      await stepper.writeParameter("conv2.weight.target", before.slice().fill(5));
      await stepper.writeParameter("fc.weight.mask", new Float32Array(216));
      await stepper.writeParameter("conv2.weight.rho", Float32Array.of(rho));
      const tensors = feeds({ learning_rate: scalar(0.1) });
      await stepper.run(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, tensor.data as Float32Array])));
      return { before, fcBefore, conv: await stepper.readParameter("conv2.weight"), fc: await stepper.readParameter("fc.weight") };
    };
    const free = await step(0);
    const pulled = await step(2);
    pulled.conv.forEach((v, i) => {
      expect(v).toBeCloseTo((free.conv[i] as number) - 0.1 * 2 * ((free.before[i] as number) - 5), 4);
    });
    expect(pulled.fc).toEqual(pulled.fcBefore);
  });

  test("frozen statistics: the loss of the net as it infers, and the statistics stay", async () => {
    const options = { batch: 8, optimizer: { kind: "sgd", momentum: 0 } } as const;
    const training = makeTrainingGraph(tinyNet(), { ...options, frozenStatistics: true });
    expect(training.weights).not.toContain("bn.mean");
    expect(training.weights).toContain("bn.scale");
    const run = async (rate: number, change = 0) => {
      const stepper = await interpreterStepper(training.graph);
      const scale = await stepper.readParameter("bn.scale");
      scale[2] = (scale[2] as number) + change;
      await stepper.writeParameter("bn.scale", scale);
      const out = await stepper.run(Object.fromEntries(Object.entries(feeds({ learning_rate: scalar(rate) })).map(([name, tensor]) => [name, tensor.data as Float32Array])));
      return { loss: out.loss?.[0] as number, before: scale, after: await stepper.readParameter("bn.scale") };
    };
    const { before, after } = await run(1);
    const slope = ((await run(0, 1e-2)).loss - (await run(0, -1e-2)).loss) / 2e-2;
    expect((before[2] as number) - (after[2] as number)).toBeCloseTo(slope, 3);
  });

  test("distillation mixes both gradients", () => {
    const options = { batch: 8, optimizer: { kind: "sgd", momentum: 0 } } as const;
    const uniform: Tensor = { dtype: "float32", shape: [8, 3], data: new Float32Array(24).fill(1 / 3) };
    const gradientOf = (distill?: { temperature: number; weight: number }) => {
      const training = makeTrainingGraph(tinyNet(), distill === undefined ? options : { ...options, distill });
      const { updates } = interpret(training.graph, feeds({ learning_rate: scalar(1), ...(distill === undefined ? {} : { teacher: uniform }) }));
      const [parameter, next] = [...updates].find(([p]) => p.name === "fc.bias") as [{ data: Float32Array }, Tensor<"float32">];
      return next.data.map((v, i) => (parameter.data[i] as number) - v);
    };
    const hard = gradientOf();
    const soft = gradientOf({ temperature: 2, weight: 1 });
    gradientOf({ temperature: 2, weight: 0.25 }).forEach((g, i) => {
      expect(g).toBeCloseTo(0.75 * (hard[i] as number) + 0.25 * (soft[i] as number), 5);
    });
  });

  test("names a weight that does not exist", () => {
    expect(() => makeTrainingGraph(tinyNet(), { batch: 8, optimizer: { kind: "sgd" }, masks: ["nope"] })).toThrowError(/no trainable weight nope/);
  });
});
