import { i32 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";

/** y[places[i]] = x[sources[i]] for `count` pairs: operand `pairs` holds byte offsets, of x and of y in turn. No two places are the same. */
export interface ScatterProblem {
  readonly count: number;
}

export type ScatterChoice = Record<string, never>;

export const x32Scatter = defineKernel<ScatterProblem, ScatterChoice>({
  name: "x32-scatter",
  backend: "wasm",
  operands: () => ["x", "pairs", "y"],
  choices: () => [{}],
  cost: (p) => p.count * 2.5,
  items: (p) => p.count,
  emit({ fn, operand, begin, end }) {
    const pair = fn.let(i32.add(operand("pairs"), i32.shl(begin, i32.const(3))));
    const stop = fn.let(i32.add(operand("pairs"), i32.shl(end, i32.const(3))));
    fn.for(pair, stop, 8, () => {
      const value = fn.let(i32.load(i32.add(operand("x"), i32.load(pair))));
      fn.storeI32(i32.add(operand("y"), i32.load(pair, 4)), value);
    });
  },
});
