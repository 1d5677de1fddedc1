import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Window, type WindowProblem } from "../../src/kernels/wasm/f32-window.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { activated, activations, at, inSpan, noise, outSpan, regions, tapLists } from "./problems.ts";

/** Taps of a k × k window on the region's own rows, where vectors are shared between output rows, or anywhere. */
const problems: fc.Arbitrary<WindowProblem> = fc
  .record({
    columnStep: fc.constantFrom<WindowProblem["columnStep"]>(1, 2),
    kind: fc.constantFrom<WindowProblem["kind"]>("depthwise", "max", "sum"),
    channels: fc.constantFrom(3, 5, 1, 2, 7),
    multiplier: fc.constantFrom(1, 1, 2, 3),
    region: regions,
    square: fc.constantFrom(0, 3, 2, 5),
    dilation: fc.constantFrom(1, 2),
    taps: tapLists,
    inGap: fc.constantFrom(0, 1, 5),
    outGap: fc.constantFrom(0, 1, 6),
    bias: fc.boolean(),
    residual: fc.boolean(),
    activation: activations,
  })
  .map(({ columnStep, kind, channels, multiplier, region, square, dilation, taps, inGap, outGap, bias, residual, activation }) => {
    const window = Array.from({ length: square * square }, (_, t) => (Math.floor(t / square) * region.inPitch + (t % square)) * dilation);
    const copies = kind === "depthwise" ? multiplier : 1;
    return {
      kind,
      columnStep,
      channels: channels * copies,
      inStride: inSpan(region) + (columnStep - 1) * region.w + inGap,
      outStride: outSpan(region) + outGap,
      taps: square === 0 ? taps : window,
      region,
      scale: kind === "sum" ? 1 / 7 : 1,
      multiplier: copies,
      bias: kind === "depthwise" && bias,
      residual: kind === "depthwise" && residual,
      activation,
    };
  });

/** act(bias[c] + Σ_t w[c, t] · x[c, p + tap t] + residual[c, p]), act(max_t x[c, p + tap t]) or act(scale · Σ_t x[c, p + tap t]) */
function check(p: WindowProblem, seed: number): void {
  const { region, taps } = p;
  const x = noise(seed, "x", (p.channels / p.multiplier - 1) * p.inStride + Math.max(...taps) + inSpan(region) + (p.columnStep - 1) * region.w);
  const w = noise(seed, "w", p.channels * taps.length);
  const bias = noise(seed, "bias", p.channels);
  const outputSize = (p.channels - 1) * p.outStride + outSpan(region);
  const residual = noise(seed, "residual", outputSize);
  const expected = new Map<number, { value: number; tolerance: number }>();
  for (let c = 0; c < p.channels; c++)
    for (let row = 0; row < region.h; row++)
      for (let column = 0; column < region.w; column++) {
        const index = c * p.outStride + row * region.outPitch + column;
        const inputs = taps.map((tap) => at(x, Math.floor(c / p.multiplier) * p.inStride + tap + row * region.inPitch + column * p.columnStep));
        const factor = (t: number) => (p.kind === "depthwise" ? at(w, c * taps.length + t) : p.scale);
        const terms = p.kind === "max" ? [Math.max(...inputs)] : inputs.map((v, t) => v * factor(t));
        if (p.bias) terms.push(at(bias, c));
        if (p.residual) terms.push(at(residual, index));
        const sum = terms.reduce((a, b) => a + b, 0);
        const magnitude = p.kind === "max" ? 0 : terms.reduce((a, b) => a + Math.abs(b), 0);
        expected.set(index, activated(p.activation, sum, magnitude, terms.length + 1));
      }
  checkKernel({
    template: f32Window,
    problem: p,
    operands: {
      x: { data: x },
      ...(p.kind === "depthwise" ? { w: { data: w } } : {}),
      ...(p.bias ? { bias: { data: bias } } : {}),
      ...(p.residual ? { residual: { data: residual } } : {}),
      y: { data: blank(outputSize) },
    },
    expected,
  });
}

describe("f32-window", () => {
  test("every choice computes depthwise convolution, max and sum pooling, for windows and for taps anywhere", () => {
    fuzz(problems, 50, check);
  });
});
