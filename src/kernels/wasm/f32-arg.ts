import { f32, type I32, i32 } from "../../codegen/wasm/code.ts";
import type { FunctionBuilder } from "../../codegen/wasm/function.ts";
import { defineKernel } from "../kernel.ts";
import { collapseDims, type NestDim, nestSize, setAddresses, walkNest } from "../nest.ts";

/**
 * y[k…] = position of the largest or smallest x[k…, r…]. A position is counted as an address is, from `origin` on with strides of its own:
 * along one axis for ArgMax, in the unpadded input for the indices of MaxPool. NaN wins over all numbers. Strides: [x, position, y].
 */
export interface ArgProblem {
  readonly kept: readonly NestDim[];
  readonly reduced: readonly NestDim[];
  readonly kind: "max" | "min";
  /** Which of equals. */
  readonly last: boolean;
  readonly integer: boolean;
  readonly origin: number;
}

export type ArgChoice = Record<string, never>;

export const f32Arg = defineKernel<ArgProblem, ArgChoice>({
  name: "f32-arg",
  backend: "wasm",
  operands: () => ["x", "y"],
  choices: () => [{}],
  cost: (p) => nestSize(p.kept) * nestSize(p.reduced) * 6,
  items: (p) => nestSize(p.kept),
  emit({ fn, operand, begin, end }, p) {
    const [kept, reduced] = [collapseDims(p.kept, 3), collapseDims(p.reduced, 3)];
    const addresses = fn.locals("i32", 3);
    const where = fn.local("i32");
    const found = fn.local("i32");
    const index = fn.let(begin);
    const visit = p.integer ? integers(fn, p) : floats(fn, p);
    fn.for(index, end, 1, () => {
      setAddresses(fn, kept, index, [operand("x"), i32.const(4 * p.origin), operand("y")], addresses);
      fn.set(found, i32.const(0));
      walkNest(fn, reduced, addresses.slice(0, 2), ([x, position]) => {
        const { better, take } = visit(x as I32);
        fn.if(i32.or(i32.eqz(found), better), () => {
          take();
          fn.set(where, position as I32);
          fn.set(found, i32.const(1));
        });
      });
      fn.storeI32(addresses[2] as I32, i32.shrS(where, i32.const(2)));
    });
  },
});

type Visit = (x: I32) => { readonly better: I32; readonly take: () => void };

function floats(fn: FunctionBuilder, { kind, last }: ArgProblem): Visit {
  const [best, value] = [fn.local("f32"), fn.local("f32")];
  const compare = { max: last ? f32.ge : f32.gt, min: last ? f32.le : f32.lt }[kind];
  return (x) => {
    fn.set(value, f32.load(x));
    return { better: i32.or(compare(value, best), i32.and(f32.ne(value, value), f32.eq(best, best))), take: () => fn.set(best, value) };
  };
}

function integers(fn: FunctionBuilder, { kind, last }: ArgProblem): Visit {
  const [best, value] = [fn.local("i32"), fn.local("i32")];
  const compare = { max: last ? i32.geS : i32.gtS, min: last ? i32.leS : i32.ltS }[kind];
  return (x) => {
    fn.set(value, i32.load(x));
    return { better: compare(value, best), take: () => fn.set(best, value) };
  };
}
