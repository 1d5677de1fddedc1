import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compress } from "../../src/compress/compress.ts";
import { weightLayers } from "../../src/compress/layers.ts";
import { makeBudget, makePlan, type PlanOptions, roundsOf, sharedCounts } from "../../src/compress/plan.ts";
import { lenet5Plan } from "../../src/compress/plans/lenet5.ts";
import { liveMasks } from "../../src/compress/removal/reclaim.ts";
import { liveWeights, removeDeadUnits } from "../../src/compress/removal/remove.ts";
import { unitSelector } from "../../src/compress/removal/units.ts";
import { withLayerNames } from "../../src/compress/select-layers.ts";
import { logBinomial, storageOf } from "../../src/compress/storage.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpreterStepper as makeStepper } from "../../src/train/interpreter-stepper.ts";
import type { TrainingProgress } from "../../src/train/phase.ts";
import { weightsOf, withWeights } from "../../src/train/weights.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { bars, memoryStore, tinyNet } from "../train/toy.ts";

const dataset = bars(96);
const validation = bars(30, 99);
const short = { epochs: 0.7, schedule: { kind: "constant", peak: 0.003 } } as const;
const plan: PlanOptions = {
  rate: 8,
  steps: [
    { units: { "conv2.weight": 4 }, admm: { epochs: 0.4, rhos: [0.1] } },
    { units: 0.5, admm: { epochs: 0 } },
    { rate: 5, retrain: { epochs: 0.3 } },
  ],
  pruneAll: true,
  layers: { "conv1.weight": { share: 2 }, "conv2.weight": { share: 3 }, "fc.weight": { share: 2 } },
  batch: 16,
  admm: { ...short, rhos: [0.1, 0.3], updatesPerRho: 2 },
  retrain: short,
  distill: { temperature: 3, weight: 0.5, once: true },
};

const keptOf = (graph: Graph): number => weightLayers(graph).reduce((sum, { value }) => sum + (value.data as Float32Array).filter((v) => v !== 0).length, 0);

