import { type F32, f32, f32x4, i32, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { emitActivation, madd } from "../vector-math.ts";

/** y[n, m] = act(bias[m] + Σ_k w[m, k] · x[n, k]), all row-major: fully connected layers of few rows. */
export interface MatvecProblem {
  readonly m: number;
  readonly k: number;
  readonly rows: number;
  readonly bias: boolean;
  readonly activation: Activation;
}

export interface MatvecChoice {
  /** Rows of w at a time. */
  readonly filters: number;
}

export const f32Matvec = defineKernel<MatvecProblem, MatvecChoice>({
  name: "f32-matvec",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), "y"],
  choices: (p) => [4, 6, 8, 2, 1].filter((filters) => filters <= p.m).map((filters) => ({ filters })),
  cost(p, { filters }) {
    const compute = (p.rows * Math.ceil(p.m / filters) * (Math.ceil(p.k / 4) * (filters + 1) + filters * 10)) / 1.5;
    // Weights that the second-level cache does not hold come at about 6 bytes a cycle.
    const bytes = 4 * p.m * p.k;
    return Math.max(compute, bytes > 500_000 ? bytes / 6 : 0);
  },
  reuse: (p) => ({ walks: 1, tile: 4 * p.k, scattered: 0 }),
  sharesLoads: (_, { filters }) => filters > 1,
  items: (p, { filters }) => Math.ceil(p.m / filters),
  emit(context, p, { filters }) {
    const { fn, operand, begin, end } = context;
    const block = fn.let(begin);
    const filter = fn.local("i32");
    const row = fn.local("i32");
    fn.for(block, end, 1, () => {
      fn.set(filter, i32.mul(block, i32.const(filters)));
      if (p.m % filters > 0) fn.set(filter, i32.select(filter, i32.const(p.m - filters), i32.ltS(filter, i32.const(p.m - filters))));
      const w = fn.let(i32.add(operand("w"), i32.mul(filter, i32.const(4 * p.k))));
      const x = fn.let(operand("x"));
      const y = fn.let(i32.add(operand("y"), i32.shl(filter, i32.const(2))));
      const bias = p.bias ? fn.let(i32.add(operand("bias"), i32.shl(filter, i32.const(2)))) : undefined;
      const one = () => {
        emitDot(context, p, filters, x, w, bias, y);
        fn.set(x, i32.add(x, i32.const(4 * p.k)));
        fn.set(y, i32.add(y, i32.const(4 * p.m)));
      };
      if (p.rows === 1) one();
      else {
        fn.set(row, i32.const(0));
        fn.for(row, i32.const(p.rows), 1, one);
      }
    });
  },
});

function emitDot(context: EmitContext, p: MatvecProblem, filters: number, x: Local<"i32">, w: Local<"i32">, bias: Local<"i32"> | undefined, y: Local<"i32">): void {
  const { fn, target } = context;
  const acc = Array.from({ length: filters }, () => fn.let(f32x4.const(0)));
  const xAt = fn.let(x);
  const wAt = fn.let(w);
  const unroll = p.k >= 8 ? 2 : 1;
  const rounds = Math.floor(p.k / (4 * unroll));
  if (rounds > 0) {
    const left = fn.let(i32.const(rounds));
    fn.doWhile(
      () => {
        for (let u = 0; u < unroll; u++) {
          const v = fn.let(v128.load(xAt, 16 * u));
          acc.forEach((a, f) => fn.set(a, madd(target, v, v128.load(wAt, 4 * f * p.k + 16 * u), a)));
        }
        fn.set(xAt, i32.add(xAt, i32.const(16 * unroll)));
        fn.set(wAt, i32.add(wAt, i32.const(16 * unroll)));
        fn.set(left, i32.sub(left, i32.const(1)));
      },
      () => left,
    );
  }
  acc.forEach((a, f) => {
    let sum: F32 = f32.add(f32.add(f32x4.extract(a, 0), f32x4.extract(a, 1)), f32.add(f32x4.extract(a, 2), f32x4.extract(a, 3)));
    for (let r = 0; r < p.k % (4 * unroll); r++) sum = f32.add(sum, f32.mul(f32.load(xAt, 4 * r), f32.load(wAt, 4 * (f * p.k + r))));
    if (bias !== undefined) sum = f32.add(sum, f32.load(bias, 4 * f));
    const result = fn.let(f32x4.splat(sum));
    emitActivation(fn, target, p.activation, result);
    fn.storeLanes(y, result, 1, 4 * f);
  });
}
