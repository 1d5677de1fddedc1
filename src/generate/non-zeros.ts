import { type I32, i32, i32x4 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { elementCount } from "../ir/types.ts";
import type { StoredConstant } from "../lower/kernel-graph.ts";
import { indexPadding } from "../lower/staging.ts";

/** Calls `body` with the index and the bits of every element that is not zero, in row-major order. */
export function forEachNonZero(fn: FunctionBuilder, constant: StoredConstant, from: Local<"i32">, body: (index: Local<"i32">, value: I32) => void): void {
  const elements = elementCount(constant.shape);
  const value = fn.let(from);
  const index = fn.local("i32");
  const { encoding } = constant;
  if (encoding.kind === "dense") {
    fn.set(index, i32.const(0));
    fn.for(index, i32.const(elements), 1, () => {
      const bits = fn.let(i32.load(value));
      fn.if(i32.shl(bits, i32.const(1)), () => body(index, bits));
      fn.set(value, i32.add(value, i32.const(4)));
    });
    return;
  }
  const { gapBits, count } = encoding;
  if (count === 0) return;
  const mask = 2 ** gapBits - 1;
  const bit = fn.let(i32.const(0));
  const left = fn.let(i32.const(count));
  const gaps = i32.add(from, i32.const(count * 4));
  const field = fn.local("i32");
  fn.set(index, i32.const(-1));
  fn.doWhile(
    () => {
      fn.set(index, i32.add(index, i32.const(1)));
      fn.doWhile(
        () => {
          // A field may cross a byte: 16 bits from its first byte on always hold it.
          const bytes = i32.load16u(i32.add(gaps, i32.shrU(bit, i32.const(3))));
          fn.set(field, i32.and(i32.shrU(bytes, i32.and(bit, i32.const(7))), i32.const(mask)));
          fn.set(bit, i32.add(bit, i32.const(gapBits)));
          fn.set(index, i32.add(index, field));
        },
        () => i32.eq(field, i32.const(mask)),
      );
      body(index, i32.load(value));
      fn.set(value, i32.add(value, i32.const(4)));
      fn.set(left, i32.sub(left, i32.const(1)));
    },
    () => left,
  );
}

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
