import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openImages, trainingSet } from "../../src/cli/datasets.ts";
import { round } from "../../src/cli/format.ts";
import type { Progress } from "../../src/cli/progress.ts";
import { budgetTables, chooseDensities, compressPostTraining, makePlan, type PostTrainingOptions, type PostTrainingProgress } from "../../src/compress/index.ts";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import { imageGeometry, parsePreprocessing } from "../../src/image/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";
import { mirrored } from "../../src/train/data/augment.ts";
import { type Dataset, shuffled, subset } from "../../src/train/data/dataset.ts";
import { accuracyOf, bestClasses, predict } from "../../src/train/evaluate.ts";
import type { MakeStepper } from "../../src/train/stepper.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { type Case, optionsOf, type Subject } from "./cases.ts";

/** What came out of one case. Accuracies are percentages of the `tested` images. */
export interface Result {
  readonly net: string;
  readonly case: string;
  readonly seed: number;
  readonly dense: number;
  readonly accuracy: number;
  /** Of the accuracy, in points: √(p (1 − p) / n). */
  readonly standardError: number;
  /** Percent of images with the dense net's answer. */
  readonly same: number;
  /** Points below the dense net that are allowed. */
  readonly allowed?: number;
  /** Without a look at the images: the greatest weights, each weight at its nearest level. */
  readonly simple?: number;
  /** The weights of greatest |w| · ‖x‖, then least squares: all but ADMM and distillation. */
  readonly fitted?: number;
  readonly rate: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Most memory of the process that was seen while the net was compressed, images included. */
  readonly peakMiB: number;
  readonly images: number;
  readonly tested: number;
  /** As the case has it, so that a changed one is seen to be another. */
  readonly plan: Pick<Case, "options" | "pointwise">;
}

const batch = 32;

/** A net, the images it is fitted to and those it is measured on, and how it does as it is. */
export interface Prepared {
  readonly subject: Subject;
  readonly graph: Graph;
  readonly fit: Dataset;
  readonly test: Dataset;
  readonly dense: number;
  /** Its class of each test image. */
  readonly answers: readonly number[];
}

export interface MeasureOptions {
  readonly makeStepper: MakeStepper;
  /** Folder of the data. */
  readonly data: string;
  /** Test images, at most. */
  readonly limit: number;
  readonly seed: number;
  /** The simpler ways that are measured as well. */
  readonly baselines: readonly ("simple" | "fitted")[];
  readonly signal?: AbortSignal | undefined;
  /** Where the compression of a case goes on after an interruption. */
  readonly store?: ((name: string) => CheckpointStore) | undefined;
  readonly observer: (progress: PostTrainingProgress) => void;
}

const silent: Progress = { update: () => undefined, note: () => undefined, end: () => undefined };

export async function prepareSubject(subject: Subject, { makeStepper, data, limit, seed }: MeasureOptions): Promise<Prepared> {
  const graph = importOnnx(readFileSync(join(data, "nets", subject.file)));
  const { fit, test } = await divided(subject, graph, data, limit, seed);
  const predictions = await predict(graph, test, makeStepper, { batch });
  return { subject, graph, fit, test, dense: accuracyOf(predictions, test), answers: bestClasses(predictions) };
}

/** The images to fit to and those to measure on; no image is in both. */
async function divided(subject: Subject, graph: Graph, data: string, limit: number, seed: number): Promise<{ fit: Dataset; test: Dataset }> {
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
  const order = [...shuffled(fit.count, createRandom(seed, "calibration"))];
  const test = subject.fit === subject.test ? subset(fit, order.slice(images)) : await read(subject.test);
  const some = Array.from({ length: Math.min(limit, test.count) }, (_, i) => i);
  const seen = subset(fit, order.slice(0, images));
  return { fit: subject.mirror === true ? mirrored(seen) : seen, test: subset(test, some) };
}

/** Images that densities are chosen by, half of them to fit layers to. */
const rankedBy = 192;

/** The options with a density for each layer, by what the net's output suffers when one is pruned alone. */
async function withDensities(
  graph: Graph,
  options: PostTrainingOptions,
  { images }: Subject,
  fit: Dataset,
  { makeStepper, signal, observer }: Pick<MeasureOptions, "makeStepper" | "signal" | "observer">,
): Promise<PostTrainingOptions> {
  const { layers = {}, ridge, rate = 1, seed = 1 } = options;
  const plain = { ...fit, count: Math.min(images, rankedBy) }; // mirrored ones come behind
  const tables = await budgetTables(graph, makePlan({ rate: 1, layers }), plain, {
    ...{ makeStepper, signal, ridge, seed, batch, method: "admm" },
    densities: [0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
    onStage: (_, done, total) => observer({ layer: "densities", done, total }),
  });
  const chosen = chooseDensities(tables, { kind: "rate", rate });
  return { ...options, rate: chosen.rate, layers: chosen.layers };
}

export async function measureCase(
  { subject, graph, fit, test, dense, answers }: Prepared,
  one: Case,
  { makeStepper, seed, baselines, observer, signal, store }: MeasureOptions,
): Promise<Result> {
  const simple: PostTrainingOptions = { batch, seed, ...optionsOf(one, graph) };
  let peak = 0;
  const context = {
    ...{ makeStepper, signal },
    observer: (progress: PostTrainingProgress) => {
      peak = Math.max(peak, process.memoryUsage.rss());
      observer(progress);
    },
  };
  const [start, cpuStart] = [performance.now(), process.cpuUsage()];
  const options = one.pointwise === undefined ? simple : await withDensities(graph, simple, subject, fit, context);
  const { graph: net, report } = await compressPostTraining(graph, options, fit, { ...context, store: store?.(one.name.replaceAll(/[^a-z0-9]+/gi, "-")) });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpuStart);
  const predictions = await predict(net, test, makeStepper, { batch });
  const accuracy = accuracyOf(predictions, test);
  const other = async (changes: PostTrainingOptions) => {
    const simpler = await compressPostTraining(graph, { ...simple, distill: { epochs: 0 }, ...changes }, fit, context);
    return round(accuracyOf(await predict(simpler.graph, test, makeStepper, { batch }), test));
  };
  const p = accuracy / 100;
  return {
    ...{ net: subject.name, case: one.name, seed, dense: round(dense), accuracy: round(accuracy) },
    standardError: round(100 * Math.sqrt((p * (1 - p)) / test.count)),
    same: round((100 * bestClasses(predictions).filter((c, i) => c === answers[i]).length) / test.count),
    ...(one.allowed === undefined ? {} : { allowed: one.allowed }),
    ...(baselines.includes("simple") ? { simple: await other({ method: "magnitude" }) } : {}),
    ...(baselines.includes("fitted") && options.bits === undefined ? { fitted: await other({ iterations: 0 }) } : {}),
    ...{ rate: round(report.rate), seconds: round(seconds, 1), cpuSeconds: round((user + system) / 1e6, 1), peakMiB: Math.round(peak / 2 ** 20) },
    ...{ images: subject.mirror === true ? fit.count / 2 : fit.count, tested: test.count },
    plan: planOf(one),
  };
}

export function planOf({ options, pointwise }: Case): Result["plan"] {
  return { options, ...(pointwise === undefined ? {} : { pointwise }) };
}
