import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compress } from "../../src/compress/compress.ts";
import { exchange } from "../../src/compress/exchange.ts";
import { makePlan, type PlanOptions } from "../../src/compress/plan.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { verify } from "../../src/ops/verify.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import type { TrainingProgress } from "../../src/train/phase.ts";
import { makeTrainingGraph } from "../../src/train/training-graph.ts";
import { weightsOf } from "../../src/train/weights.ts";
import { bars, memoryStore, tinyNet } from "../train/toy.ts";

const sum = (data: Float32Array) => data.reduce((a, b) => a + b, 0);

describe("exchange", () => {
  const element = fc.record({ w: fc.integer({ min: -9, max: 9 }), g: fc.integer({ min: -9, max: 9 }), g2: fc.integer({ min: 0, max: 9 }), kept: fc.boolean() });
  const tensor = fc.array(element, { minLength: 1, maxLength: 30 }).map((list) => ({
    values: Float32Array.from(list, (e) => (e.kept ? e.w : 0)),
    mask: Float32Array.from(list, (e) => Number(e.kept)),
    gradients: Float32Array.from(list, (e) => e.g),
    squares: Float32Array.from(list, (e) => e.g2),
  }));

  test("drops what costs least and frees what gains most, as many", () => {
    fc.assert(
      fc.property(fc.array(tensor, { minLength: 1, maxLength: 3 }), fc.double({ min: 0, max: 1, noNaN: true }), (tensors, share) => {
        const masks = exchange(tensors, share);
        const all = tensors.flatMap((t, n) => {
          return Array.from(t.values, (w, i) => {
            const [g, g2, was] = [t.gradients[i] as number, t.squares[i] as number, t.mask[i] === 1];
            return { was, is: masks[n]?.[i] === 1, cost: w * w * g2, gain: g2 > 0 ? (g * g) / g2 : -1 };
          });
        });
        const of = (was: boolean, is: boolean) => all.filter((e) => e.was === was && e.is === is);
        const able = of(false, false)
          .concat(of(false, true))
          .filter((e) => e.gain >= 0).length;
        const count = Math.min(Math.round(share * all.filter((e) => e.was).length), able);
        expect([of(true, false).length, of(false, true).length]).toEqual([count, count]);
        expect(Math.max(...of(true, false).map((e) => e.cost))).toBeLessThanOrEqual(Math.min(...of(true, true).map((e) => e.cost)));
        expect(Math.min(...of(false, true).map((e) => e.gain))).toBeGreaterThanOrEqual(Math.max(...of(false, false).map((e) => e.gain)));
      }),
    );
  });
});

test("a training graph sums up gradients and their squares, masked or not", () => {
  const training = makeTrainingGraph(tinyNet(), { batch: 8, optimizer: { kind: "sgd", momentum: 0 }, masks: ["fc.weight"], moments: ["fc.weight"] });
  verify(training.graph);
  expect(training.moments).toEqual(["fc.weight.gradients", "fc.weight.squares"]);
  const images = new Float32Array(8 * 36);
  const labels = new Int32Array(8);
  bars(8).batch([0, 1, 2, 3, 4, 5, 6, 7], images, labels);
  const feeds = (lr: number) => ({
    image: { dtype: "float32", shape: [8, 1, 6, 6], data: images } as const,
    labels: { dtype: "int32", shape: [8], data: labels } as const,
    learning_rate: { dtype: "float32", shape: [], data: Float32Array.of(lr) } as const,
  });
  const named = (lr: number) => new Map([...interpret(training.graph, feeds(lr)).updates].map(([p, t]) => [p.name, t.data as Float32Array]));
  const [still, moved] = [named(0), named(1)];
  const sums = still.get("fc.weight.gradients") as Float32Array;
  expect(sums.some((g) => g !== 0)).toBe(true);
  sums.forEach((g, i) => {
    expect((still.get("fc.weight") as Float32Array)[i] as number).toBeCloseTo(((moved.get("fc.weight") as Float32Array)[i] as number) + g, 6);
    expect((still.get("fc.weight.squares") as Float32Array)[i] as number).toBeCloseTo(g * g, 6);
  });
});

