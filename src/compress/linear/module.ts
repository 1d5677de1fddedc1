import { f64x2, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import { i32Params, type Local, ModuleBuilder } from "../../codegen/wasm/module.ts";

/** Rows and columns of every matrix come in multiples of this; what is beyond a matrix is 0. */
export const unit = 4;

/** The one kernel of double-precision linear algebra, on matrices that lie row by row. Addresses and strides are in bytes. */
export interface ProductKernel {
  /** C[m, n] += A[m, k] · B[n, k]ᵀ; m is a multiple of 2, n of 4, k of 2. */
  add(a: number, b: number, c: number, m: number, n: number, k: number, strideA: number, strideB: number, strideC: number): void;
  /** The same with −=. */
  subtract(a: number, b: number, c: number, m: number, n: number, k: number, strideA: number, strideB: number, strideC: number): void;
}

const rows = 2;
const columns = 4;

/**
 * A block of 2 × 4 sums is held in registers, two products side by side in each: 6 loads for 8 multiply-adds, which leaves the
 * arithmetic the bottleneck, and 8 chains to hide its latency. Both operands are read along rows.
 */
export function productModule(pages: number, fma: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  for (const sign of ["add", "subtract"] as const) {
    const kernel = module.function(i32Params(9), (fn, a, b, c, m, n, k, strideA, strideB, strideC) => {
      const [i, j, at, aRow, bRow, cRow] = fn.locals("i32", 6) as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
      const [a1, b1, b2, b3] = fn.locals("i32", 4) as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
      const sums = fn.locals("v128", rows * columns);
      const end = fn.let(i32.shl(k as Local<"i32">, i32.const(3)));
      fn.set(i, i32.const(0));
      fn.set(aRow, a as Local<"i32">);
      fn.for(i, m as Local<"i32">, rows, () => {
        fn.set(j, i32.const(0));
        fn.set(bRow, b as Local<"i32">);
        fn.set(cRow, i32.add(c as Local<"i32">, i32.mul(i, strideC as Local<"i32">)));
        fn.set(a1, i32.add(aRow, strideA as Local<"i32">));
        fn.for(j, n as Local<"i32">, columns, () => {
          fn.set(b1, i32.add(bRow, strideB as Local<"i32">));
          fn.set(b2, i32.add(b1, strideB as Local<"i32">));
          fn.set(b3, i32.add(b2, strideB as Local<"i32">));
          for (const sum of sums) fn.set(sum, v128.const([0, 0, 0, 0]));
          fn.set(at, i32.const(0));
          fn.for(at, end, 16, () => {
            const left = [aRow, a1].map((base) => fn.let(v128.load(i32.add(base, at))));
            for (const [column, base] of [bRow, b1, b2, b3].entries()) {
              const right = fn.let(v128.load(i32.add(base, at)));
              for (const [row, value] of left.entries()) {
                const sum = sums[row * columns + column] as Local<"v128">;
                fn.set(sum, fma ? f64x2.relaxedMadd(value, right, sum) : f64x2.add(f64x2.mul(value, right), sum));
              }
            }
          });
          for (let row = 0; row < rows; row++) {
            const to = row === 0 ? cRow : i32.add(cRow, strideC as Local<"i32">);
            for (let column = 0; column < columns; column += 2) {
              const both = pairSums(sums[row * columns + column] as V128, sums[row * columns + column + 1] as V128);
              const before = v128.load(to, column * 8);
              fn.store(to, sign === "add" ? f64x2.add(before, both) : f64x2.sub(before, both), column * 8);
            }
          }
          fn.set(bRow, i32.add(b3, strideB as Local<"i32">));
          fn.set(cRow, i32.add(cRow, i32.const(columns * 8)));
        });
        fn.set(aRow, i32.add(a1, strideA as Local<"i32">));
      });
    });
    module.export(sign, kernel);
  }
  const { bytes, sharedFlagOffset } = module.finish({ import: ["env", "memory"], pages });
  bytes[sharedFlagOffset] = 1; // not shared
  return bytes;
}

/** (a₀ + a₁, b₀ + b₁) */
const pairSums = (a: V128, b: V128): V128 => f64x2.add(v128.shuffle(a, b, [0, 1, 4, 5]), v128.shuffle(a, b, [2, 3, 6, 7]));
