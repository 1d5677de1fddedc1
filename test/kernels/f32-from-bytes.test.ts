import fc from "fast-check";
import { describe, test } from "vitest";
import { type FromBytesProblem, f32FromBytes, maxPixelBytes } from "../../src/kernels/wasm/f32-from-bytes.ts";
import { blank, canary, checkKernel, fuzz } from "./harness.ts";

const cases = fc
  .record({
    images: fc.integer({ min: 1, max: 3 }),
    rows: fc.integer({ min: 1, max: 5 }),
    columns: fc.integer({ min: 1, max: 19 }),
    pixelBytes: fc.integer({ min: 1, max: maxPixelBytes }),
    gap: fc.integer({ min: 0, max: 5 }),
    pad: fc.integer({ min: 0, max: 3 }),
    gain: fc.constantFrom(1, 0.5, 1 / 58.4),
    shift: fc.constantFrom(0, -2.5),
    channels: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 }),
    output: fc.constantFrom<"f32" | "i32">("f32", "i32"),
  })
  .map(({ gap, pad, channels, gain, shift, ...p }): FromBytesProblem => {
    const rowBytes = p.columns * p.pixelBytes + 4 + gap;
    const outPitch = p.columns + pad;
    const plane = outPitch * p.rows + pad;
    const planes = channels.map((first, i) => ({ first, out: pad + i * plane, gain: gain * (i + 1), shift: shift * i }));
    return { ...p, rowBytes, outPitch, imageBytes: rowBytes * p.rows + gap, outImage: channels.length * plane, planes };
  });

describe("f32-from-bytes", () => {
  test("interleaved bytes become planes, wherever rows, pixels and images lie", () => {
    fuzz(cases, 150, (p, seed) => {
      const data = Int32Array.from({ length: Math.ceil((p.images * p.imageBytes) / 4) + 2 }, (_, i) => Math.imul(i + 1, seed | 1));
      const bytes = new Uint8Array(data.buffer);
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (let n = 0; n < p.images; n++)
        for (let i = 0; i < p.rows; i++)
          for (let j = 0; j < p.columns; j++)
            for (const { first, out, gain, shift } of p.planes) {
              const byte = bytes[n * p.imageBytes + i * p.rowBytes + j * p.pixelBytes + first] as number;
              const value = p.output === "i32" ? byte : byte * gain + shift;
              expected.set(out + n * p.outImage + i * p.outPitch + j, { value, tolerance: p.output === "i32" ? 0 : 1e-4 });
            }
      const size = p.images * p.outImage + 4;
      checkKernel({ template: f32FromBytes, problem: p, operands: { x: { data }, y: { data: p.output === "f32" ? blank(size) : new Int32Array(size).fill(canary) } }, expected });
    });
  });
});
