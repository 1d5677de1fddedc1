import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";

/** One dimension of a loop nest: how many steps, and by how many elements each operand moves a step (0: it is broadcast). */
export interface NestDim {
  readonly size: number;
  readonly strides: readonly number[];
}

/** Drops dimensions of size 1 and joins neighbours that every operand walks as one. The result has at least one dimension. */
export function collapseDims(dims: readonly NestDim[], operands: number): NestDim[] {
  const out: NestDim[] = [];
  for (const dim of dims) {
    if (dim.size === 1) continue;
    const outer = out.at(-1);
    if (outer?.strides.every((s, i) => s === dim.size * (dim.strides[i] as number))) out[out.length - 1] = { size: outer.size * dim.size, strides: dim.strides };
    else out.push(dim);
  }
  return out.length > 0 ? out : [{ size: 1, strides: new Array<number>(operands).fill(0) }];
}

export const nestSize = (dims: readonly NestDim[]): number => dims.reduce((n, d) => n * d.size, 1);

/** Sets each operand's byte address for position `index` of the (row-major) dims. */
export function setAddresses(fn: FunctionBuilder, dims: readonly NestDim[], index: I32, bases: readonly I32[], addresses: readonly Local<"i32">[]): void {
  addresses.forEach((a, i) => fn.set(a, bases[i] as I32));
  let rest: I32 = index;
  for (let d = dims.length - 1; d >= 0; d--) {
    const dim = dims[d] as NestDim;
    let position: I32 = rest;
    if (d > 0) {
      const quotient = fn.let(i32.divU(rest, i32.const(dim.size)));
      position = fn.let(i32.sub(rest, i32.mul(quotient, i32.const(dim.size))));
      rest = quotient;
    }
    addresses.forEach((a, i) => {
      const stride = (dim.strides[i] as number) * 4;
      if (stride !== 0) fn.set(a, i32.add(a, stride === 4 ? i32.shl(position, i32.const(2)) : i32.mul(position, i32.const(stride))));
    });
  }
}

/** Runs `body` at every position of the dims, with addresses that walk them. */
export function walkNest(fn: FunctionBuilder, dims: readonly NestDim[], addresses: readonly Local<"i32">[], body: (addresses: readonly Local<"i32">[]) => void): void {
  const [dim, ...rest] = dims;
  if (dim === undefined) return body(addresses);
  const here = addresses.map((a) => fn.let(a));
  const left = fn.let(i32.const(dim.size));
  fn.doWhile(
    () => {
      walkNest(fn, rest, here, body);
      here.forEach((a, i) => {
        const step = 4 * (dim.strides[i] as number);
        if (step !== 0) fn.set(a, i32.add(a, i32.const(step)));
      });
      fn.set(left, i32.sub(left, i32.const(1)));
    },
    () => left,
  );
}

/** Outermost first by how far the last operand moves, so that the innermost loop writes contiguously. */
export function sortDims(dims: readonly NestDim[]): NestDim[] {
  return [...dims].sort((a, b) => Math.abs(b.strides.at(-1) as number) - Math.abs(a.strides.at(-1) as number));
}
