import { existsSync, readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { kernelStepper } from "../src/cli/stepper.ts";
import { augment } from "../src/train/data/augment.ts";
import { type Dataset, imageDataset } from "../src/train/data/dataset.ts";
import { digitBlack, digitNormalization } from "../src/train/data/digits.ts";
import { idxDataset } from "../src/train/data/idx.ts";
import { type Phase, runPhases } from "../src/train/run.ts";
import { lenet348 } from "./training-nets.ts";

const folder = "../shared/data/mnist";

/** MNIST's 60,000 images or, where they are missing, as many of noise. */
async function digits(): Promise<Dataset> {
  const [images, labels] = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"].map((name) => `${folder}/${name}`) as [string, string];
  if (existsSync(images)) return idxDataset(readFileSync(images), readFileSync(labels), { ...digitNormalization });
  const noise = Uint8Array.from({ length: 60_000 * 784 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
  return imageDataset({
    images: noise,
    labels: Uint8Array.from({ length: 60_000 }, (_, i) => i % 10),
    inputShape: [1, 28, 28],
    classes: 10,
    scale: 1 / 255,
    ...digitNormalization,
  });
}

/**
 * Seconds of each epoch of masked retraining of the 348× net as `compress` does it: shuffling, images moved at random, forward, backward, Adam. One more epoch comes
 * first, for the engine to optimize the code.
 */
export async function epochSeconds(batch: number, threads: number, epochs: number): Promise<number[]> {
  const { graph, supports } = lenet348();
  const dataset = augment(await digits(), { shift: 1, fill: digitBlack });
  const sizes = new Map(graph.nodes.flatMap((node) => node.inputs).flatMap((v) => (v?.kind === "constant" ? [[v.name, v.data.length] as const] : [])));
  const masks = new Map([...supports].map(([name, support]) => [name, new Float32Array(sizes.get(name) as number).map((_, i) => Number(support.includes(i)))]));
  const phase: Phase<undefined> = {
    name: "retrain",
    epochs: epochs + 1,
    schedule: { kind: "cosine", peak: 2e-3 },
    graph: () => ({ optimizer: { kind: "adam" }, masks: [...masks.keys()] }),
  };
  const ends: number[] = [];
  let last = 0;
  await runPhases({
    graph,
    masks,
    dataset,
    phases: [phase],
    report: undefined,
    batch,
    seed: 1,
    identity: 0,
    makeStepper: await kernelStepper(threads),
    observer({ epoch }) {
      if (epoch > last) ends.push(performance.now());
      last = epoch;
    },
  });
  ends.push(performance.now());
  return ends.slice(2).map((end, i) => (end - (ends[i + 1] as number)) / 1000);
}
