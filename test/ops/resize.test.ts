import { describe, expect, test } from "vitest";
import { type ResizeAttrs, resizeTaps } from "../../src/ops/resize.ts";
import { count, f, runOp, valuesOf } from "./run-op.ts";

const resize = (input: readonly number[], sizes: readonly number[], more: Partial<ResizeAttrs> = {}): ResizeAttrs => ({
  sizes,
  scales: sizes.map((size, d) => size / (input[d] as number)),
  mode: "linear",
  coordinateMode: "half_pixel",
  nearestMode: "round_prefer_floor",
  cubicCoeff: -0.75,
  excludeOutside: false,
  extrapolationValue: 0,
  roi: [],
  antialias: false,
  ...more,
});
const close = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual.length).toBe(expected.length);
  actual.forEach((v, i) => {
    expect(v).toBeCloseTo(expected[i] as number, 5);
  });
};

describe("nearest", () => {
  const up = (more: Partial<ResizeAttrs>) => valuesOf("Resize", [count(3)], resize([3], [6], { mode: "nearest", ...more }));
  test("coordinates and roundings", () => {
    expect(up({ coordinateMode: "asymmetric", nearestMode: "floor" })).toEqual([1, 1, 2, 2, 3, 3]);
    expect(up({ coordinateMode: "asymmetric", nearestMode: "ceil" })).toEqual([1, 2, 2, 3, 3, 3]);
    expect(up({ coordinateMode: "asymmetric", nearestMode: "round_prefer_floor" })).toEqual([1, 1, 2, 2, 3, 3]);
    expect(up({ coordinateMode: "asymmetric", nearestMode: "round_prefer_ceil" })).toEqual([1, 2, 2, 3, 3, 3]);
    expect(up({})).toEqual([1, 1, 2, 2, 3, 3]);
  });
  test("two dimensions, upsampling by whole factors repeats", () => {
    const attrs = resize([1, 1, 2, 2], [1, 1, 4, 4], { mode: "nearest", coordinateMode: "asymmetric", nearestMode: "floor" });
    expect(valuesOf("Resize", [count(1, 1, 2, 2)], attrs)).toEqual([1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
  });
});

describe("linear", () => {
  test("half_pixel clamps at the edges", () => {
    close(valuesOf("Resize", [f([2], [1, 3])], resize([2], [4])), [1, 1.5, 2.5, 3]);
  });
  test("align_corners keeps the outermost elements", () => {
    close(valuesOf("Resize", [f([2], [1, 4])], resize([2], [4], { coordinateMode: "align_corners" })), [1, 2, 3, 4]);
  });
  test("asymmetric", () => {
    close(valuesOf("Resize", [f([2], [1, 3])], resize([2], [4], { coordinateMode: "asymmetric" })), [1, 2, 3, 3]);
  });
  test("pytorch_half_pixel takes the first element for one", () => {
    close(valuesOf("Resize", [count(5)], resize([5], [1], { coordinateMode: "pytorch_half_pixel" })), [1]);
    close(valuesOf("Resize", [count(5)], resize([5], [1])), [3]);
  });
  test("half_pixel_symmetric stays centred where the scale is not exact", () => {
    // 4 · 0.6 = 2.4 → 2: the pixels lie symmetrically about the centre 1.5
    close(valuesOf("Resize", [count(4)], resize([4], [2], { scales: [0.6], coordinateMode: "half_pixel_symmetric" })), [2.5 - 1 / 1.2, 2.5 + 1 / 1.2]);
  });
  test("tf_crop_and_resize extrapolates outside", () => {
    const attrs = resize([3], [3], { coordinateMode: "tf_crop_and_resize", roi: [0.5, 1.5], extrapolationValue: -9 });
    close(valuesOf("Resize", [count(3)], attrs), [2, 3, -9]);
  });
  test("is separable", () => {
    close(valuesOf("Resize", [f([1, 1, 2, 2], [0, 2, 4, 6])], resize([1, 1, 2, 2], [1, 1, 3, 3], { coordinateMode: "align_corners" })), [0, 1, 2, 2, 3, 4, 4, 5, 6]);
  });
  test("antialias averages all that an output stands for", () => {
    // scale ½: triangle of half width 2 around 0.5: distances −0.25 … weights ∝ (·, 0.75, 0.75, 0.25)
    const [first] = resizeTaps(0, 4, resize([4], [2], { antialias: true }));
    close(first?.weights ?? [], [0.125, 0.375, 0.375, 0.125]);
    close(valuesOf("Resize", [count(4)], resize([4], [2], { antialias: true, excludeOutside: true })), [
      (0.375 * 1 + 0.375 * 2 + 0.125 * 3) / 0.875,
      (0.125 * 2 + 0.375 * 3 + 0.375 * 4) / 0.875,
    ]);
  });
});

describe("cubic", () => {
  test("weights at a quarter", () => {
    const taps = resizeTaps(0, 4, resize([4], [8], { mode: "cubic" }));
    // output 3 lies at 1.25
    close(taps[3]?.weights ?? [], [-0.10546875, 0.87890625, 0.26171875, -0.03515625]);
    expect(taps[3]?.first).toBe(0);
  });
  test("keeps straight lines and constants", () => {
    const y = valuesOf("Resize", [f([6], [5, 5, 5, 5, 5, 5])], resize([6], [13], { mode: "cubic" }));
    close(y, new Array(13).fill(5));
    close(valuesOf("Resize", [f([2], [5, 5])], resize([2], [5], { mode: "cubic", excludeOutside: true })), new Array(5).fill(5));
  });
});

test("attributes are checked", () => {
  expect(() => runOp("Resize", [count(2)], { ...resize([2], [4]), scales: [2, 2] })).toThrow(expect.objectContaining({ code: "E_INVALID_ATTRIBUTE" }));
  expect(() => runOp("Resize", [count(2)], { ...resize([2], [4]), coordinateMode: "other" })).toThrow(/coordinateMode other/);
});
