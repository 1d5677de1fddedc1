import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkLevels, fitLevels, fitScale, gridsOf, type LevelFamily, levelsOf, nearestLevel } from "../../src/compress/projections/levels.ts";
import { pruningAndQuantizing, quantizing } from "../../src/compress/projections/projection.ts";
import { selectorOf } from "../../src/compress/projections/selector.ts";
import { parseStructure } from "../../src/compress/projections/structure.ts";

const families: readonly LevelFamily[] = [
  { kind: "signed", bits: 2 },
  { kind: "signed", bits: 3 },
  { kind: "affine", bits: 2 },
  { kind: "affine", bits: 3 },
  { kind: "power-of-two", bits: 3 },
  { kind: "ternary", bits: 2 },
  { kind: "binary", bits: 1 },
];
const value = fc.oneof(fc.constantFrom(0, 1, -1, 0.5, 2), fc.double({ min: -3, max: 3, noNaN: true }));
const values = (maxLength: number) => fc.array(value, { minLength: 1, maxLength });
const importance = fc.array(fc.constantFrom(0.25, 1, 3), { minLength: 8, maxLength: 8 });

/** The least error over all ways to give each value a level, each with its own best scale: brute force. */
function bestError(v: readonly number[], h: readonly number[], family: LevelFamily): number {
  const energy = v.reduce((sum, x, i) => sum + (h[i] as number) * x * x, 0);
  let best = family.kind === "power-of-two" ? Number.POSITIVE_INFINITY : energy;
  if (family.kind === "power-of-two") {
    for (let e = -60; e < 20; e++) {
      const [grid] = gridsOf(family) as [ReturnType<typeof gridsOf>[number]];
      const error = v.reduce((sum, x, i) => sum + (h[i] as number) * Math.min(...grid.positive.flatMap((l) => [(x - l * 2 ** e) ** 2, (x + l * 2 ** e) ** 2])), 0);
      best = Math.min(best, error);
    }
    return best;
  }
  for (const { positive, negative } of gridsOf(family)) {
    const levels = [...new Set([...positive, ...negative.map((l) => -l)])];
    const walk = (i: number, s1: number, s2: number): void => {
      if (i === v.length) {
        if (s2 > 0 && s1 > 0) best = Math.min(best, energy - (s1 * s1) / s2);
        return;
      }
      for (const l of levels) walk(i + 1, s1 + (h[i] as number) * (v[i] as number) * l, s2 + (h[i] as number) * l * l);
    };
    walk(0, 0, 0);
  }
  return best;
}

describe("fitLevels", () => {
  for (const family of families)
    test(`${family.bits}-bit ${family.kind}: no scale, zero point or choice of levels is nearer`, () => {
      fc.assert(
        fc.property(values(family.bits === 3 ? 4 : 5), importance, (v, h) => {
          const fitted = fitLevels(v, family, { importance: h });
          // Levels without 0 cannot reach values that are all 0: the infimum, at q → 0, is not attained.
          if (v.every((x) => x === 0)) return;
          const expected = bestError(v, h, family);
          expect(fitted.error).toBeLessThanOrEqual(expected + 1e-9 + 1e-6 * expected);
          expect(fitted.scale).toBeGreaterThan(0);
          const error = v.reduce((sum, x, i) => sum + (h[i] as number) * (x - nearestLevel(x, fitted)) ** 2, 0);
          expect(error).toBeCloseTo(fitted.error, 9);
        }),
        { numRuns: 60 },
      );
    });

  test("finds the 4-bit levels of a normal distribution", () => {
    const n = 4000;
    // Nearly normal: sums of 12 uniform numbers.
    let state = 1;
    const uniform = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const v = Array.from({ length: n }, () => Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, -6));
    const energy = v.reduce((sum, x) => sum + x * x, 0);
    expect(fitLevels(v, { kind: "signed", bits: 4 }).error / energy).toBeLessThan(0.015);
    expect(fitLevels(v, { kind: "affine", bits: 4 }).error / energy).toBeLessThan(0.0125);
    // A scan of scales finds nothing better.
    for (const grid of gridsOf({ kind: "signed", bits: 4 })) {
      const best = fitScale(v, grid);
      for (let q = 0.02; q < 1; q += 0.01) {
        const error = v.reduce((sum, x) => sum + (x - nearestLevel(x, { grid, scale: q })) ** 2, 0);
        expect(error).toBeGreaterThanOrEqual(best.error - 1e-9);
      }
    }
  });

  test("rejects bits that a family does not have", () => {
    for (const family of [
      { kind: "signed", bits: 9 },
      { kind: "ternary", bits: 3 },
      { kind: "affine", bits: 1.5 },
    ] as const)
      expect(() => checkLevels(family)).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION" }));
  });
});

