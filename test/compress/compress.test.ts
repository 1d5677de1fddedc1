import { beforeAll, describe, expect, test } from "vitest";
import { compress } from "../../src/compress/compress.ts";
import { toMatrix, weightLayers } from "../../src/compress/layers.ts";
import { makeBudget, makePlan, type PlanOptions } from "../../src/compress/plan.ts";
import { pruning } from "../../src/compress/projections/projection.ts";
import { fixedCount, selectorOf } from "../../src/compress/projections/selector.ts";
import { parseStructure } from "../../src/compress/projections/structure.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import type { TrainingProgress } from "../../src/train/phase.ts";
import { train } from "../../src/train/trainer.ts";
import { weightsOf } from "../../src/train/weights.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { bars, memoryStore, tinyNet } from "../train/toy.ts";

const dataset = bars(96);
const validation = bars(60, 99);
const plan: PlanOptions = {
  rate: 4,
  batch: 16,
  admm: { epochs: 2, rhos: [0.1, 0.3], updatesPerRho: 2, schedule: { kind: "constant", peak: 0.005 } },
  retrain: { epochs: 3, schedule: { kind: "cosine", peak: 0.01 } },
};
const makeStepper = interpreterStepper;

describe("compress", () => {
  let dense: Graph;
  beforeAll(async () => {
    dense = await train(tinyNet(), dataset, { epochs: 12, batch: 16, schedule: { kind: "cosine", peak: 0.02, warmup: 4 }, makeStepper });
  }, 60_000);

  test("meets the budget, keeps names, and reports what it did", async () => {
    const phases = new Set<string>();
    const { graph, report } = await compress(dense, plan, dataset, { makeStepper, validation, observer: ({ phase }) => phases.add(phase) });
    expect([...phases]).toEqual(["admm 4x", "retrain 4x"]);
    expect(graph.nodes.map((n) => n.name)).toEqual(dense.nodes.map((n) => n.name));
    expect([...weightsOf(graph).keys()]).toEqual([...weightsOf(dense).keys()]);
    const weights = weightsOf(graph);
    const kept = ["conv1.weight", "conv2.weight", "fc.weight"].map((name) => (weights.get(name) as Float32Array).filter((v) => v !== 0).length);
    expect(kept[0]).toBe(72); // the first convolution stays dense
    expect(report.kept).toBe(kept.reduce((a, b) => a + b, 0));
    expect(report.weights).toBe(72 + 576 + 216);
    expect(report.rate).toBeGreaterThanOrEqual(4);
    expect(report.layers.map((l) => l.residual !== undefined)).toEqual([false, true, true]);
    expect(report.accuracy.after).toBeGreaterThan(report.accuracy.before - 15);
    expect(report.validationImages).toBe(60);
    const encodings = graph.nodes.flatMap((n) => n.inputs).flatMap((v) => (v?.kind === "constant" && v.encoding?.kind === "sparse" ? [v.name] : []));
    expect(encodings).toEqual(["conv2.weight", "fc.weight"]);
  });

  test("zeros of one step stay zero in the next, with distillation", async () => {
    const observed: string[] = [];
    const { report } = await compress(dense, { ...plan, rate: 6, steps: [2], scope: "layer", distill: { temperature: 3, weight: 0.5 } }, dataset, {
      makeStepper,
      validation,
      observer: ({ phase }) => {
        if (observed.at(-1) !== phase) observed.push(phase);
      },
    });
    expect(observed).toEqual(["admm 2x", "retrain 2x", "admm 6x", "retrain 6x"]);
    expect(report.accuracy.pruned.map((p) => p.rate)).toEqual([2, 6]);
    expect(report.rate).toBeGreaterThanOrEqual(6);
  });

  test("an interrupted run resumes to the same bits", async () => {
    const straight = await compress(dense, plan, dataset, { makeStepper, validation });
    const store = memoryStore();
    for (const [phase, step] of [
      ["admm 4x", 7],
      ["retrain 4x", 2],
      ["retrain 4x", 18],
    ] as const) {
      const controller = new AbortController();
      const observer = (p: TrainingProgress) => {
        if (p.phase === phase && p.step === step) controller.abort();
      };
      await expect(compress(dense, plan, dataset, { makeStepper, validation, store, observer, signal: controller.signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    }
    const resumed = await compress(dense, plan, dataset, { makeStepper, validation, store });
    expect(weightsOf(resumed.graph)).toEqual(weightsOf(straight.graph));
    expect(resumed.report).toEqual(straight.report);
  });
});

describe("quantization with training", () => {
  const short = { epochs: 0.7, schedule: { kind: "constant", peak: 0.003 } } as const;
  const quantize = { bits: [4, 3, 2], admm: { ...short, rhos: [0.1, 0.3], updatesPerRho: 2 }, freeze: [0.5, 1], retrain: short } as const;

  test("every layer ends on its levels, zeros stay, and an interrupted run resumes to the same bits", async () => {
    const net = tinyNet();
    const options: PlanOptions = { ...plan, rate: 3, admm: { ...plan.admm, ...short }, retrain: short, quantize };
    const { graph, report } = await compress(net, options, dataset, { makeStepper, validation });
    expect(report.layers.map((l) => l.bits)).toEqual([4, 3, 2]);
    expect(report.rate).toBeGreaterThanOrEqual(3);
    expect(report.accuracy.quantized).toBeGreaterThan(0);
    for (const [i, layer] of weightLayers(graph).entries()) {
      const levels = new Set((layer.value.data as Float32Array).filter((v) => v !== 0));
      expect(levels.size).toBeLessThanOrEqual(2 ** (quantize.bits[i] as number));
      if (!layer.first) expect(report.layers[i]?.density).toBeLessThan(0.5);
    }
    const store = memoryStore();
    for (const phase of ["quantize", "frozen 50 %", "frozen 100 %"]) {
      const controller = new AbortController();
      const observer = (p: TrainingProgress) => {
        if (p.phase === phase && p.step === 2) controller.abort();
      };
      await expect(compress(net, options, dataset, { makeStepper, validation, store, observer, signal: controller.signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    }
    const resumed = await compress(net, options, dataset, { makeStepper, validation, store });
    expect(weightsOf(resumed.graph)).toEqual(weightsOf(graph));
  });

  test("without a rate nothing is pruned", async () => {
    const { graph, report } = await compress(tinyNet(), { batch: 16, quantize: { ...quantize, bits: 2, levels: "ternary", per: "channel" } }, dataset, { makeStepper, validation });
    expect(report.accuracy.pruned).toEqual([]);
    for (const { value, matrix } of weightLayers(graph))
      for (let o = 0; o < matrix.outputs; o++) {
        const row = toMatrix(value.data as Float32Array, matrix).subarray(o * matrix.inputs * matrix.taps, (o + 1) * matrix.inputs * matrix.taps);
        expect(new Set(row.map(Math.abs)).size).toBeLessThanOrEqual(2);
      }
  });

  test.each([
    [{ bits: 9 }, "bits"],
    [{ bits: [] }, "quantize"],
    [{ bits: 4, freeze: [0.5, 0.9] }, "quantize"],
  ] as [PlanOptions["quantize"], string][])("%j is no quantization", (options, at) => {
    expect(() => makePlan({ rate: 2, quantize: options as NonNullable<PlanOptions["quantize"]> })).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION", at }));
  });
});

describe("plans and budgets", () => {
  const lenet = zooGraph("lenet5");
  const values = weightsOf(lenet);

  test("a global budget keeps exactly what the rate allows", () => {
    const budget = makeBudget(lenet, makePlan({ rate: 40 }));
    const kept = [...budget.counts(values).values()].reduce((a, b) => a + b, 0);
    expect(kept + 500).toBe(Math.floor(430_500 / 40));
  });

  test("given densities count against the budget; sparsity is another way to say rate", () => {
    const plan = makePlan({ sparsity: 0.975, scope: "layer", pruneAll: true, layers: { "conv1.weight": { density: 0.5 } } });
    expect(plan.rate).toBeCloseTo(40);
    const counts = makeBudget(lenet, plan).counts(values);
    expect(counts.get("conv1.weight")).toBe(250);
    expect([...counts.values()].reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(Math.floor(430_500 / plan.rate));
    expect((counts.get("ip1.weight") as number) / (counts.get("conv2.weight") as number)).toBeCloseTo(16, 1);
  });

  test("depthwise convolutions and the first one stay dense unless told otherwise", () => {
    const net = zooGraph("mobilenet_v1");
    const pruned = makeBudget(net, makePlan({ rate: 2 })).pruned;
    expect(pruned.some((l) => l.kind === "depthwise" || l.first)).toBe(false);
    expect(makeBudget(net, makePlan({ rate: 2, pruneAll: true })).pruned.length).toBe(28);
  });

  test.each([
    [{}, "sparsity"],
    [{ rate: 0.5 }, "rate"],
    [{ rate: 4, batch: 0 }, "batch"],
    [{ rate: 4, steps: [8] }, "steps"],
    [{ rate: 4, admm: { rhos: [] } }, "admm.rhos"],
    [{ rate: 4, layers: { x: { density: 2 } } }, "layers.x.density"],
  ] as [PlanOptions, string][])("%j is not a plan", (options, at) => {
    expect(() => makePlan(options)).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION", at }));
  });

  test("a rate that dense layers do not allow, and layers that do not exist", () => {
    expect(() => makeBudget(lenet, makePlan({ rate: 1000 }))).toThrowError(expect.objectContaining({ at: "rate" }));
    expect(() => makeBudget(lenet, makePlan({ rate: 4, layers: { nope: { density: 0.5 } } }))).toThrowError(expect.objectContaining({ at: "layers.nope" }));
  });
});

describe("structures in plans", () => {
  test.each(["2x1", "2:4", "columns-2x4", "patterns", "filters"])("%s: every pruned layer has it", async (text) => {
    const net = tinyNet();
    const short = { epochs: 0.4, schedule: { kind: "constant", peak: 0.005 } } as const;
    const { graph, report } = await compress(
      net,
      { ...plan, structure: text, scope: "layer", admm: { ...plan.admm, ...short }, retrain: short, ...(text === "2:4" ? {} : { rate: 3 }) },
      dataset,
      {
        makeStepper,
        validation,
      },
    );
    const structure = parseStructure(text);
    for (const layer of weightLayers(graph).filter((l) => !l.first)) {
      const values = toMatrix(layer.value.data as Float32Array, layer.matrix);
      const count = values.filter((v) => v !== 0).length;
      const budget = fixedCount(structure, layer.matrix) ?? Math.floor(layer.count * 0.6);
      expect(count).toBeLessThanOrEqual(budget);
      // A weight of the structure is its own projection, also onto a somewhat larger set.
      expect(pruning(selectorOf(structure, layer.matrix), Math.min(layer.count - 1, Math.ceil(1.3 * count))).project(values).values).toEqual(values);
    }
    expect(report.rate).toBeGreaterThan(1.3);
  });
});
