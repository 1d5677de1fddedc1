import { beforeAll, describe, expect, test } from "vitest";
import { compressPostTraining, makePostTrainingPlan, type PostTrainingOptions, type PostTrainingProgress } from "../../src/compress/index.ts";
import { weightLayers } from "../../src/compress/layers.ts";
import { frontierOf, segmentOf } from "../../src/compress/post-training/segment.ts";
import { linearLayers } from "../../src/compress/post-training/targets.ts";
import { type Graph, isConstant } from "../../src/ir/graph.ts";
import { elementCount } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { predict } from "../../src/train/evaluate.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { rebatch } from "../../src/train/rebatch.ts";
import { train } from "../../src/train/trainer.ts";
import { weightsOf } from "../../src/train/weights.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { bars, memoryStore, tinyNet } from "../train/toy.ts";

const images = bars(64, 5);
const others = bars(60, 99);
const makeStepper = interpreterStepper;
const shared: PostTrainingOptions = { batch: 16 };

describe("post-training compression", () => {
  let dense: Graph;
  beforeAll(async () => {
    dense = await train(tinyNet(), bars(96), { epochs: 6, batch: 16, schedule: { kind: "cosine", peak: 0.02, warmup: 4 }, makeStepper });
  }, 60_000);
  /** Mean square difference of the outputs on images that were not looked at. */
  const distance = async (graph: Graph) => {
    const [a, b] = [await predict(dense, others, makeStepper, { batch: 20 }), await predict(graph, others, makeStepper, { batch: 20 })];
    return a.logits.reduce((sum, v, i) => sum + (v - (b.logits[i] as number)) ** 2, 0) / a.logits.length;
  };

  test("prunes to the rate in the structure, keeps names, and beats magnitude", async () => {
    for (const structure of ["unstructured", "2x1"]) {
      const options = { ...shared, sparsity: 0.6, scope: "layer", structure } as const;
      const { graph, report } = await compressPostTraining(dense, options, images, { makeStepper });
      const { graph: magnitude } = await compressPostTraining(dense, { ...options, method: "magnitude" }, images, { makeStepper });
      expect(report.rate).toBeGreaterThanOrEqual(2.5);
      expect(report.rate).toBeLessThan(2.9);
      expect(report.layers.map((l) => l.density < 1)).toEqual([false, true, true]);
      expect(graph.nodes.map((n) => n.name)).toEqual(dense.nodes.map((n) => n.name));
      expect(graph.inputs[0]?.type.shape).toEqual([1, 1, 6, 6]);
      expect(report.left).toEqual([]);
      expect(await distance(graph)).toBeLessThan(await distance(magnitude));
    }
  });

  test("quantizes every layer to its bits, alone and pruned, and beats the nearest levels", async () => {
    const options = { ...shared, bits: [4, 2, 3] } as const;
    const { graph, report } = await compressPostTraining(dense, options, images, { makeStepper });
    const { graph: nearest } = await compressPostTraining(dense, { ...options, method: "magnitude" }, images, { makeStepper });
    expect(report.layers.map((l) => l.bits)).toEqual([4, 2, 3]);
    expect(await distance(graph)).toBeLessThan(await distance(nearest));
    const both = await compressPostTraining(dense, { ...options, sparsity: 0.5, scope: "layer", per: "tensor" }, images, { makeStepper });
    for (const [number, layer] of weightLayers(both.graph).entries()) {
      const levels = new Set((layer.value.data as Float32Array).filter((v) => v !== 0));
      expect(levels.size).toBeLessThanOrEqual(2 ** ([4, 2, 3][number] as number));
      if (!layer.first) expect((layer.value.data as Float32Array).filter((v) => v !== 0).length).toBeLessThanOrEqual(layer.count / 2);
    }
    for (const layer of weightLayers(graph).slice(0, 2))
      for (let o = 0; o < 8; o++) {
        const row = (layer.value.data as Float32Array).subarray((o * layer.count) / 8, ((o + 1) * layer.count) / 8);
        expect(new Set(row).size).toBeLessThanOrEqual(2 ** (layer.first ? 4 : 2));
      }
  });

  test("means and variances after BatchNorm, and means after a bias, stay those of the dense net", async () => {
    const { graph } = await compressPostTraining(dense, { ...shared, layers: { "conv1.weight": { density: 0.4 }, "conv2.weight": { density: 0.4 } } }, images, { makeStepper });
    const momentsOf = (net: Graph, name: string) => {
      const wide = rebatch(net, images.count);
      const data = new Float32Array(elementCount(wide.inputs[0]?.type.shape ?? []));
      images.batch(
        Array.from({ length: images.count }, (_, i) => i),
        data,
        new Int32Array(images.count),
      );
      const value = wide.nodes.find((n) => n.name === name)?.outputs[0] as NonNullable<Graph["outputs"][0]>["value"];
      const { outputs } = interpret({ ...wide, outputs: [{ name: "y", value }] }, { image: { dtype: "float32", shape: wide.inputs[0]?.type.shape ?? [], data } });
      const y = outputs.get("y")?.data as Float32Array;
      return Array.from({ length: 8 }, (_, c) => {
        const channel = y.filter((_, i) => Math.floor(i / 36) % 8 === c);
        const mean = channel.reduce((a, b) => a + b, 0) / channel.length;
        return { mean, variance: channel.reduce((a, b) => a + (b - mean) ** 2, 0) / channel.length };
      });
    };
    momentsOf(dense, "bn").forEach(({ mean, variance }, c) => {
      const now = momentsOf(graph, "bn")[c] as { mean: number; variance: number };
      expect(now.mean).toBeCloseTo(mean, 3);
      expect(now.variance / variance).toBeCloseTo(1, 2);
    });
    momentsOf(dense, "conv2").forEach(({ mean }, c) => expect((momentsOf(graph, "conv2")[c] as { mean: number }).mean).toBeCloseTo(mean, 3));
  });

  test("the room for activations changes nothing but time", async () => {
    const options = { ...shared, sparsity: 0.6, bits: 3 } as const;
    const [roomy, tight] = [
      await compressPostTraining(dense, options, images, { makeStepper }),
      await compressPostTraining(dense, { ...options, memoryMiB: 1e-3 }, images, { makeStepper }),
    ];
    expect(weightsOf(tight.graph)).toEqual(weightsOf(roomy.graph));
  });

  test("an interrupted run resumes to the same bits", async () => {
    const options = { ...shared, sparsity: 0.5, bits: 4 } as const;
    const straight = await compressPostTraining(dense, options, images, { makeStepper });
    const store = memoryStore();
    const seen: number[] = [];
    for (const stop of [0.3, 1.2, 2.5]) {
      const controller = new AbortController();
      const observer = ({ done }: PostTrainingProgress) => {
        seen.push(done);
        if (done >= stop) controller.abort();
      };
      await expect(compressPostTraining(dense, options, images, { makeStepper, store, observer, signal: controller.signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    }
    expect(Math.max(...seen)).toBeLessThan(3);
    const resumed = await compressPostTraining(dense, options, images, { makeStepper, store });
    expect(weightsOf(resumed.graph)).toEqual(weightsOf(straight.graph));
    expect(resumed.report).toEqual(straight.report);
    await expect(compressPostTraining(dense, { ...options, bits: 3 }, images, { makeStepper, store })).rejects.toMatchObject({ code: "E_INVALID_OPTION", at: "checkpoint" });
  });

  test("distillation afterwards comes nearer to the dense net, zeros stay, and an interrupted run resumes to the same bits", async () => {
    const net = dense;
    const options = { ...shared, sparsity: 0.7, distill: { epochs: 8, peak: 2e-3 } } as const;
    const { graph, report } = await compressPostTraining(net, options, images, { makeStepper });
    const plain = await compressPostTraining(net, { ...options, distill: { epochs: 0 } }, images, { makeStepper });
    for (const [i, layer] of weightLayers(graph).entries()) {
      const before = weightLayers(plain.graph)[i]?.value.data as Float32Array;
      (layer.value.data as Float32Array).forEach((v, j) => expect(layer.first || v !== 0 || before[j] === 0).toBe(true));
      expect(report.layers[i]?.kept).toBe(plain.report.layers[i]?.kept);
    }
    const [a, b, c] = [await predict(net, images, makeStepper), await predict(graph, images, makeStepper), await predict(plain.graph, images, makeStepper)];
    const distance = (x: Float32Array) => x.reduce((sum, v, i) => sum + (v - (a.logits[i] as number)) ** 2, 0);
    expect(distance(b.logits)).toBeLessThan(distance(c.logits));

    let bytes: Uint8Array | undefined;
    const store = {
      save: async (saved: Uint8Array) => {
        bytes = saved;
      },
      load: async () => bytes,
    };
    const controller = new AbortController();
    const observer = ({ layer, done, total }: PostTrainingProgress) => {
      if (layer === "distillation" && done > total - 0.5) controller.abort();
    };
    await expect(compressPostTraining(net, options, images, { makeStepper, store, observer, signal: controller.signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    const seen = new Set<string>();
    const resumed = await compressPostTraining(net, options, images, { makeStepper, store, observer: ({ layer }) => seen.add(layer) });
    expect([...seen]).toEqual(["distillation"]);
    expect(weightsOf(resumed.graph)).toEqual(weightsOf(graph));
  });
});

describe("parts of nets", () => {
  const net = tinyNet();
  test("layers, and what follows them", () => {
    expect(linearLayers(net).map(({ layer, bias, norm }) => [layer.name, bias?.name, norm?.mean.name])).toEqual([
      ["conv1.weight", undefined, "bn.mean"],
      ["conv2.weight", "conv2.bias", undefined],
      ["fc.weight", "fc.bias", undefined],
    ]);
  });

  test("the frontier of a residual net, and segments from it give the same values", () => {
    const index = net.nodes.findIndex((n) => n.name === "add");
    const live = frontierOf(net, index);
    expect(live.map((v) => v.name).sort()).toEqual(["conv2", "relu1"]);
    const random = createRandom(3, "input");
    const image = { dtype: "float32", shape: [1, 1, 6, 6], data: Float32Array.from({ length: 36 }, () => random.normal()) } as const;
    const whole = interpret(net, { image }).outputs.get("probabilities")?.data;
    const first = interpret(segmentOf(net, new Set(["image"]), live), { image }).outputs;
    const last = segmentOf(
      net,
      new Set(live.map((v) => v.name)),
      net.outputs.map((o) => o.value),
    );
    expect(last.inputs.length).toBe(2);
    expect(last.nodes.flatMap((n) => n.inputs).every((v) => v === undefined || isConstant(v) || v.kind === "computed" || last.inputs.includes(v as never))).toBe(true);
    expect([...interpret(last, Object.fromEntries(first)).outputs.values()][0]?.data).toEqual(whole);
  });
});

describe("plans", () => {
  test("defaults", () => {
    expect(makePostTrainingPlan({ bits: 4 })).toMatchObject({ rate: 1, bits: [4], per: "channel", method: "admm" });
    expect(makePostTrainingPlan({ structure: "2:4" }).rate).toBe(2);
    expect(makePostTrainingPlan({ sparsity: 0.75 }).rate).toBe(4);
  });
  test.each([
    [{}, "rate"],
    [{ bits: [] }, "bits"],
    [{ bits: 9 }, "bits"],
    [{ rate: 2, iterations: -1 }, "iterations"],
    [{ rate: 2, samples: 0.5 }, "samples"],
    [{ rate: 2, ridge: -1 }, "ridge"],
    [{ rate: 2, memoryMiB: 0 }, "memoryMiB"],
    [{ rate: 2, structure: "knitted" }, "structure"],
    [{ bits: 4, distill: { epochs: 1 } }, "distill"],
  ] as [PostTrainingOptions, string][])("%j is none", (options, at) => {
    expect(() => makePostTrainingPlan(options)).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION", at }));
  });
});
