import { describe, expect, test } from "vitest";
import type { Tensor } from "../../src/ir/types.ts";
import { count, f, noise, runOp, valuesOf } from "./run-op.ts";

const close = (actual: readonly number[], expected: readonly number[], digits = 5) => {
  expect(actual.length).toBe(expected.length);
  actual.forEach((v, i) => {
    expect(v).toBeCloseTo(expected[i] as number, digits);
  });
};

describe("BatchNormalization", () => {
  test("a scale and a shift for each channel", () => {
    const y = valuesOf("BatchNormalization", [count(2, 2, 1), f([2], [2, 1]), f([2], [10, 0]), f([2], [1, 2]), f([2], [3, 0])], { epsilon: 1 });
    expect(y).toEqual([10, 0, 12, 2]);
    expect(() => runOp("BatchNormalization", [count(2, 2), count(3), count(2), count(2), count(2)], { epsilon: 1 })).toThrow(/input 1 has shape \[3\]/);
  });
  test("training: statistics of the batch", () => {
    const [y, mean, variance] = runOp("BatchNormTraining", [f([2, 1, 2], [1, 2, 3, 6]), f([1], [2]), f([1], [1])], { epsilon: 0.5 }) as [Tensor, Tensor, Tensor];
    expect([...mean.data]).toEqual([3]);
    expect([...variance.data]).toEqual([3.5]);
    close(Array.from(y.data, Number), [-1, 0, 1, 4]);
  });
  test("its gradient agrees with finite differences", () => {
    const epsilon = 1e-3;
    const [x, scale, bias] = [noise(1, 3, 2, 4), noise(2, 2), noise(3, 2)];
    const [y, mean, variance] = runOp("BatchNormTraining", [x, scale, bias], { epsilon }) as [Tensor, Tensor, Tensor];
    const dy = noise(4, ...y.shape);
    const gradients = runOp("BatchNormGrad", [x, dy, scale, mean, variance], { epsilon });
    const inputs = [x, scale, bias];
    const loss = (tensors: readonly Tensor[]) => valuesOf("BatchNormTraining", tensors, { epsilon }).reduce((sum, v, i) => sum + v * (dy.data[i] as number), 0);
    const h = 2 ** -8;
    inputs.forEach((tensor, k) => {
      const numeric = Array.from(tensor.data, (_, i) => {
        const shifted = (d: number) => inputs.with(k, { ...tensor, data: tensor.data.with(i, (tensor.data[i] as number) + d) });
        return (loss(shifted(h)) - loss(shifted(-h))) / (2 * h);
      });
      close(Array.from((gradients[k] as Tensor).data, Number), numeric, 3);
    });
  });
});

describe("LRN", () => {
  test("sums squares over neighbouring channels", () => {
    const y = valuesOf("LRN", [f([1, 4, 1, 1], [1, 2, 3, 4])], { alpha: 3, beta: 1, bias: 1, size: 3 });
    close(y, [1 / (1 + 5), 2 / (1 + 14), 3 / (1 + 29), 4 / (1 + 25)]);
  });
  test("even sizes reach one further up", () => {
    close(valuesOf("LRN", [f([1, 3, 1], [1, 2, 3])], { alpha: 2, beta: 1, bias: 0, size: 2 }), [1 / 5, 2 / 13, 3 / 9]);
  });
});

test("InstanceNormalization treats each plane alone", () => {
  const y = valuesOf("InstanceNormalization", [f([1, 2, 2], [1, 3, 10, 10]), f([2], [2, 1]), f([2], [0, 5])], { epsilon: 0 + 1e-12 });
  close(y, [-2, 2, 5, 5]);
});

describe("LayerNormalization", () => {
  test("over the last dimensions, scale and bias broadcast", () => {
    close(valuesOf("LayerNormalization", [f([2, 2], [1, 3, 10, 14]), f([2], [1, 2]), f([2], [0, 1])], { axis: 1, epsilon: 1e-12 }), [-1, 3, -1, 3]);
    close(valuesOf("LayerNormalization", [f([1, 2, 2], [0, 0, 2, 2]), f([2, 2], [1, 1, 1, 1]), undefined], { axis: 1, epsilon: 1e-12 }), [-1, -1, 1, 1]);
    expect(() => runOp("LayerNormalization", [count(2, 2), count(3)], { axis: 1, epsilon: 1 })).toThrow(expect.objectContaining({ code: "E_SHAPE_MISMATCH" }));
  });
});
