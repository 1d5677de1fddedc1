import { expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { e } from "../../src/ir/expr.ts";
import { lower } from "../../src/lower/index.ts";
import { printKernelGraph } from "../../src/lower/print.ts";
import { TestGraph } from "../passes/helpers.ts";

test("the text of a small net", () => {
  const b = new TestGraph(1);
  const x = b.image("x", [1, 2, 4, 4]);
  const pooled = b.add("MaxPool", [x], { kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false }, "pool");
  const scaled = b.add("Map", [pooled, b.weight("scale", [2, 1, 1])], { expr: e.mul(e.input(0), e.max(e.input(1), 0)) }, "scale");
  const joined = b.add("Concat", [scaled, pooled], { axis: 1 }, "join");
  const mean = b.add("ReduceMean", [joined], { axes: [2, 3], keepdims: false }, "mean");
  b.output("y", b.add("Gemm", [mean, b.weight("w", [4, 3]), b.weight("b", [3])], { alpha: 1, beta: 1, transA: false, transB: false }, "fc"));
  expect(printKernelGraph(lower(b.finish(), targets["wasm-x64-plain"]))).toMatchInlineSnapshot(`
    "kernels of test for wasm-x64-plain: 10 kB, 1 kB of them for values that pass
      input x: float32[1, 2, 4, 4] at x@9344
      prepare scale@8704 = expand of scale: dense
      prepare b@8768 = expand of b: dense
      prepare wᵀ@8832 = expand of wᵀ: dense
      pool: pool~@9152 ⊃ f32-window(x@9344) {kind: max, channels: 2, inStride: 16, outStride: 16, taps: [0, 1, 4, 5], rowTaps: 2, region: {h: 2, w: 4, inPitch: 8, outPitch: 6}, columnStep: 2, border: {rows: 4, columns: 4, top: 0, left: 0, value: -Infinity, rowStep: 2, taps: [[0, 0], [0, 1], [1, 0], [1, 1]]}, scale: 1, multiplier: 1, bias: false, residual: false, activation: none} by {tile: {rows: 2, vectors: 1}, ahead: 0, shifts: false}
      pool: pool@9344 = x32-copy(pool~@9152) {dims: [{size: 1, strides: [32, 8]}, {size: 2, strides: [16, 4]}, {size: 2, strides: [6, 2]}, {size: 2, strides: [1, 1]}]}
      scale: join@9152 = f32-map(pool@9344, scale@8704) {dims: [{size: 2, strides: [4, 1, 4]}, {size: 2, strides: [2, 0, 2]}, {size: 2, strides: [1, 0, 1]}, {size: 1, strides: [0, 0, 0]}], expr: mul(x0, max(x1, 0)), inputs: [f32, f32], output: f32, domain: f32}
      join: join@9152+8 ⊃ x32-copy(pool@9344) {dims: [{size: 1, strides: [8, 16]}, {size: 2, strides: [4, 4]}, {size: 2, strides: [2, 2]}, {size: 2, strides: [1, 1]}]}
      mean: mean@9216 = f32-reduce(join@9152) {kept: [{size: 1, strides: [16, 4]}, {size: 4, strides: [4, 1]}], reduced: [{size: 2, strides: [2, 0]}, {size: 2, strides: [1, 0]}], inputs: 1, kind: sum, before: x0, after: div(x0, 4), integer: false} by {direction: scalar}
      fc: fc@9152 = f32-matvec(mean@9216, wᵀ@8832, b@8768) {m: 3, k: 4, rows: 1, bias: true, activation: none} by {filters: 1}
      output y: float32[1, 3] at fc@9152
    "
  `);
});
