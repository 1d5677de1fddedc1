import { join } from "node:path";
import { formatBytes, formatCount, round } from "../../src/cli/format.ts";
import { formatPairs, formatTable } from "../../src/cli/table.ts";
import { compile } from "../../src/compile/index.ts";
import { type CompressionPlan, compress, lenet5Plan, makePlan, type PlanOptions, roundsOf, type StorageReport, storageOf, weightLayers } from "../../src/compress/index.ts";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { writeFileAtomic } from "../../src/node/files.ts";
import { accuracyOf, augment, digitBlack, mildWarp, predict, type TrainingProgress, train } from "../../src/train/index.ts";
import { createLayers } from "../../src/zoo/layers.ts";
import { readDigits } from "./mnist.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";

/** What papers report, with almost no loss of accuracy; storage counts values alone. */
const published: Readonly<Record<string, string>> = {
  pruned71: "71.2× (arXiv 1804.03294)",
  pruned167: "167× (arXiv 1907.02124)",
  pruned246: "246× (arXiv 1907.02124)",
  pruned348: "348× (arXiv 1907.02124)",
  quantized: "3,438× weights only (arXiv 1907.02124)",
};
const reported = [71, 167, 246, 348];
const denseEpochs = 8;

export interface LeNet5Options {
  readonly plan: PlanOptions;
  readonly denseEpochs: number;
  /** Rates to measure on the test images. */
  readonly reported: readonly number[];
  /** Training images set aside. */
  readonly heldOut: number;
}

interface Measured {
  readonly accuracy: number;
  readonly weights: number;
}
interface Quantized extends Measured, Pick<StorageReport, "weightsOnlyRatio" | "honestRatio" | "storedRatio"> {
  readonly fileBytes: number;
}
type Results = Readonly<Record<string, Measured | Quantized | undefined>>;

/** The recipe with another plan, for tests. */
export const lenet5With = (options: LeNet5Options): Recipe => ({
  description: "LeNet-5 on MNIST: pruned to 348× by ADMM, then quantized to 4, 3, 3, 3 bits",
  data: "../shared/data/mnist",
  async run(context) {
    const { seed, makeStepper, signal, workplace, baselines } = context;
    const digits = await readDigits(context.data, options.heldOut, seed);
    const plan = { ...options.plan, seed };
    const batch = makePlan(plan).batch;
    const observer = progressOf(context, makePlan(plan), options.denseEpochs);
    /** The test images are looked at once for each figure that is reported. */
    const measure = async (graph: Graph): Promise<Measured> => ({
      accuracy: round(accuracyOf(await predict(graph, digits.test, makeStepper, { batch: 100, signal }), digits.test), 2),
      weights: weightLayers(graph).reduce((sum, { value }) => sum + (value.data as Float32Array).reduce((n, v) => n + Number(v !== 0), 0), 0),
    });
    const denseNet = await train(network(seed), digits.train, {
      epochs: options.denseEpochs,
      schedule: { kind: "cosine", peak: 2e-3, warmup: 200 },
      batch,
      seed,
      makeStepper,
      signal,
      store: workplace.store("dense"),
      observer: observer("dense"),
    });
    const dense = await workplace.once("dense", () => measure(denseNet));
    const varied = augment(digits.train, { shift: 1, warp: mildWarp, fill: digitBlack });
    /** Prunes and quantizes the dense net in one of two ways. */
    const compressBy = async (method: CompressionPlan["method"]): Promise<Results> => {
      const { graph } = await compress(denseNet, { ...plan, method }, varied, {
        makeStepper,
        validation: digits.validation,
        signal,
        store: workplace.store(method),
        observer: observer(method),
        onStep: async ({ rate, graph: net }) => {
          if (options.reported.includes(rate)) await workplace.once(`${method} ${rate}`, () => measure(net));
          await writeFileAtomic(join(workplace.folder, `${method}-${rate}.onnx`), exportOnnx(net, { dynamicBatch: true }));
        },
      });
      const results: Record<string, Measured | undefined> = {};
      for (const rate of options.reported) results[`pruned${rate}`] = workplace.found<Measured>(`${method} ${rate}`);
      results.quantized = await workplace.once(`${method} quantized`, async (): Promise<Quantized> => {
        const artifact = await compile(graph);
        await writeFileAtomic(join(workplace.folder, `${method}.cadnn`), artifact);
        const { bits } = makePlan(plan).quantize as NonNullable<CompressionPlan["quantize"]>;
        const { weightsOnlyRatio, honestRatio, storedRatio } = storageOf(graph, denseNet, (_, i) => bits[i] ?? bits.at(-1));
        return {
          ...(await measure(graph)),
          weightsOnlyRatio: round(weightsOnlyRatio, 1),
          honestRatio: round(honestRatio, 1),
          storedRatio: round(storedRatio, 1),
          fileBytes: artifact.byteLength,
        };
      });
      return results;
    };
    const ours = await compressBy("admm");
    const magnitude = baselines ? await compressBy("magnitude") : undefined;
    return { text: textOf(dense, ours, magnitude), json: { dense: { accuracy: dense.accuracy }, ...ours, ...(magnitude === undefined ? {} : { magnitude }) } };
  },
});

