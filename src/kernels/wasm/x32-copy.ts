import { type I32, i32, v128 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";
import { collapseDims, type NestDim, nestSize, setAddresses } from "../nest.ts";

/** y[i…] = x[i…] for any strides, negative ones too: transposes, slices, concatenations, changes of layout. Strides: [x, y]. */
export interface CopyProblem {
  readonly dims: readonly NestDim[];
}

export type CopyChoice = Record<string, never>;

const block = 1024;

export const x32Copy = defineKernel<CopyProblem, CopyChoice>({
  name: "x32-copy",
  backend: "wasm",
  operands: () => ["x", "y"],
  choices: () => [{}],
  cost: (p) => nestSize(p.dims) * ((collapseDims(p.dims, 2).at(-1) as NestDim).strides.every((s) => s === 1) ? 0.6 : 2),
  items(p) {
    const dims = collapseDims(p.dims, 2);
    return dims.length === 1 ? Math.ceil((dims[0] as NestDim).size / block) : nestSize(dims.slice(0, -1));
  },
  emit({ fn, operand, begin, end }, p) {
    const dims = collapseDims(p.dims, 2);
    const inner = dims.at(-1) as NestDim;
    const [xStride, yStride] = inner.strides as [number, number];
    const x = fn.local("i32");
    const y = fn.local("i32");
    const left = fn.local("i32");
    const move = (lanes: number) => {
      if (lanes === 4 && xStride === 1) fn.store(y, v128.load(x));
      else if (lanes === 4 && xStride === 0) fn.store(y, v128.load32Splat(x));
      else if (lanes === 4) fn.store(y, v128.shuffle(v128.load(x), v128.load(x, 12), [0, 2, 5, 7]));
      else fn.storeI32(y, i32.load(x));
      if (xStride !== 0) fn.set(x, i32.add(x, i32.const(4 * lanes * xStride)));
      fn.set(y, i32.add(y, i32.const(4 * lanes * yStride)));
      fn.set(left, i32.sub(left, i32.const(lanes)));
    };
    const row = () => {
      if (yStride === 1 && xStride >= 0 && xStride <= 2) fn.while(i32.geS(left, i32.const(4)), () => move(4));
      fn.while(i32.gtS(left, i32.const(0)), () => move(1));
    };
    if (dims.length === 1) {
      const first = fn.let(i32.mul(begin, i32.const(block)));
      const last = fn.let(i32.mul(end, i32.const(block)));
      fn.set(left, i32.sub(i32.select(last, i32.const(inner.size), i32.ltS(last, i32.const(inner.size))), first));
      fn.set(x, i32.add(operand("x"), i32.mul(first, i32.const(4 * xStride))));
      fn.set(y, i32.add(operand("y"), i32.mul(first, i32.const(4 * yStride))));
      row();
      return;
    }
    const index = fn.let(begin);
    fn.for(index, end, 1, () => {
      setAddresses(fn, dims.slice(0, -1), index, [operand("x"), operand("y")] as I32[], [x, y]);
      fn.set(left, i32.const(inner.size));
      row();
    });
  },
});
