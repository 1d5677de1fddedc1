import fc from "fast-check";
import { type Activation, activationExpr, noActivation, relu } from "../../src/ir/activation.ts";
import { e, evaluateExpr } from "../../src/ir/expr.ts";
import type { Region } from "../../src/kernels/region.ts";
import { createRandom } from "../../src/zoo/random.ts";

/** Half a unit in the last place of float32, relative. */
export const unit = 2 ** -24;

/** Numbers in [−1, 1) from a seed. */
export function noise(seed: number, name: string, count: number): Float32Array {
  const random = createRandom(seed, name);
  return Float32Array.from({ length: count }, () => random.uniform() * 2 - 1);
}

export const at = (data: ArrayLike<number>, index: number): number => {
  const value = data[index];
  if (value === undefined) throw new RangeError(`the reference reads element ${index} of ${data.length}`);
  return value;
};

/** Odd and prime sizes first, then those that are multiples of everything. */
const widths = fc.constantFrom(5, 7, 11, 13, 17, 4, 19, 23, 29, 31, 37, 53, 8, 12, 16, 28, 32, 56);
const heights = fc.constantFrom(3, 5, 7, 2, 1, 11, 4, 8);

/** Compact planes, and rows with gaps between them in the input, the output or both. */
export const regions: fc.Arbitrary<Region> = fc.oneof(
  { weight: 1, arbitrary: fc.integer({ min: 4, max: 140 }).map((w) => ({ h: 1, w, inPitch: 0, outPitch: 0 })) },
  {
    weight: 3,
    arbitrary: fc.tuple(heights, widths, fc.constantFrom(0, 1, 2, 5, -1), fc.constantFrom(0, 1, 3, 7)).map(([h, w, i, o]) => ({ h, w, inPitch: w + i, outPitch: w + o })),
  },
);

/** Elements of an input or output plane from the region's first to its last. */
export const inSpan = (r: Region): number => (r.h - 1) * r.inPitch + r.w;
export const outSpan = (r: Region): number => (r.h - 1) * r.outPitch + r.w;

export const tapLists: fc.Arbitrary<readonly number[]> = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom([0], [3]) },
  { weight: 2, arbitrary: fc.array(fc.integer({ min: 0, max: 70 }), { minLength: 2, maxLength: 9 }) },
);

const x = e.input(0);
export const activations: fc.Arbitrary<Activation> = fc.constantFrom<Activation>(
  noActivation,
  relu,
  { kind: "clamp", low: 0, high: 6 },
  { kind: "clamp", low: -0.25, high: 0.5 },
  { kind: "clamp", low: Number.NEGATIVE_INFINITY, high: 0.125 },
  { kind: "expr", expr: e.mul(x, e.sigmoid(x)) },
  { kind: "expr", expr: e.select(e.lt(x, 0), e.mul(x, 0.1), x) },
  { kind: "expr", expr: e.tanh(x) },
);

/** The expected element for a sum of `terms` products whose absolute values add up to `magnitude`, in any order, then an activation. */
export function activated(activation: Activation, sum: number, magnitude: number, terms: number): { value: number; tolerance: number } {
  const value = evaluateExpr(activationExpr(activation), [sum]);
  const slope = activation.kind === "expr" ? 1.2 : 1;
  return { value, tolerance: slope * (terms + 2) * unit * magnitude + (activation.kind === "expr" ? 1e-6 * (Math.abs(value) + Math.abs(sum)) : 0) + 1e-37 };
}

/** Walks every pixel of every output plane; `index` is its place in the output. */
export function forEachOutput(
  { m, region, outStride }: { readonly m: number; readonly region: Region; readonly outStride: number },
  body: (filter: number, row: number, column: number, index: number) => void,
): void {
  for (let f = 0; f < m; f++)
    for (let row = 0; row < region.h; row++) for (let column = 0; column < region.w; column++) body(f, row, column, f * outStride + row * region.outPitch + column);
}
