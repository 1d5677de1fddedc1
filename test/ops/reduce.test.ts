import { describe, expect, test } from "vitest";
import { count, f, ints, runOp, valuesOf } from "./run-op.ts";

const { sqrt, log, exp } = Math;

describe("reductions", () => {
  const x = f([2, 3], [1, -2, 3, 4, 5, -6]);
  const rows = { axes: [1], keepdims: false };
  test.each([
    ["ReduceSum", [2, 3]],
    ["ReduceMean", [2 / 3, 1]],
    ["ReduceMax", [3, 5]],
    ["ReduceMin", [-2, -6]],
    ["ReduceProd", [-6, -120]],
    ["ReduceL1", [6, 15]],
    ["ReduceL2", [sqrt(14), sqrt(77)]],
    ["ReduceSumSquare", [14, 77]],
    ["ReduceLogSum", [log(2), log(3)]],
    ["ReduceLogSumExp", [log(exp(1) + exp(-2) + exp(3)), log(exp(4) + exp(5) + exp(-6))]],
  ])("%s", (op, expected) => {
    expect(valuesOf(op, [x], rows)).toEqual(expected.map(Math.fround));
  });
  test("axes and keepdims", () => {
    expect(runOp("ReduceSum", [count(2, 3, 2)], { axes: [0, 2], keepdims: true })[0]).toMatchObject({ shape: [1, 3, 1], data: Float32Array.of(18, 26, 34) });
    expect(runOp("ReduceSum", [count(2, 3)], { axes: [0, 1], keepdims: false })[0]).toMatchObject({ shape: [], data: Float32Array.of(21) });
    expect(valuesOf("ReduceMax", [count(2, 2)], { axes: [], keepdims: true })).toEqual([1, 2, 3, 4]);
    expect(() => runOp("ReduceSum", [x], { axes: [2], keepdims: true })).toThrow(expect.objectContaining({ code: "E_INVALID_ATTRIBUTE" }));
  });
  test("nothing to reduce", () => {
    const empty = f([2, 0], []);
    expect(valuesOf("ReduceSum", [empty], rows)).toEqual([0, 0]);
    expect(valuesOf("ReduceProd", [empty], rows)).toEqual([1, 1]);
    expect(valuesOf("ReduceMax", [empty], rows)).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(valuesOf("ReduceLogSumExp", [empty], rows)).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });
  test("LogSumExp does not overflow", () => {
    expect(valuesOf("ReduceLogSumExp", [f([1, 2], [1000, 1000])], rows)).toEqual([Math.fround(1000 + log(2))]);
    expect(valuesOf("ReduceLogSumExp", [f([1, 2], [-1000, -1000])], rows)).toEqual([Math.fround(-1000 + log(2))]);
  });
  test("integers and bool", () => {
    expect(runOp("ReduceSum", [ints("int64", [2], [3, 4])], { axes: [0], keepdims: true })[0]).toMatchObject({ dtype: "int64", data: BigInt64Array.of(7n) });
    expect(valuesOf("ReduceMean", [ints("int32", [2], [3, 4])], { axes: [0], keepdims: true })).toEqual([3]);
    expect(runOp("ReduceMax", [ints("bool", [2], [0, 1])], { axes: [0], keepdims: true })[0]).toMatchObject({ dtype: "bool", data: Uint8Array.of(1) });
  });
});

describe("ArgMax and ArgMin", () => {
  const x = f([2, 3], [1, 5, 5, -1, -1, 0]);
  test("first or last of equals", () => {
    expect(runOp("ArgMax", [x], { axis: 1, keepdims: true, selectLast: false })[0]).toMatchObject({ dtype: "int64", shape: [2, 1], data: BigInt64Array.of(1n, 2n) });
    expect(valuesOf("ArgMax", [x], { axis: 1, keepdims: false, selectLast: true })).toEqual([2, 2]);
    expect(valuesOf("ArgMin", [x], { axis: 1, keepdims: false, selectLast: false })).toEqual([0, 0]);
    expect(valuesOf("ArgMin", [x], { axis: 1, keepdims: false, selectLast: true })).toEqual([0, 1]);
  });
  test("other axes", () => {
    expect(valuesOf("ArgMax", [x], { axis: 0, keepdims: false, selectLast: false })).toEqual([0, 0, 0]);
    expect(valuesOf("ArgMin", [x], { axis: 0, keepdims: false, selectLast: false })).toEqual([1, 1, 1]);
  });
});

describe("Softmax", () => {
  test("along any axis", () => {
    const y = valuesOf("Softmax", [f([2, 2], [0, log(3), 0, 0])], { axis: 1 });
    [0.25, 0.75, 0.5, 0.5].forEach((v, i) => {
      expect(y[i]).toBeCloseTo(v, 6);
    });
    const columns = valuesOf("Softmax", [f([2, 2], [0, 0, log(3), 0])], { axis: 0 });
    [0.25, 0.5, 0.75, 0.5].forEach((v, i) => {
      expect(columns[i]).toBeCloseTo(v, 6);
    });
  });
  test("large logits", () => {
    expect(valuesOf("Softmax", [f([1, 2], [1000, -1000])], { axis: 1 })).toEqual([1, 0]);
    expect(valuesOf("LogSoftmax", [f([1, 2], [1000, -1000])], { axis: 1 })).toEqual([0, -2000]);
  });
  test("SoftmaxCrossEntropy averages over examples", () => {
    const [loss, probabilities] = runOp("SoftmaxCrossEntropy", [f([2, 2], [0, log(3), 0, 0]), ints("int32", [2], [1, 0])]);
    expect(loss?.shape).toEqual([]);
    expect(Number(loss?.data[0])).toBeCloseTo(-(log(0.75) + log(0.5)) / 2, 6);
    expect(Number(probabilities?.data[1])).toBeCloseTo(0.75, 6);
    expect(() => runOp("SoftmaxCrossEntropy", [count(1, 2), ints("int32", [1], [2])])).toThrow(/label 2 of example 0/);
  });
});
