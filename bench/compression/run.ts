/**
 * Post-training compression of trained nets, each beside the simplest way to the same size: the greatest weights, the nearest levels.
 * `npx tsx bench/compression/run.ts [--net resnet20] [--case "70 % zeros"] [--data ../shared/data] [--limit N] [--threads 1] [--no-baseline] [--json]`
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openImages, trainingSet } from "../../src/cli/datasets.ts";
import { kernelStepper } from "../../src/cli/stepper.ts";
import { formatTable } from "../../src/cli/table.ts";
import { compressPostTraining, type PostTrainingOptions, weightLayers } from "../../src/compress/index.ts";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import { imageGeometry, parsePreprocessing } from "../../src/image/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { type Dataset, shuffled, subset } from "../../src/train/data/dataset.ts";
import { accuracyOf, predict } from "../../src/train/evaluate.ts";
import type { MakeStepper } from "../../src/train/stepper.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { type Case, type Subject, subjects } from "./cases.ts";

interface Result {
  readonly net: string;
  readonly case: string;
  readonly dense: number;
  readonly accuracy: number;
  /** Of the simplest way. */
  readonly baseline: number | undefined;
  readonly allowed: number | undefined;
  /** Of the accuracy, in points: √(p (1 − p) / n). */
  readonly standardError: number;
  /** Percent of images with the dense net's answer. */
  readonly same: number;
  readonly rate: number;
  readonly cpuSeconds: number;
  readonly images: number;
  readonly tested: number;
}

const silent = { update: () => undefined, note: () => undefined, end: () => undefined };
const batch = 32;

/** The images to fit to and those to measure on; no image is in both. */
async function divided(subject: Subject, graph: Graph, data: string, limit: number): Promise<{ fit: Dataset; test: Dataset }> {
  const { preprocess, firstClass, images } = subject;
  const input = graph.inputs[0] as NonNullable<Graph["inputs"][0]>;
  const shared = {
    geometry: imageGeometry(input.type.shape, input.name),
    preprocessing: parsePreprocessing(preprocess),
    outputs: graph.outputs[0]?.value.type.shape.at(-1) ?? 1,
    firstClass,
    limit: undefined,
  };
  const read = async (path: string) => trainingSet(await openImages(join(data, path), undefined), shared, silent);
  const fit = await read(subject.fit);
  const order = [...shuffled(fit.count, createRandom(1, "calibration"))];
  const test = subject.fit === subject.test ? subset(fit, order.slice(images)) : await read(subject.test);
  const some = Array.from({ length: Math.min(limit, test.count) }, (_, i) => i);
  return { fit: subset(fit, order.slice(0, images)), test: subset(test, some) };
}

function optionsOf({ options, pointwise }: Case, graph: Graph): PostTrainingOptions {
  if (pointwise === undefined) return options;
  const layers = weightLayers(graph).filter((l) => l.kind === "conv" && l.matrix.taps === 1 && !l.first && !isClassifier(graph, l.matrix.outputs));
  return { ...options, layers: Object.fromEntries(layers.map((l) => [l.name, { density: 1 - pointwise }])) };
}

const isClassifier = (graph: Graph, outputs: number) => graph.outputs[0]?.value.type.shape.at(-1) === outputs;

function bestClasses({ logits, classes }: { readonly logits: Float32Array; readonly classes: number }): number[] {
  return Array.from({ length: logits.length / classes }, (_, i) => {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
  });
}

async function measure(
  subject: Subject,
  cases: readonly Case[],
  makeStepper: MakeStepper,
  data: string,
  limit: number,
  withBaseline: boolean,
  report: (r: Result) => void,
): Promise<void> {
  const graph = importOnnx(readFileSync(join(data, "nets", subject.file)));
  const { fit, test } = await divided(subject, graph, data, limit);
  const predicted = (net: Graph) => predict(net, test, makeStepper, { batch });
  const before = await predicted(graph);
  const [dense, answers] = [accuracyOf(before, test), bestClasses(before)];
  for (const one of cases) {
    const options = { batch, ...optionsOf(one, graph) };
    const start = process.cpuUsage();
    const { graph: net, report: found } = await compressPostTraining(graph, options, fit, { makeStepper });
    const { user, system } = process.cpuUsage(start);
    const after = await predicted(net);
    const accuracy = accuracyOf(after, test);
    const same = bestClasses(after).filter((c, i) => c === answers[i]).length;
    const simple = { ...options, method: "magnitude", distill: { epochs: 0 } } as const;
    const baseline = withBaseline ? accuracyOf(await predicted((await compressPostTraining(graph, simple, fit, { makeStepper })).graph), test) : undefined;
    const p = accuracy / 100;
    report({
      ...{ net: subject.name, case: one.name, dense, accuracy, baseline, allowed: one.allowed },
      standardError: 100 * Math.sqrt((p * (1 - p)) / test.count),
      same: (100 * same) / test.count,
      rate: found.rate,
      cpuSeconds: (user + system) / 1e6,
      images: fit.count,
      tested: test.count,
    });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      net: { type: "string" },
      case: { type: "string" },
      data: { type: "string", default: "../shared/data" },
      limit: { type: "string", default: "Infinity" },
      threads: { type: "string", default: "1" },
      baseline: { type: "boolean", default: true },
      json: { type: "boolean", default: false },
    },
  });
  if (!existsSync(values.data)) throw new Error(`there is no folder ${values.data}; name the data by --data`);
  const makeStepper = await kernelStepper(Number(values.threads));
  const results: Result[] = [];
  for (const subject of subjects.filter((s) => values.net === undefined || s.name === values.net)) {
    const cases = subject.cases.filter((c) => values.case === undefined || c.name === values.case);
    await measure(subject, cases, makeStepper, values.data, Number(values.limit), values.baseline, (r) => {
      results.push(r);
      process.stderr.write(`${JSON.stringify(r)}\n`);
    });
  }
  if (values.json) return void process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  const columns = ["net", "case", "dense", "accuracy", "±", "loss", "allowed", "simplest", "same", "rate", "CPU s"];
  const table = formatTable(
    columns.map((title, i) => ({ title, ...(i > 1 ? { align: "right" as const } : {}) })),
    results.map((r) => [
      ...[r.net, r.case, r.dense.toFixed(2), r.accuracy.toFixed(2), r.standardError.toFixed(2), (r.dense - r.accuracy).toFixed(2), r.allowed?.toFixed(2)],
      ...[r.baseline?.toFixed(2), `${r.same.toFixed(1)} %`, `${r.rate.toFixed(2)}×`, r.cpuSeconds.toFixed(0)],
    ]),
  );
  process.stdout.write(`${table}\n`);
}

await main();
