import { beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile/index.ts";
import { type DemoProgress, runDemo } from "../../src/compress/index.ts";
import { readDigits } from "../../src/node/digits.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";
import { createSession } from "../../src/runtime/index.ts";
import { digitsDataset } from "../../src/train/data/digits.ts";
import { sessionStepper } from "../../src/train/session-stepper.ts";

beforeAll(() => {
  enableRelaxedSimd();
});

describe("demo", () => {
  test("runs through on a few digits: both nets are measured as they were compiled", { timeout: 180_000 }, async () => {
    const data = digitsDataset(readDigits().map((pixels) => pixels.subarray(0, 48 * 784)));
    const seen: DemoProgress[] = [];
    const result = await runDemo({
      data,
      rate: 20,
      makeStepper: sessionStepper(async (graph) => createSession(await compile(graph), { threads: 1 })),
      compile: (graph) => compile(graph),
      open: (artifact) => createSession(artifact, { threads: 1 }),
      observer: (progress) => seen.push(progress),
    });
    const { dense, compressed } = result;
    expect([result.trainedOn, result.heldOut]).toEqual([384, 96]);
    expect(dense.weights).toBe(430_500);
    expect(compressed.weights).toBe(Math.floor(430_500 / 20));
    expect(compressed.bytes).toBeLessThan(dense.bytes / 5);
    expect(dense.accuracy).toBeGreaterThan(70);
    expect(compressed.accuracy).toBeGreaterThan(dense.accuracy - 8);
    expect(result.report.accuracy.after).toBeCloseTo(compressed.accuracy, 5);
    expect(result.report.accuracy.before).toBeCloseTo(dense.accuracy, 5);
    const done = seen.map((p) => p.done);
    expect(done.every((d, i) => i === 0 || d >= (done[i - 1] as number))).toBe(true);
    expect([done.at(-1), ...new Set(seen.map((p) => p.stage))]).toEqual([1, "train", "compress", "measure"]);
  });
});

test("the package mnist holds 10,000 digits", () => {
  const digits = readDigits();
  expect(digits.map((pixels) => pixels.length / 784)).toEqual([1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]);
  expect(digits.every((pixels) => pixels.every((v) => v >= 0 && v <= 1))).toBe(true);
});
