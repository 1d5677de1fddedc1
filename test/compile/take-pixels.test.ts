import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { compile } from "../../src/compile/index.ts";
import { type ImageInput, takePixels } from "../../src/compile/take-pixels.ts";
import { image8, imageGeometry, parsePreprocessing, preprocess } from "../../src/image/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { float32Tensor, tensorType } from "../../src/ir/types.ts";
import { lower } from "../../src/lower/index.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { optimize } from "../../src/passes/index.ts";
import { errorOf, expectSame } from "../lower/compare.ts";
import { runArtifact } from "../lower/run-compiled.ts";

const noise = (count: number, seed = 1) => Float32Array.from({ length: count }, (_, i) => Math.sin(seed + i * i));

/** A net of one convolution that takes [1, channels, 10, 12], or the same channels last. */
function net({ channels = 3, stride = 2, last = false } = {}): Graph {
  const b = new GraphBuilder("net");
  const x = b.input("image", tensorType("float32", last ? [1, 10, 12, channels] : [1, channels, 10, 12]));
  const planes = last ? b.add("Transpose", [x], { perm: [0, 3, 1, 2] }) : x;
  const w = b.constant("w", float32Tensor([5, channels, 3, 3], noise(45 * channels)));
  b.output("y", b.add("Conv", [planes, w], { strides: [stride, stride], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 }));
  return b.finish();
}

/** Waves over all of 0…255, alpha included. */
function pixels(h: number, w: number, channels: number): Uint8ClampedArray {
  const wave = (i: number, c: number) => 127.5 + 127.5 * Math.sin((9 * Math.floor(i / w)) / h + (5 * (i % w)) / w + c);
  return Uint8ClampedArray.from({ length: h * w * channels }, (_, i) => wave(Math.floor(i / channels), i % channels));
}

/** Pixels without alpha, as the host would bring them into the net's form. */
function reference(graph: Graph, data: Uint8ClampedArray, h: number, w: number, channels: number, spec: string): Float32Array {
  const rgb = Uint8Array.from({ length: h * w * 3 }, (_, i) => data[Math.floor(i / 3) * channels + (i % 3)] as number);
  const shape = graph.inputs[0]?.type.shape ?? [];
  return preprocess(image8(w, h, 3, rgb), imageGeometry(shape, "image"), parsePreprocessing(spec));
}

describe("takePixels", () => {
  const cases: readonly (ImageInput & { readonly what: string; readonly net?: Parameters<typeof net>[0]; readonly tolerance?: number })[] = [
    { what: "RGBA", preprocess: "torch" },
    { what: "RGB", preprocess: "tf", channels: 3 },
    { what: "B, G, R", preprocess: "caffe" },
    { what: "stride 1", preprocess: "torch", net: { stride: 1 } },
    { what: "stride 3", preprocess: "torch", net: { stride: 3 } },
    { what: "channels last", preprocess: "torch", net: { last: true } },
    { what: "one channel", preprocess: "mean=0.13,std=0.3", net: { channels: 1 }, tolerance: 5e-3 },
    { what: "larger pixels", preprocess: "torch", size: [37, 29], tolerance: 5e-3 },
    { what: "smaller pixels, one channel", preprocess: "tf", size: [7, 9], net: { channels: 1 }, tolerance: 2e-2 },
  ];

  test.each(cases)("$what: the net gives what it gives for preprocessed floats", async ({ net: kind, what: _, tolerance = 1e-5, ...image }) => {
    const graph = net(kind);
    const [h, w] = image.size ?? [10, 12];
    const { channels = 4 } = image;
    const data = pixels(h, w, channels);
    const floats = reference(graph, data, h, w, channels, image.preprocess as string);
    const expected = interpret(graph, { image: { dtype: "float32", shape: graph.inputs[0]?.type.shape ?? [], data: floats } }).outputs.get("y");
    const artifact = await compile(graph, { targets: ["wasm-x64-relaxed"], image });
    const actual = await runArtifact(artifact, { image: { dtype: "uint8", shape: [1, h, w, channels], data: Uint8Array.from(data) } }, "wasm-x64-relaxed");
    // 8-bit pixels in between are rounded where the host resizes or makes luma.
    expect(errorOf(actual.get("y"), expected as NonNullable<typeof expected>)).toBeLessThan(tolerance);
    expectSame(takePixels(graph, image), { image: { dtype: "uint8", shape: [1, h, w, channels], data: Uint8Array.from(data) } });
  });

  test("pixels go straight to the phases that a strided convolution reads", () => {
    const { calls } = lower(optimize(takePixels(net(), {})), targets["wasm-x64-relaxed"]);
    const names = calls.map((c) => c.template.name);
    expect([...new Set(names.slice(0, names.indexOf("f32-gemm")))]).toEqual(["x32-fill", "f32-from-bytes"]);
  });

  test("an input of bytes may also be used as numbers", () => {
    const b = new GraphBuilder("net");
    const x = b.input("x", tensorType("uint8", [1, 3, 5, 4]));
    b.output("planes", b.add("PixelsToPlanes", [x], { channels: [1], gain: [2], shift: [1] }));
    b.output("cast", b.add("Cast", [x], { to: "float32" }));
    b.output("same", x);
    expectSame(b.finish(), { x: { dtype: "uint8", shape: [1, 3, 5, 4], data: Uint8Array.from(pixels(3, 5, 4)) } });
  });

  test("what does not fit is said", () => {
    const codeOf = (image: ImageInput, graph = net()) => {
      try {
        takePixels(graph, image);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return undefined;
    };
    expect(codeOf({ input: "picture" })).toBe("E_INPUT_NAME");
    expect(codeOf({ preprocess: "imagenet" })).toBe("E_INVALID_OPTION");
    expect(codeOf({ size: [0, 5] })).toBe("E_INVALID_OPTION");
    expect(codeOf({}, net({ channels: 7 }))).toBe("E_SHAPE_MISMATCH");
    expect(codeOf({}, takePixels(net(), {}))).toBe("E_DTYPE_MISMATCH");
  });
});
