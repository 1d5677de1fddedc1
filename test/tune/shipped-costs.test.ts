import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { canonicalText, estimatedCosts } from "../../src/kernels/costs.ts";
import { kernelTable } from "../../src/kernels/table.ts";
import { f32Gemm, type GemmProblem } from "../../src/kernels/wasm/f32-gemm.ts";
import { f32Spmm, type SpmmProblem } from "../../src/kernels/wasm/f32-spmm.ts";
import { rankByModel } from "../../src/tune/candidates.ts";
import { defaultCosts, formatShipped, measuredCosts, shippedCosts, type TuningRecord } from "../../src/tune/index.ts";
import { createLearningRanking } from "../../src/tune/learning-ranking.ts";
import { problemText } from "../../src/tune/log.ts";
import { arm64Records } from "../../src/tune/records/arm64.ts";
import { x64Records } from "../../src/tune/records/x64.ts";

const target = targets["wasm-arm64-relaxed"];
const region = { h: 1, w: 196, inPitch: 0, outPitch: 0 };
const common = { m: 64, channels: 128, channelStride: 208, taps: [0], region, outStride: 208, bias: true, residual: false, activation: { kind: "none" } } as const;
const dense: GemmProblem = { ...common, weights: { kind: "packed" } };
const sparse = (nonZeros: number): SpmmProblem => ({ ...common, nonZeros, block: 1 });

const counted = "fake/llvm-22/one core";

/** A record in which the given choices take 1000, 1100, … */
function recordOf<P, C>(template: { readonly name: string } & (typeof kernelTable)[number], problem: P, choices: readonly C[], engine = counted): TuningRecord {
  const times = choices.map((choice, i) => ({ choice: canonicalText(choice), ns: 1000 + 100 * i }));
  return { kernel: template.name, problem: problemText(template, problem), target: target.name, engine, space: 9, times };
}
const gemm = f32Gemm as unknown as (typeof kernelTable)[number];
const spmm = f32Spmm as unknown as (typeof kernelTable)[number];

describe("shipped costs", () => {
  const gemmChoices = f32Gemm.choices(dense, target);
  // Those that all the sparse problems below have.
  const textsOf = (nonZeros: number) => f32Spmm.choices(sparse(nonZeros), target).map(canonicalText);
  const spmmChoices = f32Spmm.choices(sparse(800), target).filter((c) => [250, 1000, 1600, 3500, 4000].every((n) => textsOf(n).includes(canonicalText(c))));
  const wanted = { gemm: gemmChoices.at(-1), few: spmmChoices.at(-1), many: spmmChoices.at(-2) };
  const log = { records: [recordOf(gemm, dense, [wanted.gemm]), recordOf(spmm, sparse(800), [wanted.few]), recordOf(spmm, sparse(4000), [wanted.many, spmmChoices[0]])] };
  const text = formatShipped(log);
  const costs = shippedCosts(text);

  test("choose what was fastest, of sparse weights that with the nearest number of non-zeros", () => {
    expect(costs.best(f32Gemm, dense, target)?.choice).toEqual(wanted.gemm);
    for (const [nonZeros, choice] of [
      [250, wanted.few],
      [1000, wanted.few],
      [3500, wanted.many],
    ] as const)
      expect(costs.best(f32Spmm, sparse(nonZeros), target)?.choice).toEqual(choice);
    const [a, b] = [800, 1600].map((n) => costs.best(f32Spmm, sparse(n), target)?.cost as number) as [number, number];
    expect(b / a).toBeCloseTo(f32Spmm.cost(sparse(1600), wanted.few as never, target) / f32Spmm.cost(sparse(800), wanted.few as never, target), 3);
  });

  test("leave other targets, other problems and choices that no longer exist to the models", () => {
    const other = targets["wasm-x64-relaxed"];
    expect(costs.best(f32Gemm, dense, other)).toEqual(estimatedCosts.best(f32Gemm, dense, other));
    const far = sparse(150);
    expect(costs.best(f32Spmm, far, target)?.choice).toEqual(estimatedCosts.best(f32Spmm, far, target)?.choice);
    const wider = { ...dense, m: 65 };
    expect(costs.best(f32Gemm, wider, target)?.choice).toEqual(estimatedCosts.best(f32Gemm, wider, target)?.choice);
    const stale = shippedCosts(text.replaceAll(/\{[^ \n]*\}/g, "{99,none}"));
    expect(stale.best(f32Gemm, dense, target)?.choice).toEqual(estimatedCosts.best(f32Gemm, dense, target)?.choice);
  });

  test("are the models' where choices were clocked", () => {
    const clocked = shippedCosts(formatShipped({ records: [recordOf(gemm, dense, [wanted.gemm], "fake")] }));
    expect(clocked.best(f32Gemm, dense, target)).toEqual({ choice: wanted.gemm, cost: estimatedCosts.best(f32Gemm, dense, target)?.cost });
  });

  test("come after what was measured", () => {
    const measured = measuredCosts({ records: [recordOf(gemm, dense, [gemmChoices[0]])] }, { shipped: costs });
    expect(measured.best(f32Gemm, dense, target)?.choice).toEqual(gemmChoices[0]);
    expect(measured.best(f32Spmm, sparse(800), target)?.choice).toEqual(wanted.few);
  });

  test("of the package are what is written for the kernels as they are", () => {
    for (const line of (arm64Records + x64Records).split("\n").filter((l) => l !== "")) {
      expect(line).toMatch(/^[\w-]+ wasm-(arm64|x64)-(relaxed|plain) (factor [\d.]+|\w+ \d+ (-|[\d.e+-]+) \S+)$/);
      expect(kernelTable.map((t) => t.name)).toContain(line.split(" ")[0]);
    }
    expect(defaultCosts.best(f32Gemm, dense, targets["wasm-x64-plain"])).toEqual(estimatedCosts.best(f32Gemm, dense, targets["wasm-x64-plain"]));
  });
});

describe("the learning ranking", () => {
  const other: GemmProblem = { ...dense, m: 96, channels: 64 };
  const tall = (choice: unknown) => (choice as { filters: number }).filters === 1;

  test("is the models' before it knows anything", () => {
    expect(createLearningRanking().rank(gemm, dense, target)).toEqual(rankByModel(gemm, dense, target));
  });

  test("puts first what was faster than expected elsewhere", () => {
    const { rank, learn } = createLearningRanking();
    const times = f32Gemm.choices(other, target).map((choice) => ({ choice: canonicalText(choice), ns: f32Gemm.cost(other, choice, target) * (tall(choice) ? 0.05 : 1) }));
    learn({ ...recordOf(gemm, other, []), times });
    expect(tall(rankByModel(gemm, dense, target)[0])).toBe(false);
    const ranked = rank(gemm, dense, target);
    expect(tall(ranked[0])).toBe(true);
    expect(new Set(ranked.map(canonicalText))).toEqual(new Set(rankByModel(gemm, dense, target).map(canonicalText)));
  });
});
