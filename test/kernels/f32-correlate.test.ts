import fc from "fast-check";
import { describe, test } from "vitest";
import { type CorrelateProblem, f32Correlate } from "../../src/kernels/wasm/f32-correlate.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { at, noise, tapLists, unit } from "./problems.ts";

const problems: fc.Arbitrary<CorrelateProblem> = fc
  .record({
    m: fc.constantFrom(5, 7, 1, 2, 3, 4),
    channels: fc.constantFrom(3, 5, 1, 2, 4, 7),
    taps: tapLists,
    h: fc.constantFrom(3, 1, 5),
    w: fc.constantFrom(12, 4, 20, 8),
    gaps: fc.array(fc.constantFrom(0, 1, 5), { minLength: 4, maxLength: 4 }),
  })
  .map(({ m, channels, taps, h, w, gaps }) => {
    const [a, b, c, d] = gaps as [number, number, number, number];
    const xPitch = w + a;
    const dyPitch = w + b;
    return { m, channels, taps, h, w, xPitch, dyPitch, xStride: h * xPitch + c, dyStride: h * dyPitch + d };
  });

describe("f32-correlate", () => {
  test("every choice computes dw[m, c, t] = Σ_p dy[m, p] · x[c, p + tap t]", () => {
    fuzz(problems, 40, (p, seed) => {
      const x = noise(seed, "x", (p.channels - 1) * p.xStride + Math.max(...p.taps) + (p.h - 1) * p.xPitch + p.w);
      const dy = noise(seed, "dy", (p.m - 1) * p.dyStride + (p.h - 1) * p.dyPitch + p.w);
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (let m = 0; m < p.m; m++)
        for (let c = 0; c < p.channels; c++)
          p.taps.forEach((tap, t) => {
            let value = 0;
            let magnitude = 0;
            for (let row = 0; row < p.h; row++)
              for (let column = 0; column < p.w; column++) {
                const product = at(dy, m * p.dyStride + row * p.dyPitch + column) * at(x, c * p.xStride + tap + row * p.xPitch + column);
                value += product;
                magnitude += Math.abs(product);
              }
            expected.set((m * p.channels + c) * p.taps.length + t, { value, tolerance: (p.h * p.w + 2) * unit * magnitude });
          });
      checkKernel({ template: f32Correlate, problem: p, operands: { x: { data: x }, dy: { data: dy }, y: { data: blank(p.m * p.channels * p.taps.length) } }, expected });
    });
  });
});
