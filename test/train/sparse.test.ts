import { beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { elementCount, float32Tensor, tensorType } from "../../src/ir/types.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { detectFeatures, targetsFor } from "../../src/runtime/features.ts";
import { createSession } from "../../src/runtime/index.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { runPhases } from "../../src/train/run.ts";
import { sessionStepper } from "../../src/train/session-stepper.ts";
import type { MakeStepper } from "../../src/train/stepper.ts";
import { supportOf, wholeParameters } from "../../src/train/support.ts";
import { makeTrainingGraph, type TrainingGraphOptions, weightRoles } from "../../src/train/training-graph.ts";
import { weightsOf, withWeights } from "../../src/train/weights.ts";
import { createRandom, type Random } from "../../src/zoo/random.ts";
import { bars, tinyNet } from "./toy.ts";

const kernels = (threads: number) => sessionStepper(async (graph) => createSession(await compile(graph, { targets: targetsFor(detectFeatures()).slice(0, 1) }), { threads }));

beforeAll(() => {
  enableRelaxedSimd();
});

interface Shape {
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
  readonly pool: boolean;
  readonly linear: "Gemm" | "GemmTransposed" | "MatMul";
  /** Of the second convolution. */
  readonly second?: readonly [number, number];
}

/** Two convolutions and two products, all of whose weights may be sparse. */
function net({ kernel, stride, pad, pool, linear, second: [kh, kw] = [2, 1] }: Shape): Graph {
  const builder = new GraphBuilder("sparse");
  const constant = (name: string, ...shape: number[]) => {
    const random = createRandom(3, name);
    return builder.constant(
      name,
      float32Tensor(
        shape,
        Float32Array.from({ length: elementCount(shape) }, () => 0.4 * random.normal()),
      ),
    );
  };
  const conv = { strides: [stride, stride], pads: [pad, pad, pad, pad], dilations: [1, 1], group: 1 };
  let y = builder.add("Conv", [builder.input("image", tensorType("float32", [1, 2, 9, 11])), constant("a", 5, 2, kernel, kernel), constant("a.bias", 5)], conv, "conv1");
  if (pool) y = builder.add("MaxPool", [y], { kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false }, "pool");
  y = builder.add("Conv", [builder.add("Relu", [y]), constant("b", 6, 5, kh, kw)], { ...conv, strides: [1, stride], pads: [pad, 0, 0, pad] }, "conv2");
  const features = elementCount(y.type.shape);
  y = builder.add("Reshape", [y], { shape: [1, features] }, "flatten");
  const product = (x: typeof y, name: string, k: number, m: number) => {
    if (linear === "MatMul") return builder.add("MatMul", [x, constant(name, k, m)], {}, `${name}.product`);
    const transB = linear === "GemmTransposed";
    return builder.add(
      "Gemm",
      [x, transB ? constant(name, m, k) : constant(name, k, m), constant(`${name}.bias`, m)],
      { alpha: 1, beta: 1, transA: false, transB },
      `${name}.product`,
    );
  };
  y = product(builder.add("Relu", [product(y, "c", features, 7)]), "d", 7, 4);
  builder.output("logits", y);
  return builder.finish();
}

/** The net with each weight zero but at a few random places, and these places. */
function pruned(graph: Graph, share: number, random: Random): { readonly graph: Graph; readonly supports: ReadonlyMap<string, Int32Array> } {
  const supports = new Map<string, Int32Array>();
  const weights = new Map<string, Float32Array>();
  for (const [{ name, data }, role] of weightRoles(graph)) {
    if (role !== "weight") continue;
    const zeroed = (data as Float32Array).map((v, i) => (i === 1 || random.uniform() < share ? v : 0));
    weights.set(name, zeroed);
    supports.set(name, Int32Array.from([...zeroed.keys()].filter((i) => zeroed[i] !== 0)));
  }
  return { graph: withWeights(graph, weights), supports };
}

/** Weights after some steps of gradient descent. */
async function descend(graph: Graph, options: TrainingGraphOptions, masks: ReadonlyMap<string, Float32Array>, make: MakeStepper, steps = 2): Promise<Map<string, Float32Array>> {
  const training = makeTrainingGraph(graph, options);
  const stepper = wholeParameters(await make(training.graph), training);
  const random = createRandom(5, "feeds");
  try {
    for (const name of training.masks) await stepper.writeParameter(name, masks.get(name.slice(0, -".mask".length)) as Float32Array);
    for (let step = 0; step < steps; step++) {
      const feeds = training.graph.inputs.map(({ name, type: { dtype, shape } }) => {
        if (dtype === "int32") return [name, Int32Array.from({ length: elementCount(shape) }, (_, i) => (i * 7) % training.classes)];
        return [name, Float32Array.from({ length: elementCount(shape) }, () => (shape.length === 0 ? 0.1 : random.normal()))];
      });
      await stepper.run(Object.fromEntries(feeds));
    }
    const weights = new Map<string, Float32Array>();
    for (const name of [...training.weights, ...training.state]) weights.set(name, await stepper.readParameter(name));
    return weights;
  } finally {
    await stepper.dispose();
  }
}

function expectClose(got: ReadonlyMap<string, Float32Array>, wanted: ReadonlyMap<string, Float32Array>): void {
  expect([...got.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [name, a] of got) {
    const b = wanted.get(name) as Float32Array;
    const scale = b.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-3);
    const worst = a.reduce((m, v, i) => Math.max(m, Math.abs(v - (b[i] as number))), 0);
    expect(worst / scale, name).toBeLessThan(1e-5);
    expect(a.length, name).toBe(b.length);
  }
}

const masksOf = (graph: Graph, supports: ReadonlyMap<string, Int32Array>) => {
  const weights = weightsOf(graph);
  return new Map([...supports].map(([name, support]) => [name, new Float32Array((weights.get(name) as Float32Array).length).map((_, i) => Number(support.includes(i)))]));
};

describe("lists of non-zeros are trained as masked weights are", () => {
  const shapes: readonly (Shape & { readonly batch: number; readonly share: number; readonly threads: number })[] = [
    { kernel: 3, stride: 1, pad: 1, pool: true, linear: "GemmTransposed", batch: 8, share: 0.3, threads: 1 },
    { kernel: 3, stride: 2, pad: 1, pool: false, linear: "Gemm", batch: 4, share: 0.4, threads: 2 },
    { kernel: 1, stride: 2, pad: 0, pool: false, linear: "MatMul", batch: 12, share: 0.5, threads: 1 },
    { kernel: 2, stride: 1, pad: 0, pool: true, linear: "Gemm", batch: 64, share: 0.1, threads: 2 },
    { kernel: 3, stride: 3, pad: 2, pool: false, linear: "GemmTransposed", batch: 20, share: 0.02, threads: 1 },
    // Most of what the second layer's gradient reads is padding.
    { kernel: 5, stride: 1, pad: 0, pool: false, linear: "Gemm", second: [4, 5], batch: 16, share: 0.2, threads: 2 },
    { kernel: 2, stride: 1, pad: 3, pool: false, linear: "Gemm", second: [3, 9], batch: 4, share: 0.05, threads: 1 },
  ];
  test.each(shapes)("$kernel×$kernel, stride $stride, pad $pad, $linear, batch $batch, $share left", async ({ batch, share, threads, ...shape }) => {
    const { graph, supports } = pruned(net(shape), share, createRandom(batch, "support"));
    const optimizer = { kind: "sgd", momentum: 0.9, weightDecay: 0.01 } as const;
    const masked = await descend(graph, { batch, optimizer, masks: [...supports.keys()] }, masksOf(graph, supports), kernels(threads));
    expectClose(await descend(graph, { batch, optimizer, supports }, new Map(), kernels(threads)), masked);
    expectClose(await descend(graph, { batch, optimizer, supports }, new Map(), interpreterStepper), masked);
  });
});

describe("phases with masks", () => {
  const phases = (names: readonly string[]) => [
    { name: "masked", epochs: 2, schedule: { kind: "cosine", peak: 0.02 } as const, graph: () => ({ optimizer: { kind: "adam", epsilon: 1e-2 } as const, masks: names }) },
  ];
  const run = (graph: Graph, masks: ReadonlyMap<string, Float32Array>, makeStepper: MakeStepper) =>
    runPhases({ graph, masks, dataset: bars(48), phases: phases([...masks.keys()]), report: undefined, batch: 16, seed: 2, identity: 0, makeStepper });

  test("keep zeros and frozen values, whether few or many are left, with the same bits each time", async () => {
    const { graph, supports } = pruned(tinyNet(), 0.3, createRandom(1, "support"));
    // Every fifth of those that are left is frozen.
    const masks = new Map([...masksOf(graph, supports)].map(([name, mask]) => [name, mask.map((v, i) => (i % 5 === 0 ? 0 : v))]));
    const lists: string[][] = [];
    const spying: MakeStepper = async (training) => {
      lists.push(training.nodes.filter(({ op }) => op === "Scatter").map(({ name }) => name));
      return kernels(1)(training);
    };
    const trained = (await run(graph, masks, spying)).weights;
    expect(lists).toEqual([[...supports.keys()].map((name) => `${name}.whole`)]);
    const before = weightsOf(graph);
    for (const [name, mask] of masks) mask.forEach((m, i) => m === 0 && expect(trained.get(name)?.[i], `${name}[${i}]`).toBe(before.get(name)?.[i]));
    expect((await run(graph, masks, kernels(1))).weights).toEqual(trained);
    expect(trained.get("fc.weight")).not.toEqual(before.get("fc.weight"));
  });

  test("weights that are mostly there stay whole, and so do those of which nothing is left", () => {
    expect(supportOf(Float32Array.of(0, 2, 0, 0), Float32Array.of(0, 0, 1, 0))).toEqual(Int32Array.of(1, 2));
    expect(supportOf(Float32Array.of(0, 2, 0, 1), Float32Array.of(0, 0, 1, 0))).toBeUndefined();
    expect(supportOf(new Float32Array(4), new Float32Array(4))).toBeUndefined();
  });
});