describe("projections onto levels", () => {
  const shape = { outputs: 2, inputs: 3, taps: 1 };
  const weights = fc.array(value, { minLength: 6, maxLength: 6 }).map((v) => Float32Array.from(v));

  test("each output has its own levels, as many as its bits have; zeros stay if wanted", () => {
    fc.assert(
      fc.property(weights, (v) => {
        const { values: z, levels = [] } = quantizing({ kind: "signed", bits: 2, per: "channel" }, shape, true).project(v);
        expect(levels.length).toBe(2);
        z.forEach((x, i) => {
          if (v[i] === 0) expect(x).toBe(0);
          else expect(Array.from(levels[Math.floor(i / 3)] as Float32Array)).toContain(x);
        });
        for (const row of levels) expect(row.length).toBe(4);
      }),
    );
  });

  test("pruned and quantized together: the nearest of all, unstructured with one scale", () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 6 }), (v, k) => {
        const projection = pruningAndQuantizing(selectorOf({ kind: "unstructured" }, shape), k, { kind: "signed", bits: 2, per: "tensor" }, shape);
        const { values: z, mask } = projection.project(v);
        const energy = v.reduce((sum, x) => sum + x * x, 0);
        expect(mask.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(k);
        let best = energy;
        const walk = (i: number, left: number, s1: number, s2: number): void => {
          if (i === v.length) {
            if (s2 > 0 && s1 > 0) best = Math.min(best, energy - (s1 * s1) / s2);
            return;
          }
          walk(i + 1, left, s1, s2);
          if (left > 0) for (const l of [-2, -1, 1, 2]) walk(i + 1, left - 1, s1 + (v[i] as number) * l, s2 + l * l);
        };
        walk(0, k, 0, 0);
        const error = z.reduce((sum, x, i) => sum + (x - (v[i] as number)) ** 2, 0);
        expect(error).toBeLessThanOrEqual(best + 1e-5);
      }),
      { numRuns: 60 },
    );
  });

  test("in blocks: never farther than pruned first and quantized afterwards", () => {
    const wide = { outputs: 4, inputs: 4, taps: 1 };
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 16, maxLength: 16 }).map((v) => Float32Array.from(v)),
        fc.integer({ min: 2, max: 16 }),
        (v, k) => {
          const select = selectorOf(parseStructure("2x1"), wide);
          const quantization = { kind: "signed", bits: 3, per: "channel" } as const;
          const together = pruningAndQuantizing(select, k, quantization, wide).project(v).values;
          const mask = select(
            Float64Array.from(v, (x) => x * x),
            k,
          );
          const apart = quantizing(quantization, wide, true).project(v.map((x, i) => (mask[i] === 1 ? x : 0))).values;
          const distance = (z: Float32Array) => z.reduce((sum, x, i) => sum + (x - (v[i] as number)) ** 2, 0);
          expect(distance(together)).toBeLessThanOrEqual(distance(apart) + 1e-5);
        },
      ),
    );
  });
});

test("levels are ascending, with 0 only where the family has it", () => {
  expect(Array.from(levelsOf({ grid: (gridsOf({ kind: "signed", bits: 2 }) as never[])[0] as never, scale: 0.5 }))).toEqual([-1, -0.5, 0.5, 1]);
  expect(gridsOf({ kind: "affine", bits: 2 }).map((grid) => Array.from(levelsOf({ grid, scale: 1 })))).toEqual([
    [0, 1, 2, 3],
    [-1, 0, 1, 2],
    [-2, -1, 0, 1],
    [-3, -2, -1, 0],
  ]);
});