export const lenet5 = lenet5With({ plan: lenet5Plan, denseEpochs, reported, heldOut: 2000 });

/** LeNet-5 in the usual size, 20, 50, 500 and 10 units, with ReLU after both poolings, as nets for PyTorch have it; Caffe's example has none there. */
function network(seed: number): Graph {
  const net = createLayers("lenet5", { seed });
  const pool = { kernel: 2, stride: 2 };
  let x = net.conv(net.input(1, 28), "conv1", 20, { kernel: 5, bias: true });
  x = net.relu(net.maxPool(x, "pool1", pool), "relu_conv1");
  x = net.conv(x, "conv2", 50, { kernel: 5, bias: true });
  x = net.relu(net.maxPool(x, "pool2", pool), "relu_conv2");
  x = net.relu(net.linear(net.flatten(x, "flatten"), "ip1", 500, "relu"), "relu_ip1");
  return net.finish(net.linear(x, "ip2", 10, "output"));
}

/** How far the recipe is, by the time that its epochs take: those of small and sparse nets are short. */
function progressOf({ progress, baselines }: RecipeContext, plan: CompressionPlan, epochs: number) {
  const rounds = roundsOf(plan).flatMap(({ name, rate, admm, exchange, retrain }, i) => {
    const dear = rate === undefined ? 4 * 0.5 ** i : Math.min(1, 0.2 + 50 / rate);
    return [
      { phase: `admm ${name}`, cost: admm.epochs * dear },
      ...(exchange === undefined ? [] : [{ phase: `exchange ${name}`, cost: exchange.epochs }]),
      { phase: `retrain ${name}`, cost: retrain.epochs * dear },
    ];
  });
  const freezing = plan.quantize?.freeze.map((share) => ({ phase: `frozen ${Math.round(100 * share)} %`, cost: 0.25 * (plan.quantize?.retrain.epochs ?? 0) })) ?? [];
  const compression = [...rounds, { phase: "quantize", cost: 0.25 * (plan.quantize?.admm.epochs ?? 0) }, ...freezing];
  const all = [
    { phase: "dense train", cost: 4 * epochs },
    ...compression.map(({ phase, cost }) => ({ phase: `admm ${phase}`, cost })),
    ...(baselines ? compression.map(({ phase, cost }) => ({ phase: `magnitude ${phase.replace(/^admm/, "train").replace(/^exchange (.*)/, "train $1 on")}`, cost })) : []),
  ];
  const total = all.reduce((sum, { cost }) => sum + cost, 0);
  let first: number | undefined;
  return (name: string) => (p: TrainingProgress) => {
    const index = all.findIndex(({ phase }) => phase === `${name} ${p.phase}`);
    const done = all.slice(0, index).reduce((sum, { cost }) => sum + cost, 0) + ((all[index]?.cost ?? 0) * p.step) / p.steps;
    first ??= done;
    progress.update(
      Math.round(1000 * (done - first)),
      Math.round(1000 * (total - first)),
      `${name} ${p.phase}, epoch ${p.epoch}/${p.epochs}, loss ${p.loss.toFixed(4)}, ${p.accuracy.toFixed(2)} %`,
    );
  };
}

function textOf(dense: Measured, ours: Results, magnitude: Results | undefined): string {
  const right = (title: string) => ({ title, align: "right" as const });
  const rows = Object.entries({ dense, ...ours }).map(([name, result]) => {
    if (result === undefined) return [name];
    const other = magnitude?.[name]?.accuracy;
    return [
      name,
      `${result.accuracy.toFixed(2)} %`,
      other && `${other.toFixed(2)} %`,
      formatCount(result.weights),
      `${(dense.weights / result.weights).toFixed(1)}×`,
      published[name],
    ];
  });
  const columns = [{ title: "LeNet-5" }, right("test accuracy"), right("by magnitude"), right("weights"), right("rate"), { title: "published" }];
  const shown = columns.map((_, i) => i).filter((i) => i !== 2 || magnitude !== undefined);
  const { weightsOnlyRatio, honestRatio, storedRatio, fileBytes } = ours.quantized as Quantized;
  return `${formatTable(
    shown.map((i) => columns[i] as (typeof columns)[number]),
    rows.map((row) => shown.map((i) => row[i])),
  )}

${formatPairs([
  ["weights only", `${weightsOnlyRatio.toFixed(0)}×`],
  ["with positions", `${honestRatio.toFixed(0)}× at the entropy bound, ${storedRatio.toFixed(0)}× as stored; both with biases and scales`],
  ["file", `${formatBytes(fileBytes)}, kernels for two processors included`],
])}`;
}
