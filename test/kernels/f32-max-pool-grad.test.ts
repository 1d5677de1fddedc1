import fc from "fast-check";
import { describe, test } from "vitest";
import { f32MaxPoolGrad, type MaxPoolGradProblem } from "../../src/kernels/wasm/f32-max-pool-grad.ts";
import { checkKernel, fuzz } from "./harness.ts";
import { at, noise, unit } from "./problems.ts";

const problems: fc.Arbitrary<MaxPoolGradProblem & { readonly xSize: number; readonly ySize: number }> = fc
  .record({
    channels: fc.constantFrom(1, 2, 3),
    outH: fc.constantFrom(3, 1, 2),
    outW: fc.constantFrom(5, 1, 2, 3),
    lanes: fc.constantFrom(4, 8, 12),
    kernel: fc.constantFrom(2, 3, 1),
    stride: fc.constantFrom(1, 2, 3),
    sets: fc.boolean(),
    gaps: fc.array(fc.constantFrom(0, 3, 5), { minLength: 4, maxLength: 4 }),
  })
  .map(({ channels, outH, outW, lanes, kernel, stride, sets, gaps }) => {
    const [a, b, c, d] = gaps as [number, number, number, number];
    const pitch = ((outW - 1) * stride + kernel) * lanes + a;
    const rows = (outH - 1) * stride + kernel;
    const yPitch = outW * lanes + b;
    const xStride = rows * pitch + c;
    const yStride = outH * yPitch + d;
    const taps = Array.from({ length: kernel * kernel }, (_, t) => Math.floor(t / kernel) * pitch + (t % kernel) * lanes);
    const steps = { rowStep: stride * pitch, columnStep: stride * lanes };
    return { channels, outH, outW, lanes, disjoint: sets && kernel <= stride, ...steps, taps, xStride, yPitch, yStride, xSize: channels * xStride, ySize: channels * yStride };
  });

describe("f32-max-pool-grad", () => {
  test("adds each gradient where its window's first maximum is", () => {
    fuzz(problems, 40, (p, seed) => {
      // Few values, so that maxima are often equal.
      const x = noise(seed, "x", p.xSize).map((v) => Math.round(v * 2));
      const dy = noise(seed, "dy", p.ySize);
      const y = noise(seed, "y", p.ySize);
      const sums = new Float64Array(p.xSize);
      const magnitudes = new Float64Array(p.xSize);
      for (let c = 0; c < p.channels; c++)
        for (let row = 0; row < p.outH; row++)
          for (let column = 0; column < p.outW; column++)
            for (let lane = 0; lane < p.lanes; lane++) {
              const corner = c * p.xStride + row * p.rowStep + column * p.columnStep + lane;
              const inputs = p.taps.map((tap) => at(x, corner + tap));
              const output = c * p.yStride + row * p.yPitch + column * p.lanes + lane;
              y[output] = Math.max(...inputs);
              const winner = corner + at(p.taps, inputs.indexOf(Math.max(...inputs)));
              sums[winner] = at(sums, winner) + at(dy, output);
              magnitudes[winner] = at(magnitudes, winner) + Math.abs(at(dy, output));
            }
      const expected = new Map(Array.from(sums, (value, i) => [i, { value, tolerance: 10 * unit * at(magnitudes, i) }]));
      checkKernel({ template: f32MaxPoolGrad, problem: p, operands: { x: { data: x }, y: { data: y }, dy: { data: dy }, dx: { data: new Float32Array(p.xSize) } }, expected });
    });
  });
});
