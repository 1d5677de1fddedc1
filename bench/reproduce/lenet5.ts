import { existsSync } from "node:fs";
import { join } from "node:path";
import { formatCount } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";
import { compile } from "../../src/compile/index.ts";
import { type CompressionPlan, compress, lenet5Plan, makePlan, weightLayers } from "../../src/compress/index.ts";
import { roundsOf } from "../../src/compress/plan.ts";
import { CadnnError } from "../../src/errors.ts";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { readFile, writeFileAtomic } from "../../src/node/files.ts";
import { accuracyOf, predict } from "../../src/train/evaluate.ts";
import { augment, type Dataset, digitBlack, digitNormalization, idxDataset, split, type TrainingProgress, train } from "../../src/train/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import type { Recipe, RecipeResult } from "./recipe.ts";

/** What papers report: rates with almost no loss, of 99.2 %; storage counts values alone. */
const published: Readonly<Record<string, string>> = {
  pruned71: "71.2× (arXiv 1804.03294)",
  pruned167: "167× (arXiv 1907.02124)",
  pruned246: "246× (arXiv 1907.02124)",
  pruned348: "348× (arXiv 1907.02124)",
  quantized: "3,438× weights only (arXiv 1907.02124)",
};
const reported = [71, 167, 246, 348];
const batch = lenet5Plan.batch as number;

interface Digits {
  readonly train: Dataset;
  /** Of the training images. */
  readonly validation: Dataset;
  readonly test: Dataset;
}

async function readDigits(folder: string, seed: number): Promise<Digits> {
  const read = async (part: string) => {
    const names = [`${part}-images-idx3-ubyte`, `${part}-labels-idx1-ubyte`].map((name) => {
      const path = [name, `${name}.gz`].map((file) => join(folder, file)).find((file) => existsSync(file));
      if (path === undefined)
        throw new CadnnError("E_FILE_NOT_FOUND", `${name} and ${name}.gz are missing`, { at: folder, hint: "MNIST's four idx files are needed, gzipped or not: --data DIR." });
      return path;
    }) as [string, string];
    const [images, labels] = await Promise.all(names.map((name) => readFile(name)));
    return idxDataset(images as Uint8Array, labels as Uint8Array, { ...digitNormalization, classes: 10, names: { images: names[0], labels: names[1] } });
  };
  const { train: some, heldOut } = split(await read("train"), 2000, seed);
  return { train: some, validation: heldOut, test: await read("t10k") };
}

/** The share of the whole recipe's time that each phase takes, in epochs of small nets. */
const denseEpochs = 8;
const epochsOf = (plan: CompressionPlan): number =>
  roundsOf(plan).reduce((sum, { admm, retrain }) => sum + admm.epochs + retrain.epochs, 0) +
  (plan.quantize === undefined ? 0 : plan.quantize.admm.epochs + plan.quantize.freeze.length * plan.quantize.retrain.epochs);

interface Measured {
  readonly accuracy: number;
  readonly weights: number;
}

export const lenet5: Recipe = {
  description: "LeNet-5 on MNIST: pruned to 348× by ADMM, then quantized to 4, 3, 3, 3 bits",
  data: "../shared/data/mnist",
  async run(context) {
    const { seed, makeStepper, signal, workplace, progress } = context;
    const digits = await readDigits(context.data, seed);
    const total = denseEpochs + epochsOf(makePlan(lenet5Plan));
    let done = 0;
    let last = "";
    const observer = (name: string) => (p: TrainingProgress) => {
      const epochs = p.steps / Math.floor(digits.train.count / batch);
      if (last !== name + p.phase) {
        last = name + p.phase;
        done += 0;
      }
      progress.update(
        Math.round(1000 * Math.min(1, (done + (epochs * p.step) / p.steps) / total)),
        1000,
        `${name} ${p.phase}, epoch ${p.epoch}/${p.epochs}, ${p.accuracy.toFixed(2)} %`,
      );
      if (p.step === p.steps) done += epochs;
    };
    const measure = async (graph: Graph): Promise<Measured> => ({
      accuracy: accuracyOf(await predict(graph, digits.test, makeStepper, { batch: 100, signal }), digits.test),
      weights: weightLayers(graph).reduce((sum, { value }) => sum + (value.data as Float32Array).reduce((n, v) => n + Number(v !== 0), 0), 0),
    });

    const dense = await train(zooGraph("lenet5", { seed }), digits.train, {
      epochs: denseEpochs,
      schedule: { kind: "cosine", peak: 2e-3, warmup: 200 },
      batch,
      seed,
      makeStepper,
      signal,
      store: workplace.store("dense"),
      observer: observer("dense"),
    });
    const denseResult = await workplace.once("dense", () => measure(dense));
    const varied = augment(digits.train, { shift: 1, fill: digitBlack });
    const { graph } = await compress(dense, { ...lenet5Plan, seed }, varied, {
      makeStepper,
      validation: digits.validation,
      signal,
      store: workplace.store("admm"),
      observer: observer("admm"),
      onStep: async (step) => {
        await writeFileAtomic(join(workplace.folder, `pruned${step.rate}.onnx`), exportOnnx(step.graph));
        if (reported.includes(step.rate)) await workplace.once(`pruned${step.rate}`, () => measure(step.graph));
      },
    });
    const quantized = await workplace.once("quantized", () => measure(graph));
    const file = join(workplace.folder, "lenet5.cadnn");
    const artifact = await compile(graph);
    await writeFileAtomic(file, artifact);
    const results: Record<string, Measured | undefined> = { dense: denseResult };
    for (const rate of reported) results[`pruned${rate}`] = workplace.found(`pruned${rate}`);
    results.quantized = quantized;
    return report(results);
  },
};

function report(results: Readonly<Record<string, Measured | undefined>>): RecipeResult {
  const rows = Object.entries(results).map(([name, r]) => [
    name,
    r && `${r.accuracy.toFixed(2)} %`,
    r && formatCount(r.weights),
    r && `${(430_500 / r.weights).toFixed(1)}×`,
    published[name],
  ]);
  const right = (title: string) => ({ title, align: "right" as const });
  return { text: formatTable([{ title: "LeNet-5" }, right("test accuracy"), right("weights"), right("rate"), { title: "published" }], rows), json: results };
}
