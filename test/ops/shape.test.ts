import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elementCount } from "../../src/ir/types.ts";
import { count, f, ints, runOp, valuesOf } from "./run-op.ts";

describe("Concat and Split", () => {
  test("inner and outer axes, any type", () => {
    expect(valuesOf("Concat", [count(2, 1), f([2, 2], [7, 8, 9, 10])], { axis: 1 })).toEqual([1, 7, 8, 2, 9, 10]);
    expect(runOp("Concat", [ints("int64", [1], [1]), ints("int64", [2], [2, 3])], { axis: 0 })[0]).toMatchObject({ shape: [3], data: BigInt64Array.of(1n, 2n, 3n) });
    expect(valuesOf("Concat", [count(0, 2), count(1, 2)], { axis: 0 })).toEqual([1, 2]);
  });
  test("rejects what does not fit", () => {
    expect(() => runOp("Concat", [count(2, 1), count(3, 1)], { axis: 1 })).toThrow(expect.objectContaining({ code: "E_SHAPE_MISMATCH" }));
    expect(() => runOp("Concat", [count(1), ints("int32", [1], [1])], { axis: 0 })).toThrow(expect.objectContaining({ code: "E_DTYPE_MISMATCH" }));
    expect(() => runOp("Split", [count(4)], { axis: 0, sizes: [1, 2] })).toThrow(/sizes \[1, 2\]/);
  });
  test("Split undoes Concat", () => {
    const pieces = runOp("Split", [count(2, 5)], { axis: 1, sizes: [2, 0, 3] });
    expect(pieces.map((t) => [...t.data])).toEqual([[1, 2, 6, 7], [], [3, 4, 5, 8, 9, 10]]);
    expect(valuesOf("Concat", pieces, { axis: 1 })).toEqual([...count(2, 5).data]);
  });
});

describe("Slice", () => {
  test("starts, steps, negative steps", () => {
    expect(valuesOf("Slice", [count(3, 4)], { starts: [1, 0], sizes: [2, 2], steps: [1, 2] })).toEqual([5, 7, 9, 11]);
    expect(valuesOf("Slice", [count(2, 3)], { starts: [1, 2], sizes: [2, 3], steps: [-1, -1] })).toEqual([6, 5, 4, 3, 2, 1]);
    expect(valuesOf("Slice", [count(3)], { starts: [3], sizes: [0], steps: [1] })).toEqual([]);
    expect(() => runOp("Slice", [count(3)], { starts: [1], sizes: [3], steps: [1] })).toThrow(expect.objectContaining({ code: "E_INVALID_ATTRIBUTE" }));
  });
});

describe("Reshape, Transpose, Expand, Gather", () => {
  test("Reshape keeps the order", () => {
    expect(runOp("Reshape", [count(2, 3)], { shape: [3, 2] })[0]).toMatchObject({ shape: [3, 2], data: count(6).data });
    expect(() => runOp("Reshape", [count(2, 3)], { shape: [4] })).toThrow(/\[2, 3\] to \[4\]/);
  });
  test("Transpose", () => {
    expect(runOp("Transpose", [count(2, 3)], { perm: [1, 0] })[0]).toMatchObject({ shape: [3, 2], data: Float32Array.of(1, 4, 2, 5, 3, 6) });
    expect(() => runOp("Transpose", [count(2, 3)], { perm: [0, 0] })).toThrow(/perm/);
  });
  test("transposing there and back changes nothing", () => {
    const cases = fc
      .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 })
      .chain((shape) => fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length, maxLength: shape.length })));
    fc.assert(
      fc.property(cases, ([shape, perm]) => {
        const there = runOp("Transpose", [count(...shape)], { perm });
        const back = runOp("Transpose", there, { perm: perm.map((_, d) => perm.indexOf(d)) });
        expect(back[0]).toEqual(count(...shape));
      }),
    );
  });
  test("Expand", () => {
    expect(runOp("Expand", [count(2, 1)], { shape: [2, 1, 3] })[0]).toMatchObject({ shape: [2, 2, 3], data: Float32Array.of(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2) });
    expect(runOp("Expand", [ints("bool", [1], [1])], { shape: [2] })[0]?.data).toEqual(Uint8Array.of(1, 1));
  });
  test("Gather", () => {
    expect(runOp("Gather", [count(2, 3), ints("int64", [2, 1], [2, -3])], { axis: 1 })[0]).toMatchObject({ shape: [2, 2, 1], data: Float32Array.of(3, 1, 6, 4) });
    expect(valuesOf("Gather", [count(2, 2), ints("int32", [], [1])], { axis: 0 })).toEqual([3, 4]);
    expect(() => runOp("Gather", [count(2), ints("int32", [], [2])], { axis: 0 })).toThrow(/index 2/);
  });
});