describe("plans with units", () => {
  test("units go for good, rates are relative to the net as it was, and an interrupted run resumes to the same bits", async () => {
    const phases: string[] = [];
    const steps: { rate: number; kept: number }[] = [];
    const straight = await compress(tinyNet(), plan, dataset, {
      makeStepper,
      validation,
      observer: ({ phase }) => phases.at(-1) !== phase && phases.push(phase),
      onStep: async ({ rate, graph }) => {
        steps.push({ rate, kept: keptOf(graph) });
      },
    });
    expect(phases).toEqual(["admm units, step 1", "retrain units, step 1", "retrain units, step 2", "admm 5x", "retrain 5x", "admm 8x", "retrain 8x"]);
    const [all, ...others] = weightLayers(straight.graph).map((l) => l.matrix.outputs);
    expect(all).toBeLessThanOrEqual(2);
    expect(others).toEqual([all, 3]); // the residual sum ties both convolutions
    const { report } = straight;
    expect(report.weights).toBe(72 + 576 + 216);
    expect(report.kept).toBeLessThanOrEqual(Math.floor(864 / 8));
    expect(steps.map((s) => s.rate)).toEqual([5, 8]);
    for (const { rate, kept } of steps) expect(kept).toBeLessThanOrEqual(Math.floor(864 / rate));
    expect(removeDeadUnits(straight.graph).layers).toEqual([]);

    const store = memoryStore();
    for (const [phase, step] of [
      ["admm units, step 1", 1],
      ["retrain units, step 1", 2],
      ["retrain 5x", 1],
      ["admm 8x", 3],
    ] as const) {
      const controller = new AbortController();
      const observer = (p: TrainingProgress) => {
        if (p.phase === phase && p.step === step) controller.abort();
      };
      await expect(compress(tinyNet(), plan, dataset, { makeStepper, validation, store, observer, signal: controller.signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    }
    const resumed = await compress(tinyNet(), plan, dataset, { makeStepper, validation, store });
    expect(weightsOf(resumed.graph)).toEqual(weightsOf(straight.graph));
    expect(resumed.report).toEqual(report);
  });

  test("by magnitude: the same phases without ADMM", async () => {
    const phases = new Set<string>();
    const quantize = { bits: 3, admm: { epochs: 0.3 }, freeze: [1], retrain: { epochs: 0 } } as const;
    const { report } = await compress(tinyNet(), { ...plan, steps: [], rate: 4, method: "magnitude", quantize }, dataset, {
      makeStepper,
      validation,
      observer: ({ phase }) => phases.add(phase),
    });
    expect([...phases]).toEqual(["train 4x", "retrain 4x", "quantize"]);
    expect(report.layers.every((l) => l.residual === undefined && l.bits === 3)).toBe(true);
    expect(report.storage.values).toBe(3 * report.kept);
  });

  test("whole filters leave the graph", async () => {
    const { graph, report } = await compress(tinyNet(), { ...plan, steps: [], layers: {}, rate: 2, structure: "filters", scope: "layer" }, dataset, { makeStepper, validation });
    expect(weightLayers(graph).every((l) => l.matrix.outputs === 3 || l.matrix.outputs < 8)).toBe(true);
    expect(report.rate).toBeGreaterThan(2);
  });

  test.each([
    [{ rate: 4, steps: [{}] }, "steps"],
    [{ rate: 4, steps: [{ rate: 3 }, 2] }, "steps"],
    [{ rate: 4, layers: { a: { share: 0 } } }, "layers.a.share"],
    [{ rate: 4, method: "other" }, "method"],
  ] as [PlanOptions, string][])("%j is no plan", (options, at) => {
    expect(() => makePlan(options)).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION", at }));
  });

  test("units of the last layer cannot go", () => {
    expect(() => unitSelector(zooGraph("lenet5"), { "ip2.weight": 3 })).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION", at: "units.ip2.weight" }));
  });
});

describe("budgets of live weights", () => {
  test("shares are met up to limits, and their sum exactly", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 6 }), fc.nat(200), (layers, more) => {
        const [shares, limits] = [layers.map(([s]) => s), layers.map(([, l]) => l)];
        const room = limits.reduce((a, b) => a + b, 0);
        const wanted = Math.min(room, layers.length + more);
        const counts = sharedCounts(wanted, shares, limits);
        expect(counts.reduce((a, b) => a + b, 0)).toBe(wanted);
        counts.forEach((c, i) => {
          expect(c).toBeLessThanOrEqual(limits[i] as number);
        });
      }),
    );
    expect(sharedCounts(1237, [120, 500, 430, 187], [200, 4000, 12800, 400])).toEqual([120, 500, 430, 187]);
    expect(sharedCounts(1000, [120, 500, 430, 187], [10, 4000, 12800, 100])).toEqual([10, 478, 412, 100]);
  });

  test("LeNet-5 at 348×: exactly 1,237 weights, all of them live", () => {
    const net = zooGraph("lenet5");
    const plan = withLayerNames(net, makePlan(lenet5Plan));
    const counts = roundsOf(plan).findLast(({ units }) => units !== undefined)?.units;
    expect(counts).toEqual({ "conv1.weight": 8, "conv2.weight": 20, "ip1.weight": 40 });
    const masks = unitSelector(net, counts ?? 1)(weightsOf(net));
    const { graph } = removeDeadUnits(
      withWeights(
        net,
        new Map(
          [...masks].map(([name, mask]) => {
            const w = weightsOf(net).get(name) as Float32Array;
            return [name, w.map((v, i) => (mask[i] === 1 ? v : 0))];
          }),
        ),
      ),
    );
    expect(weightLayers(graph).map((l) => l.count)).toEqual([200, 4000, 12_800, 400]);
    const budget = makeBudget(graph, plan, 348, weightLayers(net));
    const values = weightsOf(graph);
    const found = liveMasks(graph, values, (w, available) => {
      const counts = budget.counts(w, available);
      return new Map(
        budget.pruned.map(({ name }) => {
          const order = [...(w.get(name) as Float32Array).keys()].sort(
            (a, b) => Math.abs((w.get(name) as Float32Array)[b] as number) - Math.abs((w.get(name) as Float32Array)[a] as number),
          );
          const mask = new Uint8Array(order.length);
          for (const i of order.slice(0, counts.get(name))) mask[i] = 1;
          return [name, mask];
        }),
      );
    });
    const pruned = withWeights(graph, new Map([...found].map(([name, mask]) => [name, (values.get(name) as Float32Array).map((v, i) => (mask[i] === 1 ? v : 0))])));
    expect(keptOf(pruned)).toBe(1237);
    const live = liveWeights(pruned);
    for (const [name, mask] of found) expect(mask.every((m, i) => m === 0 || live.get(name)?.[i] === 1)).toBe(true);
  });
});

test("storage: binomials, and all that a file needs", () => {
  expect(logBinomial(5, 2)).toBeCloseTo(Math.log2(10));
  expect(logBinomial(40, 40)).toBe(0);
  expect(logBinomial(1000, 500)).toBeCloseTo(994.69, 1);
  const net = zooGraph("lenet5", { sparsity: 0.99 });
  const storage = storageOf(net, net, () => 4);
  const kept = keptOf(net);
  expect(storage.values).toBe(4 * kept);
  expect(storage.others).toBe(32 * (580 + 4));
  expect(storage.weightsOnlyRatio).toBeCloseTo((430_500 * 8) / kept);
  expect(storage.honestRatio).toBeLessThan(storage.weightsOnlyRatio / 2);
  expect(storage.stored).toBeGreaterThan(storage.positions);
});
