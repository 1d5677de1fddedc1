import { expect, test } from "vitest";
import type { TargetName } from "../../src/artifact/manifest.ts";
import { compile } from "../../src/compile/index.ts";
import { targetsFor } from "../../src/runtime/features.ts";
import { createSession, detectFeatures } from "../../src/runtime/index.ts";
import { createWasmMeasurer, formatLog, tune } from "../../src/tune/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

test("a page tunes a net for itself, and compiles it by what it has measured", async () => {
  const net = zooGraph("lenet5", { sparsity: 0.9 });
  const name = targetsFor(detectFeatures())[0] as TargetName;
  // The coarse clock of a page that is not isolated takes longer.
  const { log, measured } = await tune(net, { measurer: createWasmMeasurer({ warmupMs: 4 }), budgetSeconds: 5 });
  expect(measured.map((r) => r.kernel)).toContain("f32-spmm");
  for (const { engine, times } of measured) {
    expect(engine).toMatch(/^chrome-\d+\/(x64|arm64)\/\d+-threads$/);
    for (const { ns } of times) expect(ns).toBeGreaterThan(50);
  }
  const session = await createSession(await compile(net, { targets: [name], tuning: formatLog(log) }), { threads: 1 });
  const { logits } = await session.run({ input: { shape: [1, 1, 28, 28], data: new Float32Array(784).fill(0.5) } });
  expect(logits?.data.every(Number.isFinite)).toBe(true);
  await session.dispose();
});
