import fc from "fast-check";
import { describe, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { f32Winograd, type WinogradChoice, type WinogradProblem, winogradScratch } from "../../src/kernels/wasm/f32-winograd.ts";
import { blank, checkKernel, fuzz, type Operand } from "./harness.ts";
import { activated, activations, at, forEachOutput, inSpan, noise, outSpan } from "./problems.ts";
import { winogradWeights } from "./weights.ts";

const sizes = fc.constantFrom(5, 7, 9, 13, 4, 6, 11, 14, 17, 23, 27, 8, 12);

const problems: fc.Arbitrary<WinogradProblem> = fc
  .record({
    m: fc.constantFrom(5, 7, 1, 2, 3, 13, 24, 31),
    channels: fc.constantFrom(3, 5, 1, 2, 7),
    taps: fc.constantFrom<WinogradProblem["taps"]>(3, 4, 5),
    channelStep: fc.constantFrom(0, 1, 5, 64),
    h: sizes,
    w: sizes,
    inGap: fc.constantFrom(0, 1, 4),
    outPitchGap: fc.constantFrom(0, 1, 7),
    outGap: fc.constantFrom(0, 1, 6),
    bias: fc.boolean(),
    residual: fc.boolean(),
    activation: activations,
  })
  .map(({ m, channels, taps, channelStep, h, w, inGap, outPitchGap, outGap, bias, residual, activation }) => {
    const region = { h, w, inPitch: w + taps - 1 + inGap, outPitch: w + outPitchGap };
    return {
      m,
      channels,
      taps,
      channelStride: (h + taps - 1) * region.inPitch + channelStep,
      region,
      outStride: outSpan(region) + outGap,
      bias,
      residual: residual && taps === 3,
      activation,
    };
  });

function check(p: WinogradProblem, seed: number, more: (choices: readonly WinogradChoice[]) => readonly WinogradChoice[]): void {
  const { region } = p;
  const x = noise(seed, "x", (p.channels - 1) * p.channelStride + inSpan({ ...region, h: region.h + p.taps - 1, w: region.w + p.taps - 1 }));
  const w = noise(seed, "w", p.m * p.channels * p.taps ** 2);
  const bias = noise(seed, "bias", p.m);
  const outputSize = (p.m - 1) * p.outStride + outSpan(region);
  const residual = noise(seed, "residual", outputSize);
  const expected = new Map<number, { value: number; tolerance: number }>();
  forEachOutput(p, (m, row, column, index) => {
    let sum = (p.bias ? at(bias, m) : 0) + (p.residual ? at(residual, index) : 0);
    for (let c = 0; c < p.channels; c++)
      for (let t = 0; t < p.taps ** 2; t++)
        sum += at(w, (m * p.channels + c) * p.taps ** 2 + t) * at(x, c * p.channelStride + (row + Math.floor(t / p.taps)) * region.inPitch + column + (t % p.taps));
    // An output's error comes from the whole tile, not from its own terms only.
    expected.set(index, activated(p.activation, sum, p.taps ** 2 * p.channels + 2, 8));
  });
  const choices = Object.values(targets).flatMap((target) => f32Winograd.choices(p, target));
  const scratch = Math.max(...[...choices, ...more(choices)].map((c) => winogradScratch(p, c)));
  const operands: Record<string, Operand> = {
    x: { data: x },
    w: { data: new Float32Array(36 * p.m * p.channels) },
    ...(p.bias ? { bias: { data: bias } } : {}),
    ...(p.residual ? { residual: { data: residual } } : {}),
    scratch: { data: blank(scratch), scratch: true },
    y: { data: blank(outputSize) },
  };
  checkKernel({
    template: f32Winograd,
    problem: p,
    operands,
    expected,
    more,
    weights: (c: WinogradChoice) => winogradWeights(w, p.m, p.channels, c.group, c.product.filters, p.taps, c.side ?? 6),
  });
}

describe("f32-winograd", () => {
  test("every choice computes the 3×3, 4×4 or 5×5 convolution, whatever the size, with gaps between rows and planes", () => {
    fuzz(problems, 6, (p, seed) => check(p, seed, () => []));
  });

  test("either way of sharing the work", () => {
    const other = (choices: readonly WinogradChoice[]) =>
      choices.flatMap((c): WinogradChoice[] => [
        { ...c, split: { by: "tiles", rows: 1 } },
        { ...c, split: { by: "tiles", rows: 2 } },
        { ...c, split: { by: "filters" } },
      ]);
    fuzz(problems, 2, (p, seed) => check(p, seed, other));
  });
});
