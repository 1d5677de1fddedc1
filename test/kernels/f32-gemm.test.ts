import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Gemm, type GemmChoice, type GemmProblem, type GemmWeights } from "../../src/kernels/wasm/f32-gemm.ts";
import { blank, checkKernel, fuzz, type Operand } from "./harness.ts";
import { activated, activations, at, forEachOutput, inSpan, noise, outSpan, regions, tapLists } from "./problems.ts";
import { packed } from "./weights.ts";

const problems: fc.Arbitrary<GemmProblem> = fc
  .record({
    m: fc.constantFrom(5, 7, 1, 2, 3, 4, 6, 8, 11, 13),
    channels: fc.constantFrom(3, 5, 1, 2, 7, 8),
    channelStep: fc.constantFrom(0, 1, 5, 64),
    taps: tapLists,
    region: regions,
    outGap: fc.constantFrom(0, 1, 6),
    strided: fc.boolean(),
    row: fc.integer({ min: 1, max: 40 }),
    channel: fc.integer({ min: 1, max: 20 }),
    bias: fc.boolean(),
    residual: fc.boolean(),
    activation: activations,
  })
  .map(({ m, channels, channelStep, taps, region, outGap, strided, row, channel, bias, residual, activation }) => {
    const weights: GemmWeights = strided ? { kind: "strided", row, channel, taps: taps.map((_, t) => taps.length - 1 - t) } : { kind: "packed" };
    const channelStride = inSpan(region) + channelStep;
    return { m, channels, channelStride, taps, region, outStride: outSpan(region) + outGap, weights, bias, residual, activation };
  });

/** y[m, p] = act(bias[m] + Σ_c Σ_t w[m, c, t] · x[c, p + tap t] + residual[m, p]), and w as the choice wants it. */
function check(p: GemmProblem, seed: number, more: (choices: readonly GemmChoice[]) => readonly GemmChoice[]): void {
  const { region, taps, weights } = p;
  const depth = p.channels * taps.length;
  const x = noise(seed, "x", (p.channels - 1) * p.channelStride + Math.max(...taps) + inSpan(region));
  const w = noise(seed, "w", p.m * depth);
  const size = weights.kind === "packed" ? 0 : (p.m - 1) * weights.row + (p.channels - 1) * weights.channel + taps.length;
  const strided = noise(seed, "strided", size);
  const weight = (m: number, c: number, t: number) =>
    weights.kind === "packed" ? at(w, m * depth + c * taps.length + t) : at(strided, m * weights.row + c * weights.channel + at(weights.taps, t));
  const bias = noise(seed, "bias", p.m);
  const outputSize = (p.m - 1) * p.outStride + outSpan(region);
  const residual = noise(seed, "residual", outputSize);
  const expected = new Map<number, { value: number; tolerance: number }>();
  forEachOutput(p, (m, row, column, index) => {
    const terms = [p.bias ? at(bias, m) : 0, p.residual ? at(residual, index) : 0];
    for (let c = 0; c < p.channels; c++)
      for (let t = 0; t < taps.length; t++) terms.push(weight(m, c, t) * at(x, c * p.channelStride + at(taps, t) + row * region.inPitch + column));
    expected.set(
      index,
      activated(
        p.activation,
        terms.reduce((a, b) => a + b, 0),
        terms.reduce((a, b) => a + Math.abs(b), 0),
        terms.length,
      ),
    );
  });
  const operands: Record<string, Operand> = {
    x: { data: x },
    w: { data: weights.kind === "packed" ? w : strided },
    ...(taps.length > 1 ? { taps: { data: Int32Array.from(taps, (t) => 4 * t) } } : {}),
    ...(p.bias ? { bias: { data: bias } } : {}),
    ...(p.residual ? { residual: { data: residual } } : {}),
    y: { data: blank(outputSize) },
  };
  checkKernel({ template: f32Gemm, problem: p, operands, expected, more, ...(weights.kind === "packed" ? { weights: (c: GemmChoice) => packed(w, p.m, depth, c.filters) } : {}) });
}

describe("f32-gemm", () => {
  test("every choice computes the product, for packed and strided weights, taps anywhere, and gaps between rows and planes", () => {
    fuzz(problems, 16, (p, seed) => check(p, seed, () => []));
  });

  test("tiles in any chunks, and either way of sharing the work", () => {
    const shortChunks = (choices: readonly GemmChoice[]) =>
      choices.flatMap((c): GemmChoice[] => [
        { ...c, chunk: 1, split: "tiles" },
        { ...c, chunk: 3, split: "tiles" },
        { ...c, split: "filters" },
      ]);
    fuzz(problems, 4, (p, seed) => check(p, seed, shortChunks));
  });
});
