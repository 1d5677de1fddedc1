import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allPatterns, choosePatterns, patternEnergies, selectPatterns } from "../../src/compress/projections/patterns.ts";
import { pruning } from "../../src/compress/projections/projection.ts";
import { fixedCount, selectorOf } from "../../src/compress/projections/selector.ts";
import { formatStructure, parseStructure, type Structure, structureFor, type WeightShape } from "../../src/compress/projections/structure.ts";

/** Whether a mask belongs to the structure, told from the definition: groups are whole or absent, cells have their number. */
const groupName: Record<string, (s: never, o: number, i: number, t: number, shape: WeightShape) => string> = {
  unstructured: (_s, o, i, t) => `${o},${i},${t}`,
  block: (s: Extract<Structure, { kind: "block" }>, o, i, t) => `${Math.floor(o / s.outputs)},${Math.floor(i / s.inputs)},${t}`,
  filters: (_s, o) => `${o}`,
  channels: (_s, _o, i) => `${i}`,
  kernels: (_s, o, i) => `${o},${i}`,
};

function groupsOf(structure: Structure, shape: WeightShape): number[][] {
  const groups = new Map<string, number[]>();
  let index = 0;
  for (let o = 0; o < shape.outputs; o++)
    for (let i = 0; i < shape.inputs; i++)
      for (let t = 0; t < shape.taps; t++) {
        const name = (groupName[structure.kind] as (typeof groupName)[string])(structure as never, o, i, t, shape);
        groups.set(name, [...(groups.get(name) ?? []), index++]);
      }
  return [...groups.values()];
}

const shapes = fc
  .record({ outputs: fc.integer({ min: 1, max: 4 }), inputs: fc.integer({ min: 1, max: 3 }), taps: fc.constantFrom(1, 2) })
  .filter((s) => s.outputs * s.inputs * s.taps <= 14);
const size = ({ outputs, inputs, taps }: WeightShape) => outputs * inputs * taps;
const weights = (n: number) => fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: n, maxLength: n }).map((v) => Float32Array.from(v));
const distance2 = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, v, i) => sum + (v - (b[i] as number)) ** 2, 0);
const energyOf = (energies: ArrayLike<number>, members: readonly number[]) => members.reduce((sum, i) => sum + (energies[i] as number), 0);

/** All ways to take `k` of a list. */
function choices<T>(list: readonly T[], k: number): T[][] {
  if (k === 0) return [[]];
  if (list.length < k) return [];
  const [first, ...rest] = list as [T, ...T[]];
  return [...choices(rest, k - 1).map((c) => [first, ...c]), ...choices(rest, k)];
}

describe("structures of groups", () => {
  for (const structure of ["unstructured", "2x1", "4x1", "1x4", "2x2", "filters", "channels", "kernels"].map(parseStructure))
    test(`${formatStructure(structure)}: the nearest of all weights with as many groups`, () => {
      fc.assert(
        fc.property(
          shapes.chain((shape) => fc.tuple(fc.constant(shape), weights(size(shape)), fc.integer({ min: 1, max: size(shape) }))),
          ([shape, v, count]) => {
            const { values: z, mask } = pruning(selectorOf(structure, shape), count).project(v);
            const groups = groupsOf(structure, shape);
            const full = Math.max(...groups.map((g) => g.length));
            const wanted = count === v.length ? groups.length : Math.min(groups.length, Math.max(1, Math.floor(count / full)));
            const kept = groups.filter((g) => g.some((i) => mask[i] === 1));
            expect(kept.every((g) => g.every((i) => mask[i] === 1))).toBe(true);
            expect(kept.length).toBe(wanted);
            z.forEach((x, i) => expect(x).toBe(mask[i] === 1 ? v[i] : 0));
            const squares = Array.from(v, (x) => x * x);
            const best = Math.max(...choices(groups, wanted).map((c) => c.reduce((sum, g) => sum + energyOf(squares, g), 0)));
            expect(distance2(v, z)).toBeLessThanOrEqual(energyOf(squares, [...v.keys()]) - best + 1e-9);
          },
        ),
        { numRuns: 60 },
      );
    });
});

