import { describe, expect, test } from "vitest";
import { f32, i32 } from "../../src/codegen/wasm/code.ts";
import { defineKernel, type EmitContext } from "../../src/kernels/kernel.ts";
import { blank, checkKernel } from "./harness.ts";

/** y[i] = x[i] for two elements, by a kernel that is given. */
function run(emit: (context: EmitContext) => void): () => void {
  const template = defineKernel<null, null>({ name: "f32-two", backend: "wasm", choices: () => [null], cost: () => 1, items: () => 2, operands: () => ["x", "y"], emit });
  const expected = new Map([0, 1].map((i) => [i, { value: 5 + i, tolerance: 1e-6 }]));
  return () => checkKernel({ template, problem: null, operands: { x: { data: Float32Array.of(5, 6) }, y: { data: blank(3) } }, expected });
}

/** Copies its share of the items, with a change. */
const copy =
  (offset: number, add: number) =>
  ({ fn, operand, begin, end }: EmitContext): void => {
    const i = fn.let(begin);
    const at = (name: string) => i32.add(operand(name), i32.shl(i, i32.const(2)));
    fn.for(i, end, 1, () => fn.storeF32(at("y"), f32.add(f32.load(at("x"), offset), f32.const(add)), 0));
  };

describe("the harness of kernel tests", () => {
  test("accepts a kernel that is right", () => expect(run(copy(0, 0))).not.toThrow());
  test("sees a wrong value", () => expect(run(copy(0, 1e-4))).toThrow(/output\[0\] is 5.0001/));
  test("sees a kernel that reads beyond its operand", () => expect(run(copy(4, 0))).toThrow(/output\[0\] is 6/));
  test("sees a kernel that reads more than 256 bytes beyond its first operand", () => {
    const reading = (offset: number) =>
      run((context) => {
        copy(0, 0)(context);
        context.fn.drop(f32.load(context.operand("x"), offset));
      });
    expect(reading(8 + 252)).not.toThrow();
    expect(reading(8 + 256)).toThrow("out of bounds");
  });
  test("sees a kernel that writes nothing", () => expect(run(() => {})).toThrow("output[0] is not written"));
  test("sees an element too many", () =>
    expect(
      run((context) => {
        copy(0, 0)(context);
        context.fn.storeF32(context.operand("y"), f32.const(1), 8);
      }),
    ).toThrow("wrote word 2"));
  test("sees a word written outside of the output", () =>
    expect(
      run((context) => {
        copy(0, 0)(context);
        context.fn.storeF32(context.operand("x"), f32.const(1), 8);
      }),
    ).toThrow("which is not its own"));
  test("sees shares that do not add up to the whole", () =>
    expect(
      run((context) => {
        copy(0, 0)(context);
        context.fn.if(i32.eq(context.begin, i32.const(1)), () => context.fn.storeF32(context.operand("y"), f32.const(0), 0));
      }),
    ).toThrow("shared among 2 threads"));
});
