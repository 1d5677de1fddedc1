import { i32 } from "../codegen/wasm/code.ts";
import type { FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";

/** pack(from, to, m, depth, filters): [m][depth] → blocks of `filters` rows, within a block [depth][filters]; the last block has the rows that are left. */
export function emitPack(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(5), (fn, ...params) => {
    const [from, to, m, depth, filters] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const row = fn.let(i32.const(0));
    const source = fn.let(from);
    fn.for(row, m, 1, () => {
      const first = fn.let(i32.mul(i32.divU(row, filters), filters));
      const left = fn.let(i32.sub(m, first));
      const step = fn.let(i32.shl(i32.select(filters, left, i32.ltU(filters, left)), i32.const(2)));
      const target = fn.let(i32.add(to, i32.shl(i32.add(i32.mul(first, depth), i32.sub(row, first)), i32.const(2))));
      const end = fn.let(i32.add(source, i32.shl(depth, i32.const(2))));
      fn.doWhile(
        () => {
          fn.storeI32(target, i32.load(source));
          fn.set(source, i32.add(source, i32.const(4)));
          fn.set(target, i32.add(target, step));
        },
        () => i32.ltU(source, end),
      );
    });
  });
}
