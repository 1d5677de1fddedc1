import { f32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";

/**
 * levels(from, groups, palette, bits, run, indices, to): values that are stored as levels (see `LevelsRecord`) as floats. A group's elements are `run`
 * in number: all of them or, if `sparse`, those that `indices` names in ascending order, behind which lie greater ones.
 */
export function emitLevels(builder: ModuleBuilder, sparse: boolean): FunctionRef {
  return builder.function(i32Params(7), (fn, ...params) => {
    const [from, groups, palette, bits, run, indices, to] = params as Parameters;
    const starts = i32.shl(groups, i32.const(2));
    const table = fn.let(i32.add(from, i32.shl(groups, i32.const(3))));
    const fields = fn.let(i32.add(table, i32.shl(palette, i32.const(2))));
    const mask = fn.let(i32.sub(i32.shl(i32.const(4), bits), i32.const(4)));
    const head = fn.let(from);
    const [bit, bound, place] = [fn.let(i32.const(0)), fn.let(i32.const(0)), fn.let(i32.const(0))];
    const [start, end] = [fn.local("i32"), fn.let(i32.add(from, starts))];
    const scale = fn.local("f32");
    fn.for(head, end, 4, () => {
      fn.set(scale, f32.load(head));
      fn.set(start, i32.add(table, i32.shl(i32.load(i32.add(head, starts)), i32.const(2))));
      fn.set(bound, i32.add(bound, run));
      fn.while(sparse ? i32.ltU(i32.load(i32.add(indices, i32.shl(place, i32.const(2)))), bound) : i32.ltU(place, bound), () => {
        // Four times the field: a byte offset. A field may cross a byte: 16 bits from its first byte on always hold it.
        const field = i32.and(i32.shrU(i32.shl(i32.load16u(i32.add(fields, i32.shrU(bit, i32.const(3)))), i32.const(2)), i32.and(bit, i32.const(7))), mask);
        fn.storeF32(i32.add(to, i32.shl(place, i32.const(2))), f32.mul(scale, f32.load(i32.add(start, field))));
        fn.set(bit, i32.add(bit, bits));
        fn.set(place, i32.add(place, i32.const(1)));
      });
    });
  });
}

type Address = Local<"i32">;
type Count = Local<"i32">;
type Parameters = [from: Address, groups: Count, palette: Count, bits: Count, run: Count, indices: Address, to: Address];
