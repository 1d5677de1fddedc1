import { type F32, f32, f32x4, i32 } from "../../codegen/wasm/code.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, roundedCount } from "../kernel.ts";
import { emitActivation } from "../vector-math.ts";

/** y[n, m] = act(bias[m] + Σ over the non-zeros of row m of weight · x[n, offset]). Weight stream as of f32-spmm, in groups of 4. */
export interface SpmvProblem {
  readonly m: number;
  readonly k: number;
  readonly rows: number;
  readonly nonZeros: number;
  readonly bias: boolean;
  readonly activation: Activation;
}

export type SpmvChoice = Record<string, never>;

export const f32Spmv = defineKernel<SpmvProblem, SpmvChoice>({
  name: "f32-spmv",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), "y"],
  choices: () => [{}],
  cost: (p) => p.rows * (p.nonZeros * 1.5 + p.m * 20),
  digest: (p) => ({ ...p, nonZeros: roundedCount(p.nonZeros) }),
  items: (p) => p.m,
  emit({ fn, target, operand, begin, end }, p) {
    const filter = fn.let(begin);
    const head = fn.local("i32");
    const entry = fn.local("i32");
    const stop = fn.local("i32");
    const acc = fn.locals("f32", 4);
    const one = (x: ReturnType<typeof operand>, rowOffset: number | undefined) => {
      const y = fn.let(i32.add(operand("y"), i32.shl(filter, i32.const(2))));
      fn.set(entry, i32.add(operand("w"), i32.load(head)));
      for (const a of acc) fn.set(a, f32.const(0));
      fn.while(i32.ltU(entry, stop), () => {
        acc.forEach((a, g) => fn.set(a, f32.add(a, f32.mul(f32.load(entry, 16 + 4 * g), f32.load(i32.add(x, i32.load(entry, 4 * g)))))));
        fn.set(entry, i32.add(entry, i32.const(32)));
      });
      const [a, b, c, d] = acc as readonly F32[] as [F32, F32, F32, F32];
      const sum = f32.add(f32.add(a, b), f32.add(c, d));
      const result = fn.let(f32x4.splat(p.bias ? f32.add(sum, f32.load(i32.add(operand("bias"), i32.shl(filter, i32.const(2))))) : sum));
      emitActivation(fn, target, p.activation, result);
      fn.storeLanes(y, result, 1, rowOffset ?? 0);
    };
    fn.for(filter, end, 1, () => {
      fn.set(head, i32.add(operand("w"), i32.shl(filter, i32.const(2))));
      fn.set(stop, i32.add(operand("w"), i32.load(head, 4)));
      for (let n = 0; n < p.rows; n++) one(n === 0 ? operand("x") : fn.let(i32.add(operand("x"), i32.const(4 * n * p.k))), 4 * n * p.m);
    });
  },
});
