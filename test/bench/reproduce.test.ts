import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lenet5With } from "../../bench/reproduce/lenet5.ts";
import { openWorkplace } from "../../bench/reproduce/recipe.ts";
import { kernelStepper } from "../../src/cli/stepper.ts";
import type { PlanOptions } from "../../src/compress/index.ts";
import { readDigits } from "../../src/node/digits.ts";

const folder = mkdtempSync(join(tmpdir(), "reproduce-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function idx(shape: readonly number[], data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 + shape.length);
  shape.forEach((extent, i) => {
    view.setUint32(4 + 4 * i, extent);
  });
  bytes.set(data, 4 + 4 * shape.length);
  return bytes;
}

beforeAll(() => {
  const digits = readDigits();
  for (const [part, from, each] of [
    ["train", 0, 32],
    ["t10k", 40, 10],
  ] as const) {
    const images = new Uint8Array(10 * each * 784);
    const labels = Uint8Array.from({ length: 10 * each }, (_, i) => i % 10);
    labels.forEach((label, i) => {
      const at = (from + Math.floor(i / 10)) * 784;
      images.set(
        Array.from((digits[label] as Float32Array).subarray(at, at + 784), (v) => Math.round(255 * v)),
        i * 784,
      );
    });
    writeFileSync(join(folder, `${part}-images-idx3-ubyte`), idx([10 * each, 28, 28], images));
    writeFileSync(join(folder, `${part}-labels-idx1-ubyte`), idx([10 * each], labels));
  }
});

const phase = { epochs: 1, schedule: { kind: "cosine", peak: 2e-3 } } as const;
const plan: PlanOptions = {
  rate: 100,
  steps: [{ units: { "conv1.weight": 8, "conv2.weight": 16, "ip1.weight": 32 } }, 50],
  pruneAll: true,
  batch: 32,
  admm: { ...phase, rhos: [0.1], updatesPerRho: 2 },
  retrain: phase,
  distill: { temperature: 3, weight: 0.5, once: true },
  quantize: { bits: [4, 3], admm: { ...phase, rhos: [0.1], updatesPerRho: 2 }, freeze: [0.5, 1], retrain: phase },
};
const recipe = lenet5With({ plan, denseEpochs: 2, reported: [50, 100], heldOut: 64 });

describe("npm run reproduce", () => {
  test("lenet5: all figures, the same after interruptions", { timeout: 120_000 }, async () => {
    const makeStepper = await kernelStepper(1);
    const shared = { seed: 3, threads: 1, data: folder, net: undefined, makeStepper };
    const updates: number[] = [];
    const runIn = async (name: string, signal: AbortSignal, { baselines = false, onUpdate = () => {} } = {}) => {
      const workplace = openWorkplace(join(folder, name));
      const update = (done: number, total: number) => {
        updates.push(done / total);
        onUpdate();
      };
      return { ...(await recipe.run({ ...shared, baselines, workplace, signal, progress: { update, note: () => undefined, end: () => undefined } })), folder: workplace.folder };
    };
    const straight = await runIn("straight", new AbortController().signal, { baselines: true });
    expect(Object.keys(straight.json)).toEqual(["dense", "pruned50", "pruned100", "quantized", "magnitude"]);
    const { pruned100, quantized } = straight.json as Record<string, Record<string, number>>;
    expect(pruned100).toEqual({ accuracy: expect.any(Number), weights: 4305 });
    expect(quantized).toMatchObject({ weights: 4305, fileBytes: readFileSync(join(straight.folder, "admm.cadnn")).byteLength });
    expect(quantized?.weightsOnlyRatio).toBeGreaterThan(900);
    expect(quantized?.honestRatio).toBeLessThan(quantized?.weightsOnlyRatio ?? 0);
    expect(updates.every((share, i) => i === 0 || share >= (updates[i - 1] as number))).toBe(true);
    expect(updates.at(-1)).toBeCloseTo(1);
    expect(straight.text).toContain("by magnitude");

    for (const stopAfter of [10, 30, 20]) {
      const controller = new AbortController();
      let count = 0;
      const onUpdate = () => {
        if (++count === stopAfter) controller.abort();
      };
      await expect(runIn("broken", controller.signal, { onUpdate })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    }
    const resumed = await runIn("broken", new AbortController().signal);
    expect({ ...resumed.json, magnitude: straight.json.magnitude }).toEqual(straight.json);
    expect(readFileSync(join(resumed.folder, "admm.cadnn"))).toEqual(readFileSync(join(straight.folder, "admm.cadnn")));
  });

  test.each([
    [["nope"], "there is no recipe"],
    [["lenet5", "--seed", "x"], "--seed"],
    [["lenet5", "--data", join(folder, "missing")], "--data DIR"],
    [["lenet5", "--data", tmpdir(), "--work", join(folder, "empty")], "train-images-idx3-ubyte"],
  ])("%j says what is wrong", (args, message) => {
    const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", "bench/reproduce/run.ts", ...args], { encoding: "utf8" });
    expect(status).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });
});
