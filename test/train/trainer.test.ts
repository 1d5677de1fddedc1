import { describe, expect, test } from "vitest";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";
import { accuracyOf, predict } from "../../src/train/evaluate.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import type { TrainingProgress } from "../../src/train/phase.ts";
import { train } from "../../src/train/trainer.ts";
import { weightsOf } from "../../src/train/weights.ts";
import { bars, tinyNet } from "./toy.ts";

const dataset = bars(96);
const options = { epochs: 6, schedule: { kind: "cosine", peak: 0.02, warmup: 4 }, optimizer: { kind: "adam" }, batch: 16, seed: 5, makeStepper: interpreterStepper } as const;

function memoryStore(): CheckpointStore & { bytes: Uint8Array | undefined; saves: number } {
  return {
    bytes: undefined,
    saves: 0,
    async save(bytes) {
      this.bytes = bytes.slice();
      this.saves++;
    },
    async load() {
      return this.bytes;
    },
  };
}

describe("train", () => {
  test("a tiny net learns a toy task", async () => {
    const events: TrainingProgress[] = [];
    const trained = await train(tinyNet(), dataset, { ...options, epochs: 16, observer: (event) => events.push(event) });
    const test = bars(60, 99);
    const before = accuracyOf(await predict(tinyNet(), test, interpreterStepper, { batch: 20 }), test);
    const after = accuracyOf(await predict(trained, test, interpreterStepper, { batch: 20 }), test);
    expect(after).toBeGreaterThan(90);
    expect(after).toBeGreaterThan(before);
    expect(events.length).toBe(96);
    expect(events.at(-1)).toMatchObject({ phase: "train", step: 96, steps: 96, epoch: 16, epochs: 16, etaSeconds: 0 });
    expect((events.at(-1) as TrainingProgress).loss).toBeLessThan((events[0] as TrainingProgress).loss);
  });

  test("an interrupted run resumes to the same bits", async () => {
    const straight = weightsOf(await train(tinyNet(), dataset, options));
    const store = memoryStore();
    for (const stop of [5, 11, 30]) {
      const controller = new AbortController();
      const observer = ({ step }: TrainingProgress) => {
        if (step === stop) controller.abort();
      };
      await expect(train(tinyNet(), dataset, { ...options, store, observer, signal: controller.signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    }
    const resumed = weightsOf(await train(tinyNet(), dataset, { ...options, store }));
    expect(resumed).toEqual(straight);
    // A finished run is not run again.
    const events: TrainingProgress[] = [];
    expect(weightsOf(await train(tinyNet(), dataset, { ...options, store, observer: (event) => events.push(event) }))).toEqual(straight);
    expect(events).toEqual([]);
  });

  test("a checkpoint of another run is not taken up", async () => {
    const store = memoryStore();
    await train(tinyNet(), dataset, { ...options, epochs: 0.1, store });
    await expect(train(tinyNet(2), dataset, { ...options, epochs: 0.1, store })).rejects.toMatchObject({ code: "E_INVALID_OPTION", at: "checkpoint" });
  });

  test("a loss that is not finite stops it", async () => {
    await expect(train(tinyNet(), dataset, { ...options, optimizer: { kind: "sgd" }, schedule: { kind: "constant", peak: 1e30 } })).rejects.toMatchObject({ code: "E_NON_FINITE" });
  });

  test("too few images for a batch", async () => {
    await expect(train(tinyNet(), bars(6), options)).rejects.toMatchObject({ code: "E_INVALID_DATASET" });
  });
});
