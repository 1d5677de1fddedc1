import { describe, expect, test } from "vitest";
import { f32x4, i32, v128 } from "../../src/codegen/wasm/code.ts";
import { disassemble } from "../../src/codegen/wasm/disassemble.ts";
import { i32Params, ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { CadnnError } from "../../src/errors.ts";

describe("disassemble", () => {
  test("shows statements with nested operands, blocks by indentation", () => {
    const builder = new ModuleBuilder();
    const axpy = builder.function(i32Params(3), (fn, x, y, count) => {
      if (x === undefined || y === undefined || count === undefined) return;
      const left = fn.let(count);
      fn.while(i32.gtS(left, i32.const(0)), () => {
        fn.store(y, f32x4.relaxedMadd(v128.load(x, 16), f32x4.const(0.5), v128.load(y)), 32);
        fn.set(left, i32.sub(left, i32.const(4)));
      });
      fn.if(
        left,
        () => fn.storeLanes(y, fn.let(v128.const([1, 2, -0, 1e-3])), 3, 4),
        () => fn.drop(i32.atomicWait(i32.const(0), i32.const(1), 20, 8)),
      );
      fn.switch(left, [() => fn.fill(y, i32.const(0), count), () => fn.store(y, v128.constI32(-1))]);
    });
    builder.export("axpy", axpy);
    builder.function([], (fn) => fn.call(axpy, [i32.const(-1), i32.const(64), i32.const(65)]));
    expect(`\n${disassemble(builder.finish({ import: ["env", "memory"], pages: 17 }).bytes)}`).toBe(`
memory "env.memory" 17 pages, shared

func 0 "axpy" (i32, i32, i32) locals 1 i32, 1 v128
  $3 = $2
  if i32.gt_s($3, 0)
    loop
      v128.store($1 +32, f32x4.relaxed_madd(v128.load($0 +16), <0.5>, v128.load($1)))
      $3 = i32.sub($3, 4)
      br_if 0 i32.gt_s($3, 0)
  if $3
    $4 = <1.0 2.0 -0.0 0.001>
    v128.store64_lane($1 +4 lane 0, $4)
    v128.store32_lane($1 +12 lane 2, $4)
  else
    drop(memory.atomic.wait32(0 +8, 1, 20000000 as i64))
  block
    block
      block
        br_table 0 1 2 $3
      memory.fill($1, 0, $2)
      br 1
    v128.store($1, <0xffffffff>)
    br 0

func 1 ()
  call 0(-1, 64, 65)
`);
  });

  test("says where it meets what it does not know", () => {
    const code = (bytes: Uint8Array) => {
      try {
        disassemble(bytes);
        return undefined;
      } catch (error) {
        return error instanceof CadnnError ? `${error.code} ${error.message}` : String(error);
      }
    };
    expect(code(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toBe("E_CORRUPT the module cannot be read at byte 0: it does not begin as a WebAssembly module of version 1");
    const builder = new ModuleBuilder();
    builder.function([], (fn) => fn.drop(i32.const(1)));
    const { bytes } = builder.finish({ import: ["m", "memory"], pages: 1 });
    expect(code(bytes)).toBe(undefined);
    expect(code(bytes.slice(0, -2))).toMatch(/^E_CORRUPT .*it ends too early$/);
    expect(code(bytes.with(bytes.length - 2, 0xff))).toMatch(/no such instruction$/);
    expect(code(bytes.with(bytes.length - 2, 0x6a))).toMatch(/i32.add takes 2 values, 1 are there$/);
  });
});
