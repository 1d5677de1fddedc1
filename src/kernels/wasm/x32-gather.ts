import { i32 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";

/** y[o, i, n] = x[o, indices[i], n]; indices −axis…axis−1, others are clamped to that. Everything is contiguous. */
export interface GatherProblem {
  readonly outer: number;
  readonly axis: number;
  readonly indices: number;
  readonly inner: number;
}

export type GatherChoice = Record<string, never>;

export const x32Gather = defineKernel<GatherProblem, GatherChoice>({
  name: "x32-gather",
  backend: "wasm",
  operands: () => ["x", "indices", "y"],
  choices: () => [{}],
  cost: (p) => p.outer * p.indices * (p.inner * 1.5 + 8),
  items: (p) => p.outer * p.indices,
  emit({ fn, operand, begin, end }, p) {
    const item = fn.let(begin);
    const index = fn.local("i32");
    const x = fn.local("i32");
    const left = fn.local("i32");
    const y = fn.let(i32.add(operand("y"), i32.mul(begin, i32.const(4 * p.inner))));
    fn.for(item, end, 1, () => {
      const outer = i32.divU(item, i32.const(p.indices));
      fn.set(index, i32.load(i32.add(operand("indices"), i32.shl(i32.remU(item, i32.const(p.indices)), i32.const(2)))));
      fn.set(index, i32.add(index, i32.select(i32.const(p.axis), i32.const(0), i32.ltS(index, i32.const(0)))));
      fn.set(index, i32.select(i32.const(0), index, i32.ltS(index, i32.const(0))));
      fn.set(index, i32.select(index, i32.const(p.axis - 1), i32.ltS(index, i32.const(p.axis))));
      fn.set(x, i32.add(operand("x"), i32.mul(i32.add(i32.mul(outer, i32.const(p.axis)), index), i32.const(4 * p.inner))));
      fn.set(left, i32.const(p.inner));
      fn.while(left, () => {
        fn.storeI32(y, i32.load(x));
        fn.set(x, i32.add(x, i32.const(4)));
        fn.set(y, i32.add(y, i32.const(4)));
        fn.set(left, i32.sub(left, i32.const(1)));
      });
    });
  },
});
