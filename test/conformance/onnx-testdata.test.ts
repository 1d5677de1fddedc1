import { describe, expect, test } from "vitest";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { verify } from "../../src/ops/verify.ts";
import { runOnnxruntime } from "../frontend/onnxruntime.ts";
import { findTestData, groups, type Runner, runGroup } from "./onnx-testdata.ts";

const interpreted: Runner = async (model, constantInputs, feeds) => {
  const graph = importOnnx(model, { constantInputs });
  verify(graph);
  const { outputs } = interpret(graph, feeds);
  return graph.outputs.map(({ name }) => outputs.get(name) as Tensor);
};

const written =
  (opset: number): Runner =>
  async (model, constantInputs, feeds) => {
    const graph = importOnnx(model, { constantInputs });
    const outputs = await runOnnxruntime(exportOnnx(graph, { opset }), feeds);
    return graph.outputs.map(({ name }) => outputs[name] as Tensor);
  };

/** Everything that can run a model; each must pass all claimed cases but the excepted ones. */
const runners: Readonly<Record<string, { readonly run: Runner; readonly except?: Readonly<Record<string, string>> }>> = {
  interpreter: { run: interpreted },
  "writer and onnxruntime": {
    run: written(17),
    except: {
      test_resize_downsample_scales_cubic_align_corners: "onnxruntime rounds the resized length before aligning corners",
      test_resize_downsample_scales_linear_align_corners: "onnxruntime rounds the resized length before aligning corners",
    },
  },
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
