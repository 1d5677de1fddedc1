import { existsSync } from "node:fs";
import { join } from "node:path";
import { openImages, parseAugmentation, trainingSet } from "../../src/cli/datasets.ts";
import { formatCount, round } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";
import { compress, compressPostTraining, type PlanOptions, weightLayers } from "../../src/compress/index.ts";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import { imageGeometry, parsePreprocessing } from "../../src/image/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { readFile, writeFileAtomic } from "../../src/node/files.ts";
import { shuffled } from "../../src/train/data/dataset.ts";
import { accuracyOf, augment, type Dataset, joined, predict, split, subset, type TrainingProgress } from "../../src/train/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import type { Recipe, RecipeContext, RecipeResult } from "./recipe.ts";

export interface Resnet20Options {
  /** By the share of zeros in percent, each from the net of the one before. */
  readonly plans: Readonly<Record<number, PlanOptions>>;
  /** Training images that the layers are fitted to before anything is trained. */
  readonly fittedTo: number;
  /** Training images that accuracy is measured on meanwhile. */
  readonly heldOut: number;
}

/** Of one rate: ADMM from the net that was fitted layer by layer, then retraining of what is left; all of it learns from the dense net. */
const planOf = (rate: number, admmEpochs: number, retrainEpochs: number, peak: number): PlanOptions => ({
  rate,
  batch: 64,
  distill: { temperature: 4, weight: 0.9 },
  admm: { epochs: admmEpochs, schedule: { kind: "cosine", peak: 1e-3, floor: 0.1 } },
  retrain: { epochs: retrainEpochs, schedule: { kind: "cosine", peak } },
});

interface Images {
  readonly train: Dataset;
  /** Of the training images. */
  readonly validation: Dataset;
  readonly test: Dataset;
}

async function readImages(net: Graph, count: number, { data, seed, progress }: RecipeContext): Promise<Images> {
  const input = net.inputs[0] as Graph["inputs"][0];
  const preprocessing = parsePreprocessing("torch");
  const shared = { geometry: imageGeometry(input.type.shape, input.name), preprocessing, outputs: 10, firstClass: 0, limit: undefined };
  const read = async (part: string) => trainingSet(await openImages(join(data, "cifar10", `${part}.png`), undefined), shared, progress);
  const { train, heldOut } = split(joined([await read("train0"), await read("train1")]), count, seed);
  return { train: augment(train, parseAugmentation("shift=4,mirror", preprocessing, 3)), validation: heldOut, test: await read("test") };
}

interface Measured {
  readonly accuracy: number;
  readonly weights: number;
}

export const resnet20With = ({ plans, fittedTo, heldOut }: Resnet20Options): Recipe => ({
  description: "ResNet-20 on CIFAR-10: 80 % and 90 % zeros by ADMM with training, from the trained net and two of five parts of the training images",
  data: "../shared/data",
  async run(context) {
    const { data, seed, makeStepper, signal, workplace, progress } = context;
    const dense = importOnnx(await readFile(context.net ?? join(data, "nets", "cifar10_resnet20.onnx")));
    const { train, validation, test } = await readImages(dense, heldOut, context);
    const fitted = subset(train, [...shuffled(train.count, createRandom(seed, "calibration"))].slice(0, fittedTo));
    const measure = async (graph: Graph): Promise<Measured> => ({
      accuracy: round(accuracyOf(await predict(graph, test, makeStepper, { batch: 50, signal }), test)),
      weights: weightLayers(graph).reduce((sum, { value }) => sum + (value.data as Float32Array).reduce((n, v) => n + Number(v !== 0), 0), 0),
    });
    const observer = (name: string) => (p: TrainingProgress) =>
      progress.update(p.run.step, p.run.steps, `${name} ${p.phase}, epoch ${p.epoch}/${p.epochs}, loss ${p.loss.toFixed(4)}, ${p.accuracy.toFixed(1)} %`, p.run.etaSeconds);

    /** A net that is kept in the workplace, and measured there. */
    const stage = async (name: string, make: () => Promise<Graph>): Promise<{ readonly net: Graph; readonly measured: Measured }> => {
      const file = join(workplace.folder, `${name}.onnx`);
      if (!existsSync(file)) await writeFileAtomic(file, exportOnnx(await make()));
      const net = importOnnx(await readFile(file));
      return { net, measured: await workplace.once(name, () => measure(net)) };
    };
    const trained = (name: string, from: Graph, plan: PlanOptions) =>
      stage(name, () =>
        compress(from, { ...plan, seed }, train, { makeStepper, validation, teacher: dense, signal, store: workplace.store(name), observer: observer(name) }).then((r) => r.graph),
      );

    const results: Record<string, Measured> = { dense: (await stage("dense", async () => dense)).measured };
    let [last, simplest] = [dense, dense];
    for (const [zeros, plan] of Object.entries(plans)) {
      const options = { sparsity: Number(zeros) / 100, seed, batch: 32 };
      const { net, measured } = await stage(`layerwise${zeros}`, () =>
        compressPostTraining(last, options, fitted, {
          makeStepper,
          signal,
          store: workplace.store(`layerwise${zeros}`),
          observer: (p) => progress.update(p.done, p.total, p.layer),
        }).then((r) => r.graph),
      );
      results[`layerwise${zeros}`] = measured;
      const admm = await trained(`pruned${zeros}`, net, plan);
      results[`pruned${zeros}`] = admm.measured;
      last = admm.net;
      if (!context.baselines) continue;
      const magnitude = await trained(`magnitude${zeros}`, simplest, { ...plan, method: "magnitude" });
      results[`magnitude${zeros}`] = magnitude.measured;
      simplest = magnitude.net;
    }
    return report(results);
  },
});

export const resnet20 = resnet20With({ plans: { 80: planOf(5, 2, 9, 1.5e-3), 90: planOf(10, 4, 20, 2e-3) }, fittedTo: 2048, heldOut: 1000 });

function report(results: Readonly<Record<string, Measured>>): RecipeResult {
  const names: Readonly<Record<string, string>> = {
    dense: "dense",
    layerwise: "ADMM layer by layer, where training starts",
    pruned: "ADMM with training",
    magnitude: "greatest weights, as much training",
  };
  const rows = Object.entries(results).map(([name, r]) => {
    const [, kind = "", zeros] = /^(\D+)(\d*)$/.exec(name) ?? [];
    return [zeros === "" ? "" : `${zeros} % zeros`, names[kind], `${r.accuracy.toFixed(2)} %`, formatCount(r.weights)];
  });
  const right = (title: string) => ({ title, align: "right" as const });
  return { text: formatTable([{ title: "ResNet-20" }, { title: "" }, right("test accuracy"), right("weights")], rows), json: results };
}
