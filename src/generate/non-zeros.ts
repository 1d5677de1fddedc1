import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { elementCount } from "../ir/types.ts";
import type { StoredConstant } from "../lower/kernel-graph.ts";

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
