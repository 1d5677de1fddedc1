import { describe, expect, test } from "vitest";
import { compress, compressPostTraining, makePlan, plans, postTrainingCost, trainingCost, weightLayers } from "../../src/compress/index.ts";
import { makeBudget, roundsOf } from "../../src/compress/plan.ts";
import { byLayerName, withLayerNames } from "../../src/compress/select-layers.ts";
import { interpreterStepper as makeStepper } from "../../src/train/interpreter-stepper.ts";
import { type ZooName, zooGraph } from "../../src/zoo/index.ts";
import { bars, tinyNet } from "../train/toy.ts";

describe("selectors of layers", () => {
  test("name layers by place, kind or pattern; what says most holds", () => {
    const table = byLayerName(tinyNet(), { conv: 1, "conv:2": 2, "conv*": 3, "conv1.weight": 4, "linear:-1": 5 });
    expect(table).toEqual({ "conv1.weight": 4, "conv2.weight": 2, "fc.weight": 5 });
    expect(byLayerName(tinyNet(), { conv: 1, "*1.weight": 2 })).toEqual({ "conv1.weight": 2, "conv2.weight": 1 });
  });

  test.each(["conv:3", "linear:0", "depthwise", "c*x", "nothing"])("%s selects nothing, which is an error", (selector) => {
    expect(() => byLayerName(tinyNet(), { [selector]: 1 })).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: `layers.${selector}` }));
  });

  test("kinds tell depthwise and 1×1 convolutions apart", () => {
    const net = zooGraph("mobilenet_v1");
    const of = (selector: string) => Object.keys(byLayerName(net, { [selector]: 1 })).length;
    expect([of("conv"), of("depthwise"), of("pointwise"), of("linear")]).toEqual([14, 13, 13, 1]);
  });

  test("both modes take them", async () => {
    const options = { batch: 16, rate: 2, layers: { "conv:2": { density: 0.25 } } } as const;
    const densities = (layers: readonly { readonly density: number }[]) => layers[1]?.density;
    expect(densities((await compressPostTraining(tinyNet(), options, bars(32), { makeStepper })).report.layers)).toBe(0.25);
    expect(densities((await compress(tinyNet(), { ...options, admm: { epochs: 0 }, retrain: { epochs: 0 } }, bars(64), { makeStepper })).report.layers)).toBe(0.25);
  });
});

describe("plans of the package", () => {
  test.each([
    ["lenet5", "lenet5", 348],
    ["resnet18", "resnet18", 8],
    ["mobilenet-v2", "mobilenet_v2", 6.7],
  ] as const)("%s suits its net at every rate", (name, net, rate) => {
    const graph = zooGraph(net as ZooName);
    const plan = withLayerNames(graph, makePlan(plans[name]));
    for (const round of roundsOf(plan)) if (round.rate !== undefined) makeBudget(graph, plan, round.rate);
    expect(plan.rate).toBe(rate);
    expect(JSON.parse(JSON.stringify(plans[name]))).toEqual(plans[name]);
  });

  test("AlexNet's densities make the published rate", () => {
    const counts = {
      "conv:1": 34_848,
      "conv:2": 307_200,
      "conv:3": 884_736,
      "conv:4": 663_552,
      "conv:5": 442_368,
      "linear:1": 37_748_736,
      "linear:2": 16_777_216,
      "linear:3": 4_096_000,
    };
    const layers = plans.alexnet.layers as Readonly<Record<string, { readonly density: number }>>;
    const kept = Object.entries(counts).reduce((sum, [key, count]) => sum + count * (layers[key]?.density ?? 1), 0);
    expect(Object.values(counts).reduce((a, b) => a + b, 0) / kept).toBeCloseTo(plans.alexnet.rate as number, 0);
  });
});

describe("cost", () => {
  test("tells epochs, steps, memory and time without training", async () => {
    const cost = await trainingCost(tinyNet(), { rate: 4, steps: [2], batch: 16, admm: { epochs: 2 }, retrain: { epochs: 1 } }, bars(64), makeStepper);
    expect(cost).toMatchObject({ images: 64, epochs: 6, steps: 24, batch: 16 });
    expect(cost.seconds).toBeGreaterThan(0);
    expect(cost.bytes).toBeGreaterThan(4 * weightLayers(tinyNet()).reduce((sum, l) => sum + l.count, 0));
    const fitted = await postTrainingCost(tinyNet(), { sparsity: 0.5, batch: 16 }, bars(64), makeStepper);
    expect(fitted.seconds).toBeGreaterThan(0);
    expect(fitted.bytes).toBeGreaterThan(2 ** 30);
  });
});
