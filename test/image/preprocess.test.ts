import { describe, expect, test } from "vitest";
import { image8, imageGeometry, parsePreprocessing, preprocess } from "../../src/image/index.ts";

const pixel = image8(1, 1, 3, Uint8Array.of(255, 0, 51));
const geometry = { channels: 3, height: 1, width: 1, layout: "NCHW" } as const;
const numbersFor = (spec: string) => [...preprocess(pixel, geometry, parsePreprocessing(spec))].map((v) => Number(v.toFixed(4)));

describe("preprocess", () => {
  test.each([
    ["tf", [1, -1, -0.6]],
    ["torch", [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]],
    ["caffe", [51 - 103.939, -116.779, 255 - 123.68]],
    ["none", [255, 0, 51]],
    ["none,bgr", [51, 0, 255]],
    ["mean=0,std=1", [1, 0, 0.2]],
    ["mean=0.5", [0.5, -0.5, -0.3]],
    ["std=0.5", [2, 0, 0.4]],
    ["mean=0.1,0.2,0.3,std=0.5,0.25,1", [1.8, -0.8, -0.1]],
    ["mean=0.1,0.2,0.3,std=1,bgr", [0.1, -0.2, 0.7]],
    ["torch,bgr", [(0.2 - 0.406) / 0.225, -0.456 / 0.224, (1 - 0.485) / 0.229]],
  ])("%s", (spec, expected) => {
    expect(numbersFor(spec)).toEqual(expected.map((v) => Number(v.toFixed(4))));
  });

  test.each(["", "keras", "mean=", "mean=1,2", "std=0", "mean=a,std=1", "mean=1std=1", "std=1,mean=1"])("rejects %o", (spec) => {
    expect(() => parsePreprocessing(spec)).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: "preprocess" }));
  });

  test("resizes, and puts channels first or last", () => {
    const image = image8(2, 1, 3, Uint8Array.of(0, 10, 20, 0, 10, 20));
    const spec = parsePreprocessing("none");
    expect([...preprocess(image, { ...geometry, width: 1, height: 2 }, spec)]).toEqual([0, 0, 10, 10, 20, 20]);
    expect([...preprocess(image, { ...geometry, width: 1, height: 2, layout: "NHWC" }, spec)]).toEqual([0, 10, 20, 0, 10, 20]);
  });

  test("gives nets of one channel luma and the mean of three means", () => {
    const gray = preprocess(pixel, { ...geometry, channels: 1 }, parsePreprocessing("mean=0,0.1,0.2,std=1"));
    expect(gray[0]).toBeCloseTo(82 / 255 - 0.1, 5);
  });
});

describe("imageGeometry", () => {
  test("tells channels first from channels last", () => {
    expect(imageGeometry([1, 3, 224, 192], "x")).toEqual({ channels: 3, height: 224, width: 192, layout: "NCHW" });
    expect(imageGeometry([1, 224, 192, 3], "x")).toEqual({ channels: 3, height: 224, width: 192, layout: "NHWC" });
    expect(imageGeometry([1, 28, 28], "x")).toEqual({ channels: 1, height: 28, width: 28, layout: "NCHW" });
  });

  test.each([[[1, 10]], [[1, 16, 8, 8]]])("rejects %o", (shape) => {
    expect(() => imageGeometry(shape, "x")).toThrow(expect.objectContaining({ code: "E_SHAPE_MISMATCH", at: "x" }));
  });
});
