import { describe, expect, test } from "vitest";
import type { TargetName } from "../../src/artifact/manifest.ts";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { verify } from "../../src/ops/verify.ts";
import { optimize } from "../../src/passes/index.ts";
import { runOnnxruntime } from "../frontend/onnxruntime.ts";
import { runCompiled } from "../lower/run-compiled.ts";
import { findTestData, groups, type Runner, runGroup } from "./onnx-testdata.ts";

/** By the reference semantics, or written as a file at an opset and run by onnxruntime; optimized before or not. */
const runner =
  (optimized: boolean, opset?: number): Runner =>
  async (model, constantInputs, feeds) => {
    const imported = importOnnx(model, { constantInputs });
    const graph = optimized ? optimize(imported) : imported;
    verify(graph);
    const outputs = opset === undefined ? interpret(graph, feeds).outputs : new Map(Object.entries(await runOnnxruntime(exportOnnx(graph, { opset }), feeds)));
    return graph.outputs.map(({ name }) => outputs.get(name) as Tensor);
  };

/** By generated kernels. */
const compiled =
  (target: TargetName): Runner =>
  async (model, constantInputs, feeds) => {
    const graph = importOnnx(model, { constantInputs });
    const outputs = await runCompiled(graph, feeds, target);
    return graph.outputs.map(({ name }) => outputs.get(name) as Tensor);
  };

const except = {
  test_resize_downsample_scales_cubic_align_corners: "onnxruntime rounds the resized length before aligning corners",
  test_resize_downsample_scales_linear_align_corners: "onnxruntime rounds the resized length before aligning corners",
};

/** Everything that can run a model; each must pass all claimed cases but the excepted ones. */
const runners: Readonly<Record<string, { readonly run: Runner; readonly except?: Readonly<Record<string, string>> }>> = {
  interpreter: { run: runner(false) },
  "optimizer and interpreter": { run: runner(true) },
  "writer and onnxruntime": { run: runner(false, 17), except },
  "optimizer, writer and onnxruntime": { run: runner(true, 21), except },
  "kernels of wasm-x64-relaxed": { run: compiled("wasm-x64-relaxed") },
  "kernels of wasm-x64-plain": { run: compiled("wasm-x64-plain") },
};

const found = findTestData();
if ("missing" in found) console.log(`skipped: ONNX conformance cases (${found.missing})`);

describe.skipIf("missing" in found)("ONNX conformance", () => {
  for (const [name, { run, except = {} }] of Object.entries(runners))
    test.each(groups)(`%s cases by the ${name}`, { timeout: 300_000 }, async (group) => {
      const { passed, failed, unclaimed } = await runGroup("root" in found ? found.root : "", group, run, except);
      const left = [...unclaimed.values()].reduce((a, b) => a + b, 0);
      console.log(`${group} by the ${name}: ${passed} passed, ${failed.length} failed, ${left} unclaimed`);
      expect(failed).toEqual([]);
      expect(passed).toBeGreaterThan(0);
    });
});