describe("structures of cells", () => {
  /** The members of each group of each cell, from the definition. */
  const cellsOf: Record<string, (o: number, i: number, t: number, taps: number) => [string, string]> = {
    "2:4": (o, i, t) => [`${o},${Math.floor(i / 4)},${t}`, `${i}`],
    "1:2": (o, i, t) => [`${o},${Math.floor(i / 2)},${t}`, `${i}`],
    "rows-2x3": (o, i, t, taps) => [`${Math.floor(o / 2)},${Math.floor((i * taps + t) / 3)}`, `${o}`],
    "columns-2x3": (o, i, t, taps) => [`${Math.floor(o / 2)},${Math.floor((i * taps + t) / 3)}`, `${i * taps + t}`],
  };
  for (const [text, place] of Object.entries(cellsOf))
    test(`${text}: in each cell the best groups`, () => {
      const shape = fc.record({ outputs: fc.integer({ min: 2, max: 5 }), inputs: fc.integer({ min: 4, max: 9 }), taps: fc.constantFrom(1, 3) });
      fc.assert(
        fc.property(
          shape.chain((s) => fc.tuple(fc.constant(s), weights(size(s)), fc.double({ min: 0.34, max: 0.9, noNaN: true }))),
          ([s, v, density]) => {
            const structure = parseStructure(text);
            const count = fixedCount(structure, s) ?? Math.floor(density * size(s));
            const { mask } = pruning(selectorOf(structure, s), count).project(v);
            const cells = new Map<string, Map<string, number[]>>();
            v.forEach((_, index) => {
              const [o, i, t] = [Math.floor(index / (s.inputs * s.taps)), Math.floor(index / s.taps) % s.inputs, index % s.taps];
              const [cell, group] = place(o, i, t, s.taps);
              const groups = cells.get(cell) ?? new Map<string, number[]>();
              groups.set(group, [...(groups.get(group) ?? []), index]);
              cells.set(cell, groups);
            });
            for (const groups of cells.values()) {
              const lists = [...groups.values()];
              const kept = lists.filter((g) => mask[g[0] as number] === 1);
              expect(lists.every((g) => g.every((i) => mask[i] === mask[g[0] as number]))).toBe(true);
              const energies = lists.map((g) => g.reduce((sum, i) => sum + (v[i] as number) ** 2, 0)).sort((a, b) => b - a);
              expect(
                energyOf(
                  v.map((x) => x * x),
                  kept.flat(),
                ),
              ).toBeCloseTo(
                energies.slice(0, kept.length).reduce((a, b) => a + b, 0),
                4,
              );
              const share = count / size(s);
              expect(kept.length).toBe(structure.kind === "n-of-m" ? Math.min(structure.n, lists.length) : Math.max(1, Math.floor(share * lists.length + 1e-9)));
            }
            if (structure.kind === "n-of-m") expect(mask.reduce((a, b) => a + b, 0)).toBe(count);
          },
        ),
        { numRuns: 60 },
      );
    });
});

describe("patterns", () => {
  const kernels = fc.integer({ min: 1, max: 6 });
  test("are all 4 of 9", () => expect(allPatterns.length).toBe(126));

  test("each kernel has the best pattern of the library, and the best kernels are kept", () => {
    fc.assert(
      fc.property(
        kernels.chain((n) => fc.tuple(weights(9 * n), fc.integer({ min: 1, max: 8 }), fc.integer({ min: 4, max: 9 * n - 1 }))),
        ([v, size, count]) => {
          const energies = Float64Array.from(v, (x) => x * x);
          const mask = selectPatterns(energies, count, size);
          const library = choosePatterns(patternEnergies(energies), size).map((p) => allPatterns[p] as readonly number[]);
          const best = Array.from({ length: v.length / 9 }, (_, k) =>
            Math.max(
              ...library.map((p) =>
                energyOf(
                  energies,
                  p.map((t) => 9 * k + t),
                ),
              ),
            ),
          );
          const wanted = Math.min(best.length, Math.max(1, Math.floor(count / 4)));
          const most = [...best].sort((a, b) => b - a).slice(0, wanted);
          expect(mask.reduce((a, b) => a + b, 0)).toBe(4 * wanted);
          expect(
            energyOf(
              energies,
              [...mask.keys()].filter((i) => mask[i] === 1),
            ),
          ).toBeCloseTo(
            most.reduce((a, b) => a + b, 0),
            6,
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  test("the library covers at least 1 − 1/e of what the best of two patterns covers", () => {
    fc.assert(
      fc.property(
        kernels.chain((n) => weights(9 * n)),
        (v) => {
          const table = patternEnergies(Float64Array.from(v, (x) => x * x));
          const covered = (library: readonly number[]) => {
            let sum = 0;
            for (let k = 0; k < table.kernels; k++) sum += Math.max(...library.map((p) => table.sums[p * table.kernels + k] as number));
            return sum;
          };
          let best = 0;
          for (let a = 0; a < 126; a++) for (let b = a + 1; b < 126; b++) best = Math.max(best, covered([a, b]));
          expect(covered(choosePatterns(table, 2))).toBeGreaterThanOrEqual((1 - 1 / Math.E) * best - 1e-9);
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe("names of structures", () => {
  test.each(["unstructured", "4x1", "2:4", "rows-8x16", "columns-8x16", "patterns-6", "kernels", "filters", "channels"])("%s", (text) => {
    expect(formatStructure(parseStructure(text))).toBe(text);
  });
  test.each(["", "0x1", "4:2", "5 of 8", "patterns-0"])('"%s" is none', (text) => {
    expect(() => parseStructure(text)).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION" }));
  });
  test("where a weight cannot have a structure, it is pruned without one", () => {
    expect(structureFor(parseStructure("patterns"), { outputs: 8, inputs: 8, taps: 1 })).toEqual({ kind: "unstructured" });
    expect(structureFor(parseStructure("2:4"), { outputs: 8, inputs: 3, taps: 9 })).toEqual({ kind: "unstructured" });
  });
});
