import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { allocate, type Option } from "../../src/compress/budget/allocate.ts";
import { freeLayers } from "../../src/compress/budget/options.ts";
import { divergence } from "../../src/compress/budget/sensitivity.ts";
import { type BudgetTables, breakEven, budgetTables, chooseDensities, compress, compressPostTraining, latencyCurves, makePlan } from "../../src/compress/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpreterStepper as makeStepper } from "../../src/train/interpreter-stepper.ts";
import { train } from "../../src/train/trainer.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { bars, tinyNet } from "../train/toy.ts";

/** Least Σ loss with Σ cost ≤ budget, by trying everything. */
function bestOf(layers: readonly (readonly Option[])[], budget: number): number {
  const [first, ...rest] = layers;
  if (budget < 0) return Number.POSITIVE_INFINITY;
  return first === undefined ? 0 : Math.min(...first.map((o) => o.loss + bestOf(rest, budget - o.cost)));
}

describe("allocation", () => {
  const option = fc.record({ loss: fc.nat(100), cost: fc.nat(100) });
  test("meets the budget, with no more loss than the best choice of a budget that is less by the rounding", () => {
    fc.assert(
      fc.property(fc.array(fc.array(option, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }), fc.nat(100), (layers, more) => {
        const least = layers.reduce((sum, options) => sum + Math.min(...options.map((o) => o.cost)), 0);
        const chosen = allocate(layers, least + more).map((o, i) => (layers[i] as Option[])[o] as Option);
        expect(chosen.reduce((sum, o) => sum + o.cost, 0)).toBeLessThanOrEqual(least + more + 1e-9);
        expect(chosen.reduce((sum, o) => sum + o.loss, 0)).toBeLessThanOrEqual(bestOf(layers, least + more * (1 - layers.length / 4000)));
      }),
    );
  });

  test("says what a budget would take that nothing meets", () => {
    expect(() => allocate([[{ loss: 0, cost: 3 }]], 2)).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: "budget" }));
  });
});

const plan = makePlan({ rate: 1 });

