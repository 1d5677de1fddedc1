import { describe, expect, test } from "vitest";
import { relu } from "../../src/ir/activation.ts";
import { count, f, runOp, valuesOf } from "./run-op.ts";

const plain = { alpha: 1, beta: 1, transA: false, transB: false };

describe("Gemm", () => {
  test("plain, scaled and with a broadcast addend", () => {
    expect(valuesOf("Gemm", [count(2, 2), f([2, 2], [1, 0, 1, 1])], plain)).toEqual([3, 2, 7, 4]);
    expect(valuesOf("Gemm", [count(2, 2), f([2, 2], [1, 0, 1, 1]), f([2], [10, 20])], { ...plain, alpha: 2, beta: 0.5 })).toEqual([11, 14, 19, 18]);
    expect(valuesOf("Gemm", [count(2, 2), f([2, 2], [1, 0, 1, 1]), f([2, 1], [10, 20])], plain)).toEqual([13, 12, 27, 24]);
    expect(valuesOf("Gemm", [count(1, 1), count(1, 1), f([], [5])], plain)).toEqual([6]);
  });
  test("transposed sides", () => {
    expect(valuesOf("Gemm", [count(2, 1), f([3, 2], [1, 2, 3, 4, 5, 6])], { ...plain, transA: true, transB: true })).toEqual([5, 11, 17]);
  });
  test("FusedGemm activates", () => {
    expect(valuesOf("FusedGemm", [f([1, 2], [1, -2]), f([2, 2], [1, 3, 1, 1])], { ...plain, activation: relu })).toEqual([0, 1]);
  });
  test("rejects what does not fit", () => {
    expect(() => runOp("Gemm", [count(2, 3), count(2, 3)], plain)).toThrow(/A \[2, 3\] and B \[2, 3\]/);
    expect(() => runOp("Gemm", [count(2, 3), count(3, 2), count(3)], plain)).toThrow(/broadcast/);
  });
});

describe("MatMul", () => {
  test("broadcasts batches", () => {
    const y = runOp("MatMul", [count(2, 1, 1, 2), count(3, 2, 1)])[0];
    expect(y?.shape).toEqual([2, 3, 1, 1]);
    expect([...(y?.data ?? [])]).toEqual([5, 11, 17, 11, 25, 39]);
  });
  test("vectors", () => {
    expect(runOp("MatMul", [count(2), count(2)])[0]).toMatchObject({ shape: [], data: Float32Array.of(5) });
    expect(runOp("MatMul", [count(2), count(2, 3)])[0]).toMatchObject({ shape: [3], data: Float32Array.of(9, 12, 15) });
    expect(runOp("MatMul", [count(3, 2), count(2)])[0]).toMatchObject({ shape: [3], data: Float32Array.of(5, 11, 17) });
  });
});
