import fc from "fast-check";
import { describe, test } from "vitest";
import { f32Arg } from "../../src/kernels/wasm/f32-arg.ts";
import { canary, checkKernel, fuzz } from "./harness.ts";
import { forEachPosition, nestOf, type Walk, walks } from "./nests.ts";
import { at, noise } from "./problems.ts";

const sizeList = fc.array(fc.constantFrom(3, 5, 1, 4, 7), { maxLength: 3 });
const cases = fc.tuple(sizeList, sizeList).chain(([kept, reduced]) => {
  const sizes = [...kept, ...reduced];
  return fc.record({
    kept: fc.constant(kept),
    reduced: fc.constant(reduced),
    x: walks(sizes),
    position: walks(sizes, { still: fc.constant(sizes.map((_, i) => i < kept.length)) }),
    y: walks(sizes, { still: fc.constant(sizes.map((_, i) => i >= kept.length)) }),
    kind: fc.constantFrom("max" as const, "min" as const),
    last: fc.boolean(),
    integer: fc.boolean(),
    origin: fc.constantFrom(0, -7, 12),
  });
});

describe("f32-arg", () => {
  test("finds the position of the largest or smallest, the first or last of equals", () => {
    fuzz(cases, 100, ({ kept, reduced, x, position, y, kind, last, integer, origin }, seed) => {
      const sizes = [...kept, ...reduced];
      // Few values, so that several are often equal.
      const data = integer ? Int32Array.from(noise(seed, "x", x.size), (v) => Math.round(v * 3)) : noise(seed, "x", x.size).map((v) => Math.round(v * 3) / 2);
      const best = new Map<number, number>();
      const expected = new Map<number, { value: number; tolerance: number }>();
      forEachPosition(sizes, [x, position, y] satisfies Walk[], ([i = 0, p = 0, o = 0]) => {
        const value = at(data, i);
        const known = best.get(o);
        const better = known === undefined || (kind === "max" ? value > known : value < known) || (last && value === known);
        if (!better) return;
        best.set(o, value);
        expected.set(o, { value: p + origin, tolerance: 0 });
      });
      const dims = nestOf(sizes, [x, position, y]);
      const problem = { kept: dims.slice(0, kept.length), reduced: dims.slice(kept.length), kind, last, integer, origin };
      checkKernel({ template: f32Arg, problem, operands: { x: { data }, y: { data: new Int32Array(y.size).fill(canary) } }, expected });
    });
  });
});