describe("DepthToSpace and SpaceToDepth", () => {
  const x = f([1, 8, 1, 1], [0, 1, 2, 3, 4, 5, 6, 7]);
  test("DCR: block in the outer part of the channel index", () => {
    expect(runOp("DepthToSpace", [x], { blocksize: 2, mode: "DCR" })[0]).toMatchObject({ shape: [1, 2, 2, 2], data: Float32Array.of(0, 2, 4, 6, 1, 3, 5, 7) });
  });
  test("CRD: in the inner part", () => {
    expect(valuesOf("DepthToSpace", [x], { blocksize: 2, mode: "CRD" })).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
  test("SpaceToDepth undoes DCR", () => {
    const y = runOp("DepthToSpace", [count(2, 18, 2, 3)], { blocksize: 3, mode: "DCR" });
    expect(runOp("SpaceToDepth", y, { blocksize: 3 })[0]).toEqual(count(2, 18, 2, 3));
    expect(() => runOp("SpaceToDepth", [x], { blocksize: 2 })).toThrow(/blocks/);
  });
});

describe("Pad", () => {
  const pad = (pads: readonly number[], mode: string, value = 0) => ({ pads, mode, value });
  const row = count(4);
  test.each([
    ["constant", [9, 9, 9, 1, 2, 3, 4, 9, 9]],
    ["edge", [1, 1, 1, 1, 2, 3, 4, 4, 4]],
    ["reflect", [4, 3, 2, 1, 2, 3, 4, 3, 2]],
    ["wrap", [2, 3, 4, 1, 2, 3, 4, 1, 2]],
  ])("%s", (mode, expected) => {
    expect(valuesOf("Pad", [row], pad([3, 2], mode, 9))).toEqual(expected);
  });
  test("reflect and wrap more than once around", () => {
    expect(valuesOf("Pad", [count(2)], pad([0, 4], "reflect"))).toEqual([1, 2, 1, 2, 1, 2]);
    expect(valuesOf("Pad", [count(1)], pad([1, 2], "reflect"))).toEqual([1, 1, 1, 1]);
    expect(valuesOf("Pad", [count(3)], pad([5, 0], "wrap"))).toEqual([2, 3, 1, 2, 3, 1, 2, 3]);
  });
  test("several dimensions; negative pads crop", () => {
    expect(valuesOf("Pad", [count(2, 2)], pad([1, 0, 0, 1], "constant"))).toEqual([0, 0, 0, 1, 2, 0, 3, 4, 0]);
    expect(valuesOf("Pad", [count(2, 3)], pad([0, -1, 0, -1], "constant"))).toEqual([2, 5]);
    expect(() => runOp("Pad", [row], pad([-3, -3], "constant"))).toThrow(expect.objectContaining({ code: "E_INVALID_ATTRIBUTE" }));
  });
  test("other types", () => {
    expect(runOp("Pad", [ints("int64", [1], [5])], pad([1, 0], "constant", 7))[0]?.data).toEqual(BigInt64Array.of(7n, 5n));
  });
  test("cropping undoes padding", () => {
    const cases = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(3), fc.nat(3)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(cases, fc.constantFrom("constant", "edge", "reflect", "wrap"), (dims, mode) => {
        const x = count(...dims.map(([extent]) => extent));
        const pads = [...dims.map(([, begin]) => begin), ...dims.map(([, , end]) => end)];
        const y = runOp("Pad", [x], pad(pads, mode));
        expect(y[0]?.data.length).toBe(elementCount(dims.map(([extent, begin, end]) => extent + begin + end)));
        expect(
          runOp(
            "Pad",
            y,
            pad(
              pads.map((p) => -p),
              "constant",
            ),
          )[0],
        ).toEqual(x);
      }),
    );
  });
});
