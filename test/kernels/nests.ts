import fc from "fast-check";
import type { NestDim } from "../../src/kernels/nest.ts";

/** How one operand walks a nest: its strides, the elements its buffer needs, and where the first position lies. */
export interface Walk {
  readonly strides: readonly number[];
  readonly size: number;
  readonly at: number;
}

/** Sizes of a nest, odd ones first; ranks from 0. */
export const nestSizes = (maxRank: number): fc.Arbitrary<readonly number[]> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom([], [1], [257], [1030], [256], [63], [3, 65], [65, 3]) },
    { weight: 4, arbitrary: fc.array(fc.constantFrom(3, 5, 1, 2, 7, 4, 8, 13), { maxLength: maxRank }) },
  );

/** Any order of the dimensions in memory with gaps; dimensions named by `still` do not move; negative strides where allowed. */
export function walks(sizes: readonly number[], options: { readonly still?: fc.Arbitrary<readonly boolean[]>; readonly negative?: boolean } = {}): fc.Arbitrary<Walk> {
  const rank = sizes.length;
  return fc
    .record({
      order: fc.oneof(
        fc.constant(sizes.map((_, i) => i)),
        fc.shuffledSubarray(
          sizes.map((_, i) => i),
          { minLength: rank, maxLength: rank },
        ),
      ),
      step: fc.constantFrom(1, 1, 1, 2, 3),
      gaps: fc.array(fc.constantFrom(0, 0, 0, 1, 4), { minLength: rank, maxLength: rank }),
      still: options.still ?? fc.constant(sizes.map(() => false)),
      negative: options.negative === true ? fc.array(fc.boolean(), { minLength: rank, maxLength: rank }) : fc.constant(sizes.map(() => false)),
    })
    .map(({ order, step, gaps, still, negative }) => {
      const strides = new Array<number>(rank).fill(0);
      let next = step;
      let at = 0;
      for (const d of [...order].reverse()) {
        if (still[d] === true) continue;
        strides[d] = negative[d] === true ? -next : next;
        if (negative[d] === true) at += next * ((sizes[d] as number) - 1);
        next = next * (sizes[d] as number) + (gaps[d] as number);
      }
      const span = strides.reduce((sum, s, d) => sum + Math.abs(s) * ((sizes[d] as number) - 1), 1);
      return { strides, size: span, at };
    });
}

export const booleans = (count: number): fc.Arbitrary<readonly boolean[]> => fc.array(fc.boolean(), { minLength: count, maxLength: count });

export const nestOf = (sizes: readonly number[], operands: readonly Walk[]): NestDim[] =>
  sizes.map((size, d) => ({ size, strides: operands.map((walk) => walk.strides[d] as number) }));

/** Calls `body` at every position, with each operand's index into its buffer. */
export function forEachPosition(sizes: readonly number[], operands: readonly Walk[], body: (indices: readonly number[]) => void): void {
  const count = sizes.reduce((n, s) => n * s, 1);
  for (let i = 0; i < count; i++) {
    const indices = operands.map((walk) => walk.at);
    let rest = i;
    for (let d = sizes.length - 1; d >= 0; d--) {
      const position = rest % (sizes[d] as number);
      rest = Math.floor(rest / (sizes[d] as number));
      operands.forEach((walk, o) => {
        indices[o] = (indices[o] as number) + position * (walk.strides[d] as number);
      });
    }
    body(indices);
  }
}
