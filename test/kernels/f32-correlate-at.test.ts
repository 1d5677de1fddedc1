import fc from "fast-check";
import { describe, test } from "vitest";
import { type CorrelateAtProblem, chunksOf, f32CorrelateAt } from "../../src/kernels/wasm/f32-correlate-at.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { at, noise, unit } from "./problems.ts";

const problems: fc.Arbitrary<CorrelateAtProblem> = fc
  .record({
    groups: fc.constantFrom(3, 1, 2, 7),
    entries: fc.constantFrom(1, 2, 3, 4, 6),
    h: fc.constantFrom(3, 1, 5),
    w: fc.constantFrom(12, 4, 20, 8, 48, 64, 100),
    chunk: fc.constantFrom(8, 2, 3, 32),
    parts: fc.constantFrom(1, 2, 3, 5),
    gaps: fc.array(fc.constantFrom(0, 1, 5), { minLength: 2, maxLength: 2 }),
  })
  .map(({ gaps: [a = 0, b = 0], ...p }) => ({ ...p, xPitch: p.w + a, dyPitch: p.w + b }));

/** Reach of the places that products begin at. */
const reach = 40;

describe("f32-correlate-at", () => {
  test("every choice leaves Σ_p dy[a + p] · x[b + p] of each part's chunks, by p modulo 4", () => {
    fuzz(problems, 40, (p, seed) => {
      const random = createRandom(seed, "pairs");
      const x = noise(seed, "x", reach + (p.h - 1) * p.xPitch + p.w);
      const dy = noise(seed, "dy", reach + (p.h - 1) * p.dyPitch + p.w);
      const places = Array.from({ length: p.groups * (p.entries + 1) }, () => Math.floor(random.uniform() * (reach + 1)));
      const perRow = chunksOf(p) / p.h;
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (let part = 0; part < p.parts; part++)
        for (let group = 0; group < p.groups; group++)
          for (let entry = 0; entry < p.entries; entry++) {
            const [a, b] = [at(places, group * (p.entries + 1)), at(places, group * (p.entries + 1) + entry + 1)];
            const sums = [0, 0, 0, 0];
            const magnitudes = [0, 0, 0, 0];
            for (let chunk = Math.floor((part * chunksOf(p)) / p.parts); chunk < Math.floor(((part + 1) * chunksOf(p)) / p.parts); chunk++) {
              const first = 4 * p.chunk * (chunk % perRow);
              for (let column = first; column < Math.min(p.w, first + 4 * p.chunk); column++) {
                const row = Math.floor(chunk / perRow);
                const product = at(dy, a + row * p.dyPitch + column) * at(x, b + row * p.xPitch + column);
                sums[column % 4] = at(sums, column % 4) + product;
                magnitudes[column % 4] = at(magnitudes, column % 4) + Math.abs(product);
              }
            }
            const slot = (part * p.groups + group) * p.entries + entry;
            sums.forEach((value, lane) => expected.set(4 * slot + lane, { value, tolerance: (p.h * p.w + 2) * unit * at(magnitudes, lane) }));
          }
      const pairs = { data: Int32Array.from(places, (place) => 4 * place) };
      checkKernel({
        template: f32CorrelateAt,
        problem: p,
        operands: { x: { data: x }, dy: { data: dy }, pairs, y: { data: blank(4 * p.parts * p.groups * p.entries) } },
        expected,
      });
    });
  });
});
