import { type I32, i32, i32x4 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { indexPadding } from "../lower/staging.ts";

/** Indices that are above any other. */
function endIndices(fn: FunctionBuilder, at: I32): void {
  for (let word = 0; word < indexPadding; word += 4) fn.store(at, i32x4.splat(i32.const(-1)), 4 * word);
}

/** indices(gaps, count, gapBits, to): the indices of a sparse constant's non-zeros, and their end. Without a branch that depends on them, as nobody could foretell it. */
export function emitIndices(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(4), (fn, ...params) => {
    const [gaps, count, gapBits, to] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const mask = fn.let(i32.sub(i32.shl(i32.const(1), gapBits), i32.const(1)));
    const slot = fn.let(to);
    const end = fn.let(i32.add(to, i32.shl(count, i32.const(2))));
    const [bit, index] = [fn.let(i32.const(0)), fn.let(i32.const(0))];
    const [field, last] = fn.locals("i32", 2) as [Local<"i32">, Local<"i32">];
    fn.while(i32.ne(slot, end), () => {
      // A field may cross a byte: 16 bits from its first byte on always hold it.
      fn.set(field, i32.and(i32.shrU(i32.load16u(i32.add(gaps, i32.shrU(bit, i32.const(3)))), i32.and(bit, i32.const(7))), mask));
      fn.set(bit, i32.add(bit, gapBits));
      fn.set(index, i32.add(index, field));
      fn.storeI32(slot, index);
      // All ones: more of the gap follows.
      fn.set(last, i32.ne(field, mask));
      fn.set(slot, i32.add(slot, i32.shl(last, i32.const(2))));
      fn.set(index, i32.add(index, last));
    });
    endIndices(fn, end);
  });
}

/** compact(from, elements, indices, values): the indices and the bits of a dense constant's non-zeros, and the end of the indices. */
export function emitCompact(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(4), (fn, ...params) => {
    const [from, elements, indices, values] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const index = fn.let(i32.const(0));
    const offset = fn.let(i32.const(0));
    const bits = fn.local("i32");
    fn.for(index, elements, 1, () => {
      fn.set(bits, i32.load(i32.add(from, i32.shl(index, i32.const(2)))));
      fn.storeI32(i32.add(indices, offset), index);
      fn.storeI32(i32.add(values, offset), bits);
      fn.set(offset, i32.add(offset, i32.shl(i32.ne(i32.shl(bits, i32.const(1)), i32.const(0)), i32.const(2))));
    });
    endIndices(fn, i32.add(indices, offset));
  });
}

/** scatter(values, indices, count, to): each value to the element of its index. */
export function emitScatter(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(4), (fn, ...params) => {
    const [values, indices, count, to] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const offset = fn.let(i32.const(0));
    const end = fn.let(i32.shl(count, i32.const(2)));
    fn.for(offset, end, 4, () => {
      const element = i32.shl(i32.load(i32.add(indices, offset)), i32.const(2));
      fn.storeI32(i32.add(to, element), i32.load(i32.add(values, offset)));
    });
  });
}