describe("compress with exchanges", () => {
  const dataset = bars(96);
  const validation = bars(24, 99);
  const makeStepper = interpreterStepper;
  const plan: PlanOptions = {
    rate: 8,
    batch: 16,
    pruneAll: true,
    admm: { epochs: 1, rhos: [0.1], updatesPerRho: 2, schedule: { kind: "constant", peak: 0.005 } },
    exchange: { epochs: 4, share: 0.3, schedule: { kind: "constant", peak: 0.005 } },
    retrain: { epochs: 1, schedule: { kind: "cosine", peak: 0.005 } },
  };

  test("keeps the budget, moves weights, and resumes to the same bits", async () => {
    const phases: string[] = [];
    const observer = ({ phase }: TrainingProgress) => {
      if (phases.at(-1) !== phase) phases.push(phase);
    };
    const straight = await compress(tinyNet(), plan, dataset, { makeStepper, validation, observer });
    expect(phases).toEqual(["admm 8x", "exchange 8x", "retrain 8x"]);
    expect(straight.report.kept).toBe(Math.floor(864 / 8));
    const fixed = await compress(tinyNet(), { ...plan, exchange: { epochs: 0 } }, dataset, { makeStepper, validation });
    expect(fixed.report.kept).toBe(straight.report.kept);
    const zeros = (graph: typeof fixed.graph) => [...weightsOf(graph).values()].flatMap((data) => Array.from(data, (v) => v === 0));
    const [a, b] = [zeros(fixed.graph), zeros(straight.graph)];
    expect(a.filter((zero, i) => zero !== b[i]).length).toBeGreaterThan(4);

    const store = memoryStore();
    for (const step of [3, 6, 7, 20]) {
      const controller = new AbortController();
      const stop = (p: TrainingProgress) => {
        if (p.phase === "exchange 8x" && p.step === step) controller.abort();
      };
      await expect(compress(tinyNet(), plan, dataset, { makeStepper, validation, store, observer: stop, signal: controller.signal })).rejects.toMatchObject({
        code: "E_INTERRUPTED",
      });
    }
    const resumed = await compress(tinyNet(), plan, dataset, { makeStepper, validation, store });
    expect(weightsOf(resumed.graph)).toEqual(weightsOf(straight.graph));
  }, 60_000);

  test("layers with a density of their own keep it", async () => {
    const own = { ...plan, layers: { "conv2.weight": { density: 0.1 } } };
    const kept = async (more: PlanOptions) => (await compress(tinyNet(), { ...own, ...more }, dataset, { makeStepper, validation })).report.layers.map((l) => l.kept);
    const [fixed, exchanged] = [await kept({ exchange: { epochs: 0 } }), await kept({})];
    // A weight that is freed into a dead unit stays 0.
    expect(fixed[1]).toBe(57);
    expect(exchanged[1]).toBeLessThanOrEqual(57);
    expect(exchanged[1]).toBeGreaterThan(50);
    expect(sum(Float32Array.from(exchanged))).toBeLessThanOrEqual(108);
  });

  test("magnitude pruning, to compare with, trains as long", async () => {
    const phases = new Map<string, number>();
    await compress(tinyNet(), { ...plan, method: "magnitude" }, dataset, { makeStepper, validation, observer: ({ phase, step }) => phases.set(phase, step) });
    expect([...phases]).toEqual([
      ["train 8x", 6],
      ["train 8x on", 24],
      ["retrain 8x", 6],
    ]);
  });

  test("refuses structures and nonsense", () => {
    expect(() => makePlan({ ...plan, structure: "2x1" })).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: "exchange" }));
    expect(() => makePlan({ ...plan, exchange: { share: 2 } })).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: "exchange" }));
    expect(() => makePlan({ rate: 4, steps: [{ rate: 2, exchange: { epochs: -1 } }] })).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: "exchange" }));
  });
});
