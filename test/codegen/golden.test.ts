import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { disassemble } from "../../src/codegen/wasm/disassemble.ts";
import { ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { noActivation, relu } from "../../src/ir/activation.ts";
import { e } from "../../src/ir/expr.ts";
import { emitKernel } from "../../src/kernels/emit.ts";
import type { KernelTemplate } from "../../src/kernels/kernel.ts";
import { f32Gemm } from "../../src/kernels/wasm/f32-gemm.ts";
import { f32Map } from "../../src/kernels/wasm/f32-map.ts";
import { f32Spmm } from "../../src/kernels/wasm/f32-spmm.ts";
import { f32Window } from "../../src/kernels/wasm/f32-window.ts";

function textOf<P, C>(template: KernelTemplate<P, C>, problem: P, wanted: (choice: C) => boolean): string {
  const target = targets["wasm-x64-relaxed"];
  const choice = template.choices(problem, target).find(wanted);
  if (choice === undefined) throw new Error(`${template.name} has no such choice`);
  const builder = new ModuleBuilder();
  builder.export(template.name, emitKernel(builder, target, template, problem, choice));
  return disassemble(builder.finish({ import: ["env", "memory"], pages: 1 }).bytes);
}

const compact = { h: 1, w: 196, inPitch: 0, outPitch: 0 };

/** A change of a kernel shows here as a change of its text; `npx vitest run test/codegen -u` accepts it. */
describe("text of kernels", () => {
  test("f32-gemm, 4 filters × 2 vectors, 1×1", async () => {
    const shared = { channels: 24, channelStride: 196, taps: [0], region: compact, outStride: 196, bias: true, residual: false, activation: relu };
    const text = textOf(f32Gemm, { m: 8, weights: { kind: "packed" }, ...shared }, (c) => c.filters === 4 && c.tile.vectors === 2);
    await expect(text).toMatchFileSnapshot("golden/f32-gemm-4x2.txt");
  });

  test("f32-spmm, 8 vectors, groups of 4", async () => {
    const problem = {
      m: 8,
      nonZeros: 40,
      channels: 24,
      channelStride: 196,
      taps: [0],
      block: 1 as const,
      region: compact,
      outStride: 196,
      bias: true,
      residual: true,
      activation: relu,
    };
    const text = textOf(f32Spmm, problem, (c) => c.tile.vectors === 8 && c.group === 4);
    await expect(text).toMatchFileSnapshot("golden/f32-spmm-8.txt");
  });

  test("f32-window, depthwise 3×3, 4 rows", async () => {
    const region = { h: 8, w: 8, inPitch: 10, outPitch: 8 };
    const taps = [0, 1, 2, 10, 11, 12, 20, 21, 22];
    const sizes = { channels: 16, inStride: 100, outStride: 64, columnStep: 1, scale: 1, multiplier: 1 } as const;
    const text = textOf(f32Window, { kind: "depthwise", ...sizes, taps, region, bias: true, residual: false, activation: noActivation }, (c) => c.tile.rows === 4);
    await expect(text).toMatchFileSnapshot("golden/f32-window-3x3.txt");
  });

  test("f32-map, hard swish of a sum with a broadcast bias", async () => {
    const dims = [
      { size: 6, strides: [50, 1, 49] },
      { size: 49, strides: [1, 0, 1] },
    ];
    const sum = e.add(e.input(0), e.input(1));
    const expr = e.mul(sum, e.max(e.min(e.add(e.mul(sum, 1 / 6), 0.5), 1), 0));
    const text = textOf(f32Map, { dims, expr, inputs: ["f32", "f32"], output: "f32", domain: "f32" }, () => true);
    await expect(text).toMatchFileSnapshot("golden/f32-map.txt");
  });
});
