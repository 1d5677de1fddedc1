import { f32x4, i32, v128 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";

/**
 * dx[c, argmax of the window at p] += dy[c, p]; the first of equal maxima takes it. dx has x's layout and starts as zeros, unless windows do not share
 * elements (`disjoint`): then what they cover is set. The batch is innermost: every position is `lanes` contiguous elements, a multiple of 4.
 */
export interface MaxPoolGradProblem {
  readonly channels: number;
  readonly outH: number;
  readonly outW: number;
  readonly lanes: number;
  /** Windows apart, in elements of x. */
  readonly rowStep: number;
  readonly columnStep: number;
  readonly taps: readonly number[];
  readonly xStride: number;
  readonly yPitch: number;
  readonly yStride: number;
  readonly disjoint: boolean;
}

export type MaxPoolGradChoice = Record<string, never>;

export const f32MaxPoolGrad = defineKernel<MaxPoolGradProblem, MaxPoolGradChoice>({
  name: "f32-max-pool-grad",
  backend: "wasm",
  operands: () => ["x", "y", "dy", "dx"],
  choices: () => [{}],
  cost: (p) => (p.channels * p.outH * p.outW * p.lanes * p.taps.length * 5) / 4,
  items: (p) => p.channels,
  emit({ fn, operand, begin, end }, p) {
    const channel = fn.let(begin);
    const row = fn.local("i32");
    const at = fn.local("i32");
    const stop = fn.local("i32");
    const source = fn.local("i32");
    const column = fn.local("i32");
    const stopLane = fn.local("i32");
    const gradient = fn.local("v128");
    const maximum = fn.local("v128");
    const hit = fn.local("v128");
    fn.for(channel, end, 1, () => {
      fn.set(row, i32.const(0));
      fn.for(row, i32.const(p.outH), 1, () => {
        fn.set(at, i32.add(i32.mul(channel, i32.const(4 * p.yStride)), i32.mul(row, i32.const(4 * p.yPitch))));
        fn.set(stop, i32.add(at, i32.const(4 * p.outW * p.lanes)));
        fn.set(column, i32.add(i32.mul(channel, i32.const(4 * p.xStride)), i32.mul(row, i32.const(4 * p.rowStep))));
        fn.doWhile(
          () => {
            fn.set(source, column);
            fn.set(stopLane, i32.add(at, i32.const(4 * p.lanes)));
            fn.doWhile(
              () => {
                fn.set(gradient, v128.load(i32.add(operand("dy"), at)));
                fn.set(maximum, v128.load(i32.add(operand("y"), at)));
                const x = fn.let(i32.add(operand("x"), source));
                const dx = fn.let(i32.add(operand("dx"), source));
                for (const tap of p.taps) {
                  fn.set(hit, f32x4.eq(v128.load(x, 4 * tap), maximum));
                  const part = v128.and(gradient, hit);
                  fn.store(dx, p.disjoint ? part : f32x4.add(v128.load(dx, 4 * tap), part), 4 * tap);
                  fn.set(gradient, v128.andnot(gradient, hit));
                }
                fn.set(at, i32.add(at, i32.const(16)));
                fn.set(source, i32.add(source, i32.const(16)));
              },
              () => i32.ltU(at, stopLane),
            );
            fn.set(column, i32.add(column, i32.const(4 * p.columnStep)));
          },
          () => i32.ltU(at, stop),
        );
      });
    });
  },
});
