import { expect } from "vitest";
import type { Tensor } from "../../src/ir/types.ts";

/** Same type and shape, elements within `tolerance` of the expected range. */
export function expectClose(actual: Tensor | undefined, expected: Tensor | undefined, tolerance = 1e-5): void {
  expect(actual?.shape).toEqual(expected?.shape);
  expect(actual?.dtype).toBe(expected?.dtype);
  const [a, b] = [actual, expected].map((t) => Array.from((t?.data ?? []) as ArrayLike<number | bigint>, Number)) as [number[], number[]];
  const range = Math.max(1, ...b.filter(Number.isFinite).map(Math.abs));
  const worst = a.reduce(
    (w, v, i) => (Object.is(v, b[i]) || v === b[i] ? w : Math.max(w, Number.isNaN(v - (b[i] as number)) ? Number.POSITIVE_INFINITY : Math.abs(v - (b[i] as number)))),
    0,
  );
  expect(worst / range).toBeLessThanOrEqual(tolerance);
}
