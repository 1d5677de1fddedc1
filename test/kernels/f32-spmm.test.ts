import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Spmm, type SpmmChoice, type SpmmProblem } from "../../src/kernels/wasm/f32-spmm.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { activated, activations, at, inSpan, noise, outSpan, regions, tapLists } from "./problems.ts";
import { prune, stream } from "./weights.ts";

interface Case {
  readonly problem: SpmmProblem;
  readonly channelStride: number;
  readonly taps: readonly number[];
  readonly zeros: number;
  readonly emptyRows: readonly number[];
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    m: fc.constantFrom(5, 7, 1, 2, 3, 4, 11, 16),
    channels: fc.constantFrom(3, 5, 1, 2, 7, 16),
    channelStep: fc.constantFrom(0, 1, 5, 64),
    taps: tapLists,
    region: regions,
    outGap: fc.constantFrom(0, 1, 6),
    bias: fc.boolean(),
    residual: fc.boolean(),
    activation: activations,
    zeros: fc.constantFrom(0.5, 0.9, 0, 1),
    emptyRows: fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { maxLength: 4 }),
  })
  .map(({ m, channels, channelStep, taps, region, outGap, bias, residual, activation, zeros, emptyRows }) => {
    const depth = channels * taps.length;
    const problem = { m, nonZeros: m * depth, depth, region, outStride: outSpan(region) + outGap, bias, residual, activation };
    return { problem, channelStride: inSpan(region) + channelStep, taps, zeros, emptyRows };
  });

/** y[m, p] = act(bias[m] + Σ over the non-zeros of row m of weight · x[p + offset] + residual[m, p]) */
function check({ problem: p, channelStride, taps, zeros, emptyRows }: Case, seed: number, more: (choices: readonly SpmmChoice[]) => readonly SpmmChoice[]): void {
  const { region } = p;
  const offsetOf = (k: number) => Math.floor(k / taps.length) * channelStride + at(taps, k % taps.length);
  const x = noise(seed, "x", (p.depth / taps.length - 1) * channelStride + Math.max(...taps) + inSpan(region));
  const w = prune(noise(seed, "w", p.m * p.depth), p.depth, zeros, emptyRows);
  const bias = noise(seed, "bias", p.m);
  const outputSize = (p.m - 1) * p.outStride + outSpan(region);
  const residual = noise(seed, "residual", outputSize);
  const expected = new Map<number, { value: number; tolerance: number }>();
  for (let m = 0; m < p.m; m++)
    for (let row = 0; row < region.h; row++)
      for (let column = 0; column < region.w; column++) {
        const index = m * p.outStride + row * region.outPitch + column;
        let sum = (p.bias ? at(bias, m) : 0) + (p.residual ? at(residual, index) : 0);
        let magnitude = (p.bias ? Math.abs(at(bias, m)) : 0) + (p.residual ? Math.abs(at(residual, index)) : 0);
        for (let k = 0; k < p.depth; k++) {
          const product = at(w, m * p.depth + k) === 0 ? 0 : at(w, m * p.depth + k) * at(x, offsetOf(k) + row * region.inPitch + column);
          sum += product;
          magnitude += Math.abs(product);
        }
        expected.set(index, activated(p.activation, sum, magnitude, p.depth + 2));
      }
  const streams = { 1: stream(w, p.m, p.depth, 1, offsetOf), 4: stream(w, p.m, p.depth, 4, offsetOf) };
  checkKernel({
    template: f32Spmm,
    problem: p,
    operands: {
      x: { data: x },
      w: { data: streams[4].length > streams[1].length ? streams[4] : streams[1] },
      ...(p.bias ? { bias: { data: bias } } : {}),
      ...(p.residual ? { residual: { data: residual } } : {}),
      y: { data: blank(outputSize) },
    },
    weights: (choice) => streams[choice.group],
    expected,
    more,
  });
}

describe("f32-spmm", () => {
  test("every choice computes the product, with empty rows, taps anywhere, and gaps between rows and planes", () => {
    fuzz(cases, 16, (c, seed) => check(c, seed, () => []));
  });

  test("either way of sharing the work", () => {
    fuzz(cases, 4, (c, seed) => check(c, seed, (choices) => choices.map((choice) => ({ ...choice, split: choice.split === "tiles" ? "filters" : "tiles" }))));
  });
});
