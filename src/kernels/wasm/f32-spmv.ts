import { type F32, f32, f32x4, type I32, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, roundedCount } from "../kernel.ts";
import { emitActivation, madd } from "../vector-math.ts";

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

/** Bytes of a group: four offsets and four weights. */
const groupBytes = 32;

type FourF32 = readonly [F32, F32, F32, F32];
const sumOf = ([a, b, c, d]: FourF32): F32 => f32.add(f32.add(a, b), f32.add(c, d));

export const f32Spmv = defineKernel<SpmvProblem, SpmvChoice>({
  name: "f32-spmv",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), "y"],
  choices: () => [{}],
  cost: (p, _, target) => (target.inOrder ? p.rows * (p.nonZeros * 1.6 + p.m * 12) : p.rows * (p.nonZeros * 1.5 + p.m * 20)),
  amount: "nonZeros",
  digest: (p) => ({ ...p, nonZeros: roundedCount(p.nonZeros) }),
  items: (p) => p.m,
  emit({ fn, target, operand, begin, end }, p) {
    const filter = fn.let(begin);
    const head = fn.local("i32");
    const entry = fn.local("i32");
    const stop = fn.local("i32");
    const lanes = [0, 1, 2, 3] as const;
    /** The sum of a row's products by four sums, one for each place of a group. */
    const inPlaces = (x: Local<"i32">): F32 => {
      const acc = lanes.map(() => fn.let(f32.const(0)));
      fn.while(i32.ltU(entry, stop), () => {
        acc.forEach((a, g) => fn.set(a, f32.add(a, f32.mul(f32.load(entry, 16 + 4 * g), f32.load(i32.add(x, i32.load(entry, 4 * g)))))));
        fn.set(entry, i32.add(entry, i32.const(groupBytes)));
      });
      return sumOf(acc as readonly F32[] as FourF32);
    };
    /** The same by one vector of sums; a group's addresses are computed while the one before is multiplied. The stream ends with a group for the last one. */
    const inLanes = (x: Local<"i32">): F32 => {
      const acc = fn.let(f32x4.const(0));
      const addressOf = (behind: number, g: number): I32 => i32.add(x, i32.load(entry, behind + 4 * g));
      const addresses = lanes.map((g) => fn.let(addressOf(0, g)));
      fn.while(i32.ltU(entry, stop), () => {
        const first = fn.let(v128.load32Zero(addresses[0] as I32));
        const rest = addresses.slice(1).map((a) => fn.let(f32.load(a)));
        const weights = fn.let(v128.load(entry, 16));
        const offsets = lanes.map((g) => fn.let(i32.load(entry, groupBytes + 4 * g)));
        addresses.forEach((a, g) => fn.set(a, i32.add(x, offsets[g] as I32)));
        const gathered = fn.let(rest.reduce((v: V128, value, i) => f32x4.replace(v, i + 1, value), first));
        fn.set(acc, madd(target, weights, gathered, acc));
        fn.set(entry, i32.add(entry, i32.const(groupBytes)));
      });
      return sumOf(lanes.map((l) => f32x4.extract(acc, l)) as readonly F32[] as FourF32);
    };
    const one = (x: Local<"i32">, rowOffset: number | undefined) => {
      const y = fn.let(i32.add(operand("y"), i32.shl(filter, i32.const(2))));
      fn.set(entry, i32.add(operand("w"), i32.load(head)));
      const sum = target.inOrder ? inLanes(x) : inPlaces(x);
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
