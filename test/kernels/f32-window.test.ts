import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Window, type WindowProblem } from "../../src/kernels/wasm/f32-window.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { activated, activations, at, inSpan, noise, outSpan, regions, tapLists } from "./problems.ts";

const fused = fc.record({
  channels: fc.constantFrom(3, 5, 1, 2, 7),
  multiplier: fc.constantFrom(1, 1, 2, 3),
  columnStep: fc.constantFrom<WindowProblem["columnStep"]>(1, 2),
  kind: fc.constantFrom<WindowProblem["kind"]>("depthwise", "max", "sum"),
  inGap: fc.constantFrom(0, 1, 5),
  outGap: fc.constantFrom(0, 1, 6),
  bias: fc.boolean(),
  residual: fc.boolean(),
  activation: activations,
  rowsFirst: fc.boolean(),
});

const square = (size: number): [number, number][] => Array.from({ length: size * size }, (_, t) => [Math.floor(t / size), t % size]);

/** Taps of a k × k window on the region's own rows, where vectors are shared between output rows, or anywhere. */
const padded: fc.Arbitrary<WindowProblem> = fc
  .record({ shared: fused, region: regions, size: fc.constantFrom(0, 3, 2, 5), dilation: fc.constantFrom(1, 2), taps: tapLists })
  .map(({ shared: { inGap, outGap, bias, residual, rowsFirst, ...shared }, region, size, dilation, taps }) => {
    const copies = shared.kind === "depthwise" ? shared.multiplier : 1;
    return {
      ...shared,
      channels: shared.channels * copies,
      inStride: inSpan(region) + (shared.columnStep - 1) * region.w + inGap,
      outStride: outSpan(region) + outGap,
      taps: size === 0 ? taps : square(size).map(([y, x]) => (y * region.inPitch + x) * dilation),
      ...(rowsFirst && size > 0 && shared.kind !== "depthwise" ? { rowTaps: size } : {}),
      region,
      scale: shared.kind === "sum" ? 1 / 7 : 1,
      multiplier: copies,
      bias: shared.kind === "depthwise" && bias,
      residual: shared.kind === "depthwise" && residual,
    };
  });

/** Windows that reach beyond planes without padding, at some sides or all, or beyond them altogether. */
const bordered: fc.Arbitrary<WindowProblem> = fc
  .record({
    shared: fused,
    rows: fc.constantFrom(1, 2, 3, 5, 7, 8, 11, 14),
    columns: fc.constantFrom(1, 3, 5, 7, 8, 13, 14, 17, 28, 33),
    pitchGap: fc.constantFrom(0, 0, 1, 3),
    size: fc.constantFrom(3, 3, 2, 5),
    dilation: fc.constantFrom(1, 1, 2),
    rowStep: fc.constantFrom(1, 2, 3),
    pads: fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 })),
  })
  .map(({ shared: { inGap, outGap, bias, residual, rowsFirst, ...shared }, rows, columns, pitchGap, size, dilation, rowStep, pads: [top, left, bottom, right] }) => {
    const copies = shared.kind === "depthwise" ? shared.multiplier : 1;
    const pitch = columns + pitchGap;
    const reach = (size - 1) * dilation + 1;
    const w = Math.max(4, Math.floor((left + columns + right - reach) / shared.columnStep) + 1);
    const region = { h: Math.max(1, Math.floor((top + rows + bottom - reach) / rowStep) + 1), w, inPitch: rowStep * pitch, outPitch: w + (outGap % 2) };
    const taps = square(size).map(([y, x]): [number, number] => [y * dilation, x * dilation]);
    return {
      ...shared,
      channels: shared.channels * copies,
      inStride: (rows - 1) * pitch + columns + inGap,
      outStride: outSpan(region) + outGap,
      taps: taps.map(([y, x]) => y * pitch + x),
      ...(rowsFirst && shared.kind !== "depthwise" ? { rowTaps: size } : {}),
      region,
      border: { rows, columns, top, left, rowStep, value: shared.kind === "max" ? Number.NEGATIVE_INFINITY : 0, taps },
      scale: shared.kind === "sum" ? 1 / 7 : 1,
      multiplier: copies,
      bias: shared.kind === "depthwise" && bias,
      residual: shared.kind === "depthwise" && residual,
    };
  });

/** act(bias[c] + Σ_t w[c, t] · x[c, p + tap t] + residual[c, p]), act(max_t x[c, p + tap t]) or act(scale · Σ_t x[c, p + tap t]) */
function check(p: WindowProblem, seed: number): void {
  const { region, taps, border } = p;
  const planes = (p.channels / p.multiplier - 1) * p.inStride;
  const x = noise(seed, "x", planes + (border === undefined ? Math.max(...taps) + inSpan(region) + (p.columnStep - 1) * region.w : p.inStride));
  /** Element of the plane that tap `t` reads, if it is inside. */
  const place = (row: number, column: number, t: number): number | undefined => {
    if (border === undefined) return at(taps, t) + row * region.inPitch + column * p.columnStep;
    const [dy, dx] = border.taps[t] as readonly [number, number];
    const [y, x] = [row * border.rowStep + dy - border.top, column * p.columnStep + dx - border.left];
    return y < 0 || y >= border.rows || x < 0 || x >= border.columns ? undefined : (y * region.inPitch) / border.rowStep + x;
  };
  const w = noise(seed, "w", p.channels * taps.length);
  const bias = noise(seed, "bias", p.channels);
  const outputSize = (p.channels - 1) * p.outStride + outSpan(region);
  const residual = noise(seed, "residual", outputSize);
  const expected = new Map<number, { value: number; tolerance: number }>();
  for (let c = 0; c < p.channels; c++)
    for (let row = 0; row < region.h; row++)
      for (let column = 0; column < region.w; column++) {
        const index = c * p.outStride + row * region.outPitch + column;
        const inputs = taps.map((_, t) => {
          const inside = place(row, column, t);
          return inside === undefined ? (border?.value ?? 0) : at(x, Math.floor(c / p.multiplier) * p.inStride + inside);
        });
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
      x: { data: x, at: border === undefined ? 0 : -(border.top * (region.inPitch / border.rowStep) + border.left) },
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
    fuzz(padded, 12, check);
  });

  test("every choice masks what windows reach outside of planes", () => {
    fuzz(bordered, 20, check);
  });
});
