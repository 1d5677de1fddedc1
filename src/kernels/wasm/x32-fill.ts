import { f32, i32 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";

/** Sets runs of elements in each of many planes to one value: the padding around planes. */
export interface FillProblem {
  readonly planes: number;
  readonly planeStride: number;
  /** `count` runs of `length` elements, `step` apart. */
  readonly runs: readonly { readonly start: number; readonly count: number; readonly step: number; readonly length: number }[];
  readonly value: number;
}

export type FillChoice = Record<string, never>;

export const x32Fill = defineKernel<FillProblem, FillChoice>({
  name: "x32-fill",
  backend: "wasm",
  operands: () => ["y"],
  choices: () => [{}],
  cost: (p) => p.planes * p.runs.reduce((n, r) => n + r.count * (r.length * 0.6 + 2), 0),
  items: (p) => p.planes,
  emit({ fn, operand, begin, end }, p) {
    const plane = fn.let(begin);
    const base = fn.let(i32.add(operand("y"), i32.mul(begin, i32.const(4 * p.planeStride))));
    const y = fn.local("i32");
    const left = fn.local("i32");
    const value = f32.const(p.value);
    fn.for(plane, end, 1, () => {
      for (const run of p.runs) {
        fn.set(y, i32.add(base, i32.const(4 * run.start)));
        fn.set(left, i32.const(run.count));
        const once = () => {
          if (run.length <= 4) for (let i = 0; i < run.length; i++) fn.storeF32(y, value, 4 * i);
          else {
            const at = fn.let(y);
            fn.while(i32.ltS(at, i32.add(y, i32.const(4 * run.length))), () => {
              fn.storeF32(at, value);
              fn.set(at, i32.add(at, i32.const(4)));
            });
          }
        };
        if (run.count === 1) once();
        else
          fn.doWhile(
            () => {
              once();
              fn.set(y, i32.add(y, i32.const(4 * run.step)));
              fn.set(left, i32.sub(left, i32.const(1)));
            },
            () => left,
          );
      }
      fn.set(base, i32.add(base, i32.const(4 * p.planeStride)));
    });
  },
});
