import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pruning } from "../../src/compress/projections/projection.ts";
import { selectLargest } from "../../src/compress/projections/select.ts";
import { selectorOf } from "../../src/compress/projections/selector.ts";
import { type GlobalScore, globalCounts, rankedScores } from "../../src/compress/projections/unstructured.ts";

/** Few distinct values, so that ties occur; zeros, negative zeros and denormals among them. */
const value = fc.oneof(fc.constantFrom(0, -0, 1, -1, 0.5, -0.5, 1e-40, -1e-40, 3e38), fc.float({ noNaN: true, noDefaultInfinity: true }));
const vector = (minLength = 1) => fc.array(value, { minLength, maxLength: 40 }).map((v) => Float32Array.from(v));
const keepLargest = (v: Float32Array, k: number) => pruning(selectorOf({ kind: "unstructured" }, { outputs: 1, inputs: v.length, taps: 1 }), k).project(v).values;
const withCount = vector().chain((v) => fc.tuple(fc.constant(v), fc.integer({ min: 1, max: v.length })));

describe("keepLargest", () => {
  test("is the nearest of all vectors with at most k non-zeros", () => {
    fc.assert(
      fc.property(withCount, ([v, k]) => {
        const z = keepLargest(v, k);
        const kept = [...z].filter((x) => x !== 0).length;
        expect(kept).toBeLessThanOrEqual(k);
        // What is kept is kept exactly; what is dropped is nowhere greater than what is kept.
        let least = Number.POSITIVE_INFINITY;
        let greatestDropped = 0;
        z.forEach((x, i) => {
          const size = Math.abs(v[i] as number);
          if (x !== 0) {
            expect(x).toBe(v[i]);
            least = Math.min(least, size);
          } else greatestDropped = Math.max(greatestDropped, size);
        });
        expect(greatestDropped).toBeLessThanOrEqual(least);
        if (kept < k) expect(greatestDropped).toBe(0);
      }),
    );
  });

  test("selects exactly k, ties by index", () => {
    fc.assert(
      fc.property(withCount, ([v, k]) => {
        for (const scores of [v.map(Math.abs), Float64Array.from(v, Math.abs)]) {
          const mask = selectLargest(scores, k);
          const expected = Array.from(scores, (s, i) => ({ s, i }))
            .sort((a, b) => b.s - a.s || a.i - b.i)
            .slice(0, k)
            .map(({ i }) => i)
            .sort((a, b) => a - b);
          expect([...mask.keys()].filter((i) => mask[i] === 1)).toEqual(expected);
        }
      }),
    );
  });

  test("projecting twice changes nothing", () => {
    fc.assert(
      fc.property(withCount, ([v, k]) => {
        const once = keepLargest(v, k);
        expect(keepLargest(once, k)).toEqual(once);
      }),
    );
  });
});

describe("global budgets", () => {
  const layers = fc.array(
    fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 20 }).map((v) => Float32Array.from(v)),
    { minLength: 1, maxLength: 5 },
  );
  for (const score of ["magnitude", "rms", "lamp"] as const satisfies readonly GlobalScore[])
    test(`${score}: exactly k in all, at least one a layer, at most all of it`, () => {
      fc.assert(
        fc.property(
          layers.chain((l) =>
            fc.tuple(
              fc.constant(l),
              fc.integer({
                min: l.length,
                max: l.reduce((n, v) => n + v.length, 0),
              }),
            ),
          ),
          ([l, k]) => {
            const counts = globalCounts(l, k, score);
            expect(counts.reduce((a, b) => a + b, 0)).toBe(k);
            counts.forEach((count, i) => {
              expect(count).toBeGreaterThanOrEqual(1);
              expect(count).toBeLessThanOrEqual((l[i] as Float32Array).length);
            });
          },
        ),
      );
    });

  test("scores of a layer do not depend on its scale, but for plain magnitudes", () => {
    const v = Float32Array.of(4, -1, 2, 0.5);
    const scaled = v.map((x) => x * 64);
    expect(rankedScores(scaled, "rms")).toEqual(rankedScores(v, "rms"));
    expect(rankedScores(scaled, "lamp")).toEqual(rankedScores(v, "lamp"));
    expect(globalCounts([v, scaled], 4, "magnitude")).toEqual([1, 3]);
    expect(globalCounts([v, scaled], 4, "lamp")).toEqual([2, 2]);
  });

  test("lamp: each square over the sum of the squares down to it", () => {
    expect([...rankedScores(Float32Array.of(1, -3, 2), "lamp")].map((s) => Number(s.toFixed(4)))).toEqual([1, 0.3077, 0.0714]);
  });
});
