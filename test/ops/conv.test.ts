import { describe, expect, test } from "vitest";
import type { CadnnError } from "../../src/errors.ts";
import { relu } from "../../src/ir/activation.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { count, f, noise, runOp, valuesOf } from "./run-op.ts";

const conv2d = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };

describe("Conv", () => {
  test("sums over the window", () => {
    // [[1 2 3] [4 5 6] [7 8 9]] with [[1 0] [0 1]]: each element plus the one below to the right.
    expect(valuesOf("Conv", [count(1, 1, 3, 3), f([1, 1, 2, 2], [1, 0, 0, 1])], conv2d)).toEqual([6, 8, 12, 14]);
  });
  test("padding, stride, bias", () => {
    const y = valuesOf("Conv", [count(1, 1, 3, 3), f([1, 1, 3, 3], new Array(9).fill(1)), f([1], [100])], { ...conv2d, strides: [2, 2], pads: [1, 1, 1, 1] });
    expect(y).toEqual([112, 116, 124, 128]);
  });
  test("asymmetric padding and dilation", () => {
    const y = valuesOf("Conv", [count(1, 1, 1, 4), f([1, 1, 1, 2], [1, 10])], { ...conv2d, pads: [0, 2, 0, 1], dilations: [1, 3] });
    // padded 0 0 1 2 3 4 0; taps 3 apart
    expect(y).toEqual([20, 30, 41, 2]);
  });
  test("groups and several channels", () => {
    const x = f([1, 4, 1, 1], [1, 2, 3, 4]);
    const w = f([2, 2, 1, 1], [1, 10, 100, 1000]);
    expect(valuesOf("Conv", [x, w], { ...conv2d, group: 2 })).toEqual([21, 4300]);
    expect(valuesOf("Conv", [f([1, 2, 1, 2], [1, 2, 3, 4]), f([1, 2, 1, 1], [1, 10])], conv2d)).toEqual([31, 42]);
  });
  test("one and three spatial dimensions", () => {
    expect(valuesOf("Conv", [count(1, 1, 4), f([1, 1, 2], [1, -1])], { strides: [1], pads: [0, 0], dilations: [1], group: 1 })).toEqual([-1, -1, -1]);
    const cube = valuesOf("Conv", [count(1, 1, 2, 2, 2), f([1, 1, 2, 2, 2], new Array(8).fill(1))], {
      strides: [1, 1, 1],
      pads: new Array(6).fill(0),
      dilations: [1, 1, 1],
      group: 1,
    });
    expect(cube).toEqual([36]);
  });
  test("FusedConv adds the residual, then activates", () => {
    const attrs = { ...conv2d, activation: relu };
    expect(valuesOf("FusedConv", [f([1, 1, 1, 3], [1, -2, 3]), f([1, 1, 1, 1], [2]), f([1], [1]), f([1, 1, 1, 3], [-10, 5, 0])], attrs)).toEqual([0, 2, 7]);
    expect(valuesOf("FusedConv", [f([1, 1, 1, 3], [1, -2, 3]), f([1, 1, 1, 1], [2]), undefined, undefined], attrs)).toEqual([2, 0, 6]);
  });
  test("rejects what does not fit", () => {
    const code = (act: () => unknown) => {
      try {
        act();
      } catch (error) {
        return (error as CadnnError).code;
      }
      return undefined;
    };
    expect(code(() => runOp("Conv", [count(1, 3, 3, 3), count(1, 1, 2, 2)], conv2d))).toBe("E_SHAPE_MISMATCH");
    expect(code(() => runOp("Conv", [count(1, 1, 3, 3), count(1, 1, 4, 4)], conv2d))).toBe("E_SHAPE_MISMATCH");
    expect(code(() => runOp("Conv", [count(1, 1, 3, 3), count(1, 1, 2, 2)], { ...conv2d, strides: [1] }))).toBe("E_INVALID_ATTRIBUTE");
    expect(code(() => runOp("Conv", [count(1, 1, 3, 3)], conv2d))).toBe("E_INVALID_GRAPH");
  });
});

describe("ConvTranspose", () => {
  const attrs = { ...conv2d, outputPadding: [0, 0] };
  test("spreads each input over the kernel", () => {
    expect(valuesOf("ConvTranspose", [f([1, 1, 1, 2], [1, 2]), f([1, 1, 1, 3], [1, 10, 100]), f([1], [0.5])], attrs)).toEqual([1.5, 12.5, 120.5, 200.5]);
  });
  test("stride, pads and output padding", () => {
    const y = runOp("ConvTranspose", [f([1, 1, 1, 2], [1, 2]), f([1, 1, 1, 3], [1, 10, 100])], {
      ...attrs,
      strides: [1, 2],
      pads: [0, 1, 0, 0],
      outputPadding: [0, 1],
    })[0] as Tensor;
    // 1 10 100+2 20 200, one cut off in front, one 0 behind
    expect([...y.data]).toEqual([10, 102, 20, 200, 0]);
  });
  test("groups map [C, M / groups] weights", () => {
    expect(valuesOf("ConvTranspose", [f([1, 2, 1, 1], [1, 2]), f([2, 2, 1, 1], [1, 10, 100, 1000])], { ...attrs, group: 2 })).toEqual([1, 10, 200, 2000]);
  });
});

describe("gradients of Conv", () => {
  /** Convolution is linear in x and in w: ⟨Conv(x, w), dy⟩ = ⟨x, ConvGradInput(dy, w)⟩ = ⟨w, ConvGradWeight(x, dy)⟩. */
  const dot = (a: Tensor, b: Tensor) => Array.from(a.data, Number).reduce((sum, v, i) => sum + v * Number(b.data[i]), 0);
  const cases = [
    { x: [2, 3, 7, 5], w: [4, 3, 3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 },
    { x: [1, 4, 8, 7], w: [6, 2, 3, 2], strides: [2, 3], pads: [0, 1, 2, 0], dilations: [2, 1], group: 2 },
    { x: [2, 5, 6, 6], w: [5, 1, 5, 5], strides: [2, 2], pads: [2, 2, 2, 2], dilations: [1, 1], group: 5 },
    { x: [1, 2, 4, 3, 5], w: [3, 2, 2, 1, 3], strides: [1, 2, 1], pads: [0, 0, 1, 0, 0, 1], dilations: [1, 1, 2], group: 1 },
  ];
  test.each(cases)("are its adjoints: $x by $w", ({ x: inputShape, w: weightShape, ...attrs }) => {
    const x = noise(1, ...inputShape);
    const w = noise(2, ...weightShape);
    const y = runOp("Conv", [x, w], attrs)[0] as Tensor;
    const dy = noise(3, ...y.shape);
    const dx = runOp("ConvGradInput", [dy, w], { ...attrs, inputShape })[0] as Tensor;
    const dw = runOp("ConvGradWeight", [x, dy], { ...attrs, weightShape })[0] as Tensor;
    expect(dx.shape).toEqual(inputShape);
    expect(dw.shape).toEqual(weightShape);
    expect(dot(x, dx)).toBeCloseTo(dot(y, dy), 3);
    expect(dot(w, dw)).toBeCloseTo(dot(y, dy), 3);
  });
});
