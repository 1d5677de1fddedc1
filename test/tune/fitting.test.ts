import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { f32Spmm, type SpmmProblem } from "../../src/kernels/wasm/f32-spmm.ts";
import { bestCounted, farOf } from "../../src/tune/fitting.ts";

const target = targets["wasm-arm64-relaxed"];
/** 3×3 over 256 planes of 14×14, padded. */
const problem: SpmmProblem = {
  m: 256,
  nonZeros: 64000,
  channels: 256,
  channelStride: 256,
  taps: [0, 1, 2, 16, 17, 18, 32, 33, 34],
  block: 1,
  region: { h: 1, w: 212, inPitch: 0, outPitch: 0 },
  outStride: 212,
  bias: true,
  residual: false,
  activation: { kind: "none" },
};
const choices = f32Spmm.choices(problem, target).map((choice) => ({ choice, far: farOf(f32Spmm, problem, choice, target) }));

describe("choices that were counted", () => {
  const fits = choices.reduce((a, b) => (b.far < a.far ? b : a));
  const large = choices.reduce((a, b) => (b.far > a.far ? b : a));

  test("wait for the second-level cache where a pass's input is larger than the first-level one, more on cores with small ones", () => {
    expect(fits.far).toBeLessThan(0.3 * large.far);
    expect(large.far).toBeGreaterThan(100_000);
    expect(farOf(f32Spmm, problem, large.choice, targets["wasm-arm64-plain"])).toBeLessThan(large.far);
    expect(farOf(f32Spmm, problem, large.choice, targets["wasm-x64-relaxed"])).toBe(0);
  });

  test("are taken for their traffic if counts tell them apart by little, else for their counts", () => {
    const best = (cycles: number) =>
      bestCounted(f32Spmm, problem, target, [
        { ...large, cycles: 3e6 },
        { ...fits, cycles },
      ])?.choice;
    expect(best(3.1e6)).toBe(fits.choice);
    expect(best(3.2e6)).toBe(large.choice);
    expect(bestCounted(f32Spmm, problem, target, [])).toBeUndefined();
  });
});
