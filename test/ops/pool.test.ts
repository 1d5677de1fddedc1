import { describe, expect, test } from "vitest";
import type { Tensor } from "../../src/ir/types.ts";
import { count, f, ints, noise, runOp, valuesOf } from "./run-op.ts";

const window = (kernel: readonly number[], more: Record<string, readonly number[] | boolean> = {}) => ({
  kernel,
  strides: kernel.map(() => 1),
  pads: kernel.flatMap(() => [0, 0]),
  dilations: kernel.map(() => 1),
  ceilMode: false,
  countIncludePad: false,
  ...more,
});

describe("MaxPool", () => {
  test("windows, strides, dilation", () => {
    expect(valuesOf("MaxPool", [count(1, 1, 3, 3)], window([2, 2]))).toEqual([5, 6, 8, 9]);
    expect(valuesOf("MaxPool", [count(1, 1, 4, 4)], window([2, 2], { strides: [2, 2] }))).toEqual([6, 8, 14, 16]);
    expect(valuesOf("MaxPool", [count(1, 1, 1, 4)], window([1, 2], { dilations: [1, 2] }))).toEqual([3, 4]);
  });
  test("padding never wins", () => {
    expect(valuesOf("MaxPool", [f([1, 1, 1, 2], [-3, -2])], window([1, 3], { pads: [0, 1, 0, 1] }))).toEqual([-2, -2]);
    expect(valuesOf("MaxPool", [f([1, 1, 1, 1], [-3])], window([1, 1], { pads: [0, 1, 0, 0] }))).toEqual([Number.NEGATIVE_INFINITY, -3]);
  });
  test("ceil mode adds a partial window, unless it starts beyond the input", () => {
    expect(valuesOf("MaxPool", [count(1, 1, 1, 4)], window([1, 3], { strides: [1, 2], ceilMode: true }))).toEqual([3, 4]);
    // (2 + 2 − 1) / 2 + 1 = 2.5 → 3 windows at −1, 1 and 3; the last starts in the padding behind the input
    expect(valuesOf("MaxPool", [count(1, 1, 1, 2)], window([1, 1], { strides: [1, 2], pads: [0, 1, 0, 1], ceilMode: true }))).toEqual([Number.NEGATIVE_INFINITY, 2]);
  });
  test("indices count through the whole input; the first of equals wins", () => {
    const [y, indices] = runOp("MaxPool", [f([1, 2, 1, 3], [5, 5, 1, 0, 2, 7])], window([1, 2], { withIndices: true }));
    expect([...(y as Tensor).data]).toEqual([5, 5, 2, 7]);
    expect([...(indices as Tensor).data]).toEqual([0n, 1n, 4n, 5n]);
  });
  test("bytes", () => {
    expect(runOp("MaxPool", [ints("uint8", [1, 1, 1, 3], [1, 255, 3])], window([1, 2]))[0]).toMatchObject({ dtype: "uint8", data: Uint8Array.of(255, 255) });
    expect(valuesOf("MaxPool", [ints("int8", [1, 1, 1, 3], [-1, -128, -3])], window([1, 2]))).toEqual([-1, -3]);
  });
  test("one and three dimensions", () => {
    expect(valuesOf("MaxPool", [count(1, 2, 3)], window([2]))).toEqual([2, 3, 5, 6]);
    expect(valuesOf("MaxPool", [count(1, 1, 2, 2, 2)], window([2, 2, 2]))).toEqual([8]);
  });
});

describe("AveragePool", () => {
  const x = count(1, 1, 1, 4);
  test("leaves padding out of the count, or not", () => {
    expect(valuesOf("AveragePool", [x], window([1, 2], { pads: [0, 1, 0, 1] }))).toEqual([1, 1.5, 2.5, 3.5, 4]);
    expect(valuesOf("AveragePool", [x], window([1, 2], { pads: [0, 1, 0, 1], countIncludePad: true }))).toEqual([0.5, 1.5, 2.5, 3.5, 2]);
  });
  test("never counts what ceil mode reaches beyond the padding", () => {
    // windows [1 2 3], [3 4 ·]
    expect(valuesOf("AveragePool", [x], window([1, 3], { strides: [1, 2], ceilMode: true, countIncludePad: true }))).toEqual([2, 3.5]);
    // padded 0 1 2 3 4 0: windows [0 1 2], [2 3 4], [4 0 ·]
    const padded = window([1, 3], { strides: [1, 2], pads: [0, 1, 0, 1], ceilMode: true });
    expect(valuesOf("AveragePool", [x], padded)).toEqual([1.5, 3, 4]);
    expect(valuesOf("AveragePool", [x], { ...padded, countIncludePad: true })).toEqual([1, 3, 2]);
  });
});

describe("global pooling", () => {
  test("keeps N and C", () => {
    expect(runOp("GlobalAveragePool", [count(1, 2, 2, 2)])[0]).toMatchObject({ shape: [1, 2, 1, 1], data: Float32Array.of(2.5, 6.5) });
    expect(runOp("GlobalMaxPool", [count(2, 1, 3)])[0]).toMatchObject({ shape: [2, 1, 1], data: Float32Array.of(3, 6) });
    expect(() => runOp("GlobalMaxPool", [count(2, 1)])).toThrow(/\[2, 1\]/);
  });
});

describe("gradients", () => {
  const attrs = window([3, 2], { strides: [2, 2], pads: [1, 0, 1, 1], dilations: [1, 2], ceilMode: true });
  const x = noise(1, 2, 3, 7, 6);

  test("MaxPoolGrad sends each gradient to the first largest element", () => {
    const y = f([1, 1, 1, 2], [5, 5]);
    expect(valuesOf("MaxPoolGrad", [f([1, 1, 1, 3], [5, 5, 1]), y, f([1, 1, 1, 2], [1, 10])], window([1, 2]))).toEqual([1, 10, 0]);
  });
  test.each([
    ["MaxPool", false],
    ["AveragePool", false],
    ["AveragePool", true],
  ] as const)("%s agrees with finite differences (countIncludePad %s)", (op, countIncludePad) => {
    const own = { ...attrs, countIncludePad };
    const y = runOp(op, [x], own)[0] as Tensor;
    const dy = noise(2, ...y.shape);
    const dx = op === "MaxPool" ? valuesOf("MaxPoolGrad", [x, y, dy], own) : valuesOf("AveragePoolGrad", [dy], { ...own, inputShape: x.shape });
    const loss = (data: Float32Array) => valuesOf(op, [f(x.shape, [...data])], own).reduce((sum, v, i) => sum + v * (dy.data[i] as number), 0);
    const h = 2 ** -12;
    for (const i of [0, 1, 17, 40, 83, 125, 200, 251]) {
      const [up, down] = [x.data.slice(), x.data.slice()];
      up[i] = (up[i] as number) + h;
      down[i] = (down[i] as number) - h;
      expect(dx[i]).toBeCloseTo((loss(up) - loss(down)) / (2 * h), 2);
    }
  });
});
