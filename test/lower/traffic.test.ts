import { expect, test } from "vitest";
import { layerGraph, parseShape } from "../../bench/shapes.ts";
import { targets } from "../../src/codegen/target.ts";
import { lower } from "../../src/lower/index.ts";
import { trafficOf } from "../../src/lower/traffic.ts";

const trafficOfLayer = (line: string, sparsity = 0) => {
  const { calls } = lower(layerGraph(parseShape(`1 ${line} # layer`), { sparsity, blockRows: 1 }), targets["wasm-arm64-relaxed"]);
  return calls.map((call) => ({ kernel: call.template.name, ...trafficOf(call) })).find(({ kernel }) => kernel.startsWith("f32-"));
};

test("a pointwise convolution reads its planes and its residual, and writes its output", () => {
  const traffic = trafficOfLayer("conv 64x32x1x1 of 32 channels 28x28 stride 1x1 pads 0,0,0,0 bias residual relu");
  expect(traffic).toMatchObject({ written: 4 * 64 * 784 });
  expect(traffic?.read).toBeGreaterThanOrEqual(4 * (32 + 64) * 784);
  expect(traffic?.read).toBeLessThan(4.1 * (32 + 64) * 800);
  expect(traffic?.weights).toBeGreaterThanOrEqual(4 * (64 * 32 + 64));
});

test("a sparse product walks its weights once a tile, and comes back to one pass of channels", () => {
  const traffic = trafficOfLayer("conv 256x256x3x3 of 256 channels 14x14 stride 1x1 pads 1,1,1,1 bias relu", 0.9);
  expect(traffic?.kernel).toBe("f32-spmm");
  expect(traffic?.walks).toBeGreaterThan(1);
  expect(traffic?.tile).toBeLessThanOrEqual(targets["wasm-arm64-relaxed"].l1Bytes);
  expect(traffic?.weights).toBeLessThan(4 * 256 * 256 * 9);
});

test("a depthwise convolution comes back to a few rows", () => {
  const traffic = trafficOfLayer("conv 96x1x3x3 of 96 channels 56x56 stride 1x1 pads 1,1,1,1 bias relu6");
  expect(traffic).toMatchObject({ kernel: "f32-window", walks: 1, written: 4 * 96 * 56 * 56 });
  expect(traffic?.tile).toBeLessThan(32768);
});
