import { describe, expect, test } from "vitest";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { findTestData, groups, type Runner, runGroup } from "./onnx-testdata.ts";

const interpreted: Runner = async (model, constantInputs, feeds) => {
  const graph = importOnnx(model, { constantInputs });
  const { outputs } = interpret(graph, feeds);
  return graph.outputs.map(({ name }) => outputs.get(name) as Tensor);
};

/** Everything that can run a model; each must pass all claimed cases. */
const runners: Readonly<Record<string, Runner>> = { interpreter: interpreted };

const found = findTestData();
if ("missing" in found) console.log(`skipped: ONNX conformance cases (${found.missing})`);

describe.skipIf("missing" in found)("ONNX conformance", () => {
  for (const [name, runner] of Object.entries(runners))
    test.each(groups)(`%s cases by the ${name}`, { timeout: 300_000 }, async (group) => {
      const { passed, failed, unclaimed } = await runGroup("root" in found ? found.root : "", group, runner);
      const left = [...unclaimed.values()].reduce((a, b) => a + b, 0);
      console.log(`${group} by the ${name}: ${passed} passed, ${failed.length} failed, ${left} unclaimed`);
      expect(failed).toEqual([]);
      expect(passed).toBeGreaterThan(0);
    });
});