describe("budgets", () => {
  const images = bars(64, 5);
  const shared = { makeStepper, method: "admm", batch: 16, seed: 1, densities: [0.5, 0.25, 0.1] } as const;
  let dense: Graph;
  let tables: BudgetTables;
  beforeAll(async () => {
    dense = await train(tinyNet(), bars(96), { epochs: 4, batch: 16, schedule: { kind: "cosine", peak: 0.02, warmup: 4 }, makeStepper });
    tables = await budgetTables(dense, plan, images, { ...shared, latency: { target: "wasm-x64-relaxed" } });
  }, 60_000);

  test("losses are divergences of the output that rise from 0 as a layer alone is pruned; the first convolution is left out", () => {
    expect([...tables.losses.keys()]).toEqual(["conv2.weight", "fc.weight"]);
    for (const list of tables.losses.values()) {
      expect(list[0]).toBe(0);
      expect([...list].sort((a, b) => a - b)).toEqual(list);
      expect(list.at(-1)).toBeGreaterThan(1e-4);
    }
    expect(divergence(Float32Array.of(0, 0, 1, 2), Float32Array.of(5, 5, 1, 2), 2)).toBeCloseTo(0, 10);
    expect(divergence(Float32Array.of(0, 0), Float32Array.of(0, Math.log(3)), 2)).toBeCloseTo(0.5 * Math.log(2) + 0.5 * Math.log(2 / 3), 6);
  });

  test("what few images are fitted to closely is measured on others", async () => {
    const few = bars(8, 6);
    const twice = {
      ...few,
      batch: (indices: ArrayLike<number>, ...to: [Float32Array, Int32Array]) =>
        few.batch(
          Array.from(indices, (i) => i % 4),
          ...to,
        ),
    } as typeof few;
    const lossOf = async (some: typeof few) => {
      const { losses } = await budgetTables(dense, plan, some, { ...shared, batch: 4, ridge: 1e-6, densities: [0.5] });
      return losses.get("fc.weight")?.[1] as number;
    };
    const [honest, flattered] = [await lossOf(few), await lossOf(twice)];
    expect(honest).toBeGreaterThan(1.5 * flattered);
  });

  test("a budget by sensitivity holds the rate, and both modes take its plan", async () => {
    const { layers, rate, report } = chooseDensities(tables, { kind: "rate", rate: 2.5 });
    expect(rate).toBeGreaterThanOrEqual(2.5);
    expect(report.layers.reduce((sum, l) => sum + l.loss, 0)).toBeGreaterThan(0);
    const { report: fitted } = await compressPostTraining(dense, { batch: 16, layers, rate }, images, { makeStepper });
    expect(fitted.rate).toBeCloseTo(rate, 1);
    const { report: trained } = await compress(dense, { batch: 16, layers, rate, admm: { epochs: 1 }, retrain: { epochs: 1 } }, bars(64), { makeStepper });
    expect(trained.rate).toBeCloseTo(rate, 1);
  });

  test("a budget of latency holds it; what gains nothing stays dense", () => {
    const layer = (name: string, latency: readonly number[], losses: readonly number[]) => ({ name, latency, losses });
    const [gains, never] = [layer("conv2.weight", [10, 9, 5, 2], [0, 0.1, 0.2, 0.4]), layer("fc.weight", [4, 4, 4, 4], [0, 0.01, 0.02, 0.03])];
    const made: BudgetTables = {
      ...tables,
      losses: new Map([gains, never].map((l) => [l.name, l.losses])),
      curves: { target: "wasm-x64-relaxed", engine: "none", unit: "ms", fixed: 6, layers: new Map([gains, never].map((l) => [l.name, l.latency])) },
    };
    const { layers, report } = chooseDensities(made, { kind: "latency", share: 0.75 });
    expect(report.latency).toMatchObject({ dense: 20, planned: 15 });
    expect(layers["fc.weight"]).toEqual({ density: 1 });
    expect(report.layers.map((l) => l.breakEven)).toEqual([0.5, undefined]);
    // A rate stands for the latency that it has where all layers are alike.
    expect(chooseDensities(made, { kind: "latency", asRate: 4 }).report.latency?.planned).toBeLessThanOrEqual(12);
    expect(() => chooseDensities(made, { kind: "latency", share: 0.3 })).toThrow(/least that the layers can take/);
    expect(() => chooseDensities({ ...tables, curves: undefined } as unknown as BudgetTables, { kind: "latency", share: 0.5 })).toThrow(/needs a target/);
  });

  test("a structure with a density of its own is used or left out", () => {
    const structured = makePlan({ rate: 1, structure: "2:4" });
    const free = freeLayers(dense, structured, [0.3]);
    expect(free.map((f) => f.counts.map((c) => c / f.layer.count))).toEqual([
      [1, 0.5],
      [1, 0.5],
    ]);
    const { layers } = chooseDensities({ plan: structured, total: tables.total, free, losses: new Map(free.map((f) => [f.layer.name, [0, 1]])) }, { kind: "rate", rate: 1 });
    expect(layers["conv2.weight"]).toEqual({ density: 1, structure: "unstructured" });
  });
});

describe("break-even curves", () => {
  test("a layer keeps its dense kernel until the sparse one is faster, and falls from there", async () => {
    const net = zooGraph("lenet5");
    const free = freeLayers(net, plan, [0.6, 0.2, 0.05]);
    expect(free.map((f) => f.layer.name)).not.toContain("conv1.weight");
    for (const target of ["wasm-x64-relaxed", "wasm-arm64-relaxed"] as const) {
      const { curves } = await latencyCurves(net, plan, free, { target });
      expect(curves).toMatchObject({ target, engine: "estimated", unit: "Mcycles" });
      expect(curves.fixed).toBeGreaterThan(0);
      for (const one of free.slice(0, 2)) {
        const curve = curves.layers.get(one.layer.name) as readonly number[];
        expect(curve.at(-1)).toBeLessThan(0.5 * (curve[0] as number));
        expect(breakEven(one, curve)).toBeLessThan(1);
      }
    }
  });
});
