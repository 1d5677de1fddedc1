import { type F32, f32, f32x4, i32, v128 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";

/** y[i] = the sum over `parts` and the four lanes of the vector slots[i] of each part; a part has `slots` vectors. Operand `slots` holds byte offsets in a part. */
export interface SumPartsProblem {
  readonly count: number;
  readonly slots: number;
  readonly parts: number;
}

export type SumPartsChoice = Record<string, never>;

export const f32SumParts = defineKernel<SumPartsProblem, SumPartsChoice>({
  name: "f32-sum-parts",
  backend: "wasm",
  operands: () => ["x", "slots", "y"],
  choices: () => [{}],
  cost: (p) => p.count * (p.parts + 10),
  items: (p) => p.count,
  emit({ fn, operand, begin, end }, p) {
    const slot = fn.let(i32.add(operand("slots"), i32.shl(begin, i32.const(2))));
    const y = fn.let(i32.add(operand("y"), i32.shl(begin, i32.const(2))));
    const stop = fn.let(i32.add(operand("slots"), i32.shl(end, i32.const(2))));
    fn.for(slot, stop, 4, () => {
      const x = fn.let(i32.add(operand("x"), i32.load(slot)));
      const last = fn.let(i32.add(x, i32.const(16 * p.slots * (p.parts - 1))));
      const sum = fn.let(v128.load(x));
      fn.while(i32.ltU(x, last), () => {
        fn.set(x, i32.add(x, i32.const(16 * p.slots)));
        fn.set(sum, f32x4.add(sum, v128.load(x)));
      });
      const lanes = [0, 1, 2, 3].map((l) => f32x4.extract(sum, l)) as [F32, F32, F32, F32];
      fn.storeF32(y, f32.add(f32.add(lanes[0], lanes[1]), f32.add(lanes[2], lanes[3])));
      fn.set(y, i32.add(y, i32.const(4)));
    });
  },
});
