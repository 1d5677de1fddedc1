import { rm } from "node:fs/promises";
import type { CompressionReport, CompressOptions, PlanOptions, PostTrainingOptions } from "../../compress/index.ts";
import { levelKinds } from "../../compress/projections/levels.ts";
import { structureForms } from "../../compress/projections/structure.ts";
import { CadnnError } from "../../errors.ts";
import { parsePreprocessing } from "../../image/index.ts";
import type { Graph } from "../../ir/graph.ts";
import { writeFileAtomic } from "../../node/files.ts";
import { augment } from "../../train/data/augment.ts";
import { type Dataset, joined } from "../../train/data/dataset.ts";
import type { MakeStepper } from "../../train/stepper.ts";
import type { TuningLog } from "../../tune/index.ts";
import { withBudget } from "../budget.ts";
import { checkpointFile } from "../checkpoint-file.ts";
import { type Command, type CommandContext, type Report, sharedArgs } from "../command.ts";
import { type Compressed, layerTable, weightsLine } from "../compress-report.ts";
import { openImages, parseAugmentation, readDataset } from "../datasets.ts";
import { formatBytes, formatCount, formatDuration, round } from "../format.ts";
import { readGraph } from "../model.ts";
import { type Options, parseInputShapes, usage } from "../options.ts";
import { calibrationImages, fitToImages, mirroredIfWanted, readLevels, readPlanFile, readPostTrainingPlan, readRate } from "../post-training.ts";
import { formatPairs } from "../table.ts";

export const command: Command = {
  name: "compress",
  description:
    "Prune a trained net with ADMM and retrain what is left; or prune and quantize it without training, from a folder of images. Ctrl-C saves a checkpoint; the same command goes on from it.",
  args: {
    model: { type: "positional", description: "Trained ONNX net" },
    output: { type: "string", alias: "o", description: "File to write, .onnx or .cadnn; may be repeated", valueHint: "FILE" },
    data: {
      type: "string",
      description: "Training images: csv, idx pair, mosaic or a folder for each class, as for eval; may be repeated; with --post-training also a folder of images",
      valueHint: "DATA",
    },
    validation: { type: "string", description: "Labelled images that accuracy is measured on; default: a tenth of the training images, set aside", valueHint: "DATA" },
    test: { type: "string", description: "Labelled images that both nets are measured on once, when all is done", valueHint: "DATA" },
    augment: {
      type: "string",
      description:
        "How training images are varied: shift=N (pixels at most, both ways), mirror, warp (turned, stretched and slanted a little), or several, such as shift=4,mirror. With --post-training, mirror: each image twice",
      valueHint: "LIST",
    },
    distill: { type: "string", description: "Learn from the dense net's answers too: their weight, 0 to 1, and a temperature (default 4)", valueHint: "WEIGHT[,T]" },
    teacher: { type: "string", description: "ONNX net to learn from in place of the dense net; with --distill 0.9 unless that is given", valueHint: "MODEL" },
    "post-training": { type: "boolean", description: "Fit the net layer by layer to what it computes on the images, without labels and training" },
    images: { type: "string", description: "Folder of a csv's files", valueHint: "DIR" },
    preprocess: sharedArgs.preprocess,
    "first-class": sharedArgs["first-class"],
    rate: { type: "string", description: "Weights divided by those that are kept", valueHint: "R" },
    sparsity: { type: "string", description: "The same as a share of zeros: 1 − 1/rate", valueHint: "S" },
    structure: { type: "string", description: `Weights that are kept or dropped together: ${structureForms}; default unstructured`, valueHint: "STRUCTURE" },
    bits: { type: "string", description: "Bits of each weight, or of each layer's, separated by commas, the last for all that follow", valueHint: "LIST" },
    levels: {
      type: "string",
      description: `With --bits: ${levelKinds.join(", ")}; default signed, or affine with --post-training where weights are not pruned`,
      valueHint: "KIND",
    },
    per: { type: "string", description: "With --bits: levels for each tensor (default in training) or each channel (default with --post-training)", valueHint: "channel|tensor" },
    method: { type: "string", description: "With --post-training: admm (default), or magnitude (greatest weights, nearest levels) to compare it with", valueHint: "METHOD" },
    report: { type: "string", description: "JSON file to write the report to", valueHint: "FILE.json" },
    scope: { type: "string", description: "Budget for the whole net (global, default) or the same for each layer (layer)", valueHint: "SCOPE" },
    budget: {
      type: "string",
      description: "How densities are chosen: rate (default, see --scope), sensitivity (least divergence of the output at the rate) or latency (least divergence in a given time)",
      valueHint: "BUDGET",
    },
    latency: { type: "string", description: "With --budget latency: share of the dense net's; without it, what the rate takes with all layers alike", valueHint: "SHARE" },
    target: { ...sharedArgs.target, description: "With --budget latency: target whose kernels are timed here or, for ARM64, counted in emulation" },
    core: { type: "string", description: "With --budget latency: ARM64 core to count cycles of, for instance a76", valueHint: "NAME" },
    tuning: { type: "string", description: "With --budget latency: measurements to use and to add to; default $XDG_CACHE_HOME/cadnn/tuning.jsonl", valueHint: "FILE.jsonl" },
    epochs: {
      type: "string",
      description: "Epochs of ADMM for each rate; default 4. With --post-training: of distillation of the pruned net on the images; default 0",
      valueHint: "N",
    },
    "retrain-epochs": { type: "string", description: "Epochs of masked retraining for each rate; default 4", valueHint: "N" },
    steps: { type: "string", description: "Rates on the way, rising, separated by commas", valueHint: "LIST" },
    batch: { type: "string", description: "Images a step; default 64", valueHint: "N" },
    seed: { type: "string", description: "Seed of shuffling and splitting; default 1", valueHint: "N" },
    plan: {
      type: "string",
      description: "JSON file with a compression plan, or lenet5, alexnet, vgg16, resnet18, resnet50, mobilenet-v1, mobilenet-v2 or inception-v3; the other options overrule it",
      valueHint: "PLAN",
    },
    limit: { type: "string", description: "Use only the first N training images; with --post-training N at random, default 512", valueHint: "N" },
    checkpoint: { type: "string", description: "File that the state is saved to and taken up from; default: OUTPUT.checkpoint", valueHint: "FILE" },
    "dry-run": { type: "boolean", description: "Tell what time and memory it is going to take, by a few steps, and do nothing else" },
    threads: sharedArgs.threads,
    reference: sharedArgs.reference,
    "input-shape": sharedArgs["input-shape"],
  },
  examples: [
    "cadnn compress resnet20.onnx --data train.png --test test.png --preprocess torch --augment shift=4,mirror --distill 0.9 --rate 4 -o small.onnx",
    "cadnn compress mobilenet.onnx --post-training --data photos --preprocess tf --bits 4 -o small.onnx -o small.cadnn",
    "cadnn compress net.onnx --post-training --data photos --budget latency --latency 0.6 --target wasm-arm64-relaxed --core a76 -o fast.onnx",
    "cadnn compress lenet5.onnx --data images.idx,labels.idx --preprocess mean=0.1307,std=0.3081 --sparsity 0.98 -o small.onnx",
  ],
  async run(options, context) {
    const path = options.required("model");
    if (!options.flag("dry-run")) options.required("output");
    const outputs = options.all("output");
    const data = options.required("data");
    const isPostTraining = options.flag("post-training");
    const plan = await (isPostTraining ? readPostTrainingPlan(options) : readPlan(options));
    const graph = await readGraph(path, { inputShapes: parseInputShapes(options.all("input-shape")) });
    const makeStepper = options.flag("reference")
      ? await import("../../train/interpreter-stepper.ts").then((m) => m.interpreterStepper)
      : await import("../stepper.ts").then((m) => m.kernelStepper(options.number("threads", { integer: true, min: 1, max: 64 })));
    if (options.flag("dry-run")) return dryRun(graph, plan, data, makeStepper, options, context);
    const labelled = async (name: string) => {
      const path = options.text(name);
      return path === undefined ? undefined : readDataset(graph, await openImages(path, options.text("images")), options, context, undefined);
    };
    const [validation, test] = [await labelled("validation"), await labelled("test")];
    const teacherPath = options.text("teacher");
    const teacher = teacherPath === undefined ? undefined : await readGraph(teacherPath, { inputShapes: parseInputShapes(options.all("input-shape")) });
    const store = checkpointFile(options.text("checkpoint") ?? `${outputs[0]}.checkpoint`);
    if (await store.exists()) context.progress.note(`Going on from ${store.path}.`);
    context.interruptible();
    const shared = { makeStepper, validation, store, signal: context.signal };
    const budgetFile = `${store.path}.budget.json`;
    const compressed = async () => {
      const images = await (isPostTraining ? calibrationImages(graph, data, options, context) : trainingImages(graph, options, context));
      const varied = isPostTraining ? mirroredIfWanted(images, options) : images;
      const measuring = { makeStepper, method: isPostTraining ? "admm" : "magnitude", file: budgetFile } as const;
      const budgeted = await withBudget(graph, plan, images, measuring, options, context);
      const result = await (isPostTraining
        ? fitToImages(graph, budgeted.plan as PostTrainingOptions, varied, shared, context)
        : train(graph, budgeted.plan as PlanOptions, images, { ...shared, teacher, test }, context));
      return {
        ...result,
        table: [...budgeted.table, result.table].join("\n\n"),
        summary: [...result.summary, ...budgeted.summary],
        json: { ...result.json, ...budgeted.json },
        tuning: budgeted.tuning,
      };
    };
    const {
      graph: net,
      tuning,
      ...result
    } = await compressed().catch((error: unknown) => {
      throw withResumeHint(error, store.path);
    });
    const files = await writeNet(net, outputs, tuning);
    const report = options.text("report");
    if (report !== undefined) await writeFileAtomic(report, `${JSON.stringify(result.json, undefined, 2)}\n`);
    for (const file of [store.path, budgetFile]) await rm(file, { force: true });
    const list = files.map(({ file, bytes }): [string, string] => ["file", `${file}, ${formatBytes(bytes)}`]);
    const [first] = files;
    return { text: `${result.table}\n\n${formatPairs([...result.summary, ...list])}`, json: { ...first, files, ...result.json } };
  },
};

/** What it would take. */
async function dryRun(graph: Graph, plan: PlanOptions | PostTrainingOptions, data: string, makeStepper: MakeStepper, options: Options, context: CommandContext): Promise<Report> {
  const { postTrainingCost, trainingCost } = await import("../../compress/index.ts");
  const cost = options.flag("post-training")
    ? await postTrainingCost(graph, plan as PostTrainingOptions, mirroredIfWanted(await calibrationImages(graph, data, options, context), options), makeStepper)
    : await trainingCost(graph, plan as PlanOptions, await trainingImages(graph, options, context), makeStepper);
  const { images, epochs, steps, batch, seconds, bytes } = cost;
  const text = formatPairs([
    ["images", `${formatCount(images)}${epochs === undefined ? "" : `, ${epochs} epochs`}`],
    ...(steps === undefined ? [] : [["steps", `${formatCount(steps)} of ${batch} images`] as [string, string]]),
    ["memory", `${formatBytes(bytes)}${seconds === undefined ? ", more than a module can have: lower --batch" : ""}`],
    ["time", seconds === undefined ? "unknown" : `about ${formatDuration(seconds)}`],
  ]);
  return { text, json: cost };
}

/** The training images, varied where the options say so. */
async function trainingImages(graph: Graph, options: Options, context: CommandContext): Promise<Dataset> {
  const parts: Dataset[] = [];
  for (const path of options.all("data")) parts.push(await readDataset(graph, await openImages(path, options.text("images")), options, context));
  const images = joined(parts);
  const augmentation = options.text("augment");
  return augmentation === undefined
    ? images
    : augment(images, parseAugmentation(augmentation, parsePreprocessing(options.text("preprocess") ?? "none"), images.inputShape[0] === 1 ? 1 : 3));
}

/** `--distill WEIGHT[,T]`, which `--teacher` implies. */
function readDistill(options: Options, plan: PlanOptions): Pick<PlanOptions, "distill"> {
  const text = options.text("distill") ?? (options.text("teacher") === undefined || plan.distill !== undefined ? undefined : "0.9");
  if (text === undefined) return {};
  const [weight = Number.NaN, temperature = 4, ...more] = text.split(",").map(Number);
  if (!(weight > 0 && weight <= 1 && temperature > 0 && Number.isFinite(temperature)) || more.length > 0)
    throw usage(`--distill is "${text}"`, "--distill", "Give a weight above 0 and at most 1 and, after a comma, a temperature above 0: 0.9,4.");
  return { distill: { weight, temperature } };
}

async function train(graph: Graph, plan: PlanOptions, dataset: Dataset, shared: Omit<CompressOptions, "observer">, { progress }: CommandContext): Promise<Compressed> {
  const { compress } = await import("../../compress/index.ts");
  const { graph: compressed, report } = await compress(graph, plan, dataset, {
    ...shared,
    observer: (p) => progress.update(p.run.step, p.run.steps, `${p.phase}, epoch ${p.epoch}/${p.epochs}, loss ${p.loss.toFixed(4)}, ${p.accuracy.toFixed(1)} %`, p.run.etaSeconds),
  });
  const { accuracy } = report;
  const pruned = accuracy.pruned.map((p) => `${p.accuracy.toFixed(2)} % pruned at ${round(p.rate, 1)}×, `).join("");
  const quantized = accuracy.quantized === undefined ? "" : `${accuracy.quantized.toFixed(2)} % rounded to levels, `;
  return {
    graph: compressed,
    table: layerTable(report.layers),
    summary: [
      weightsLine(report),
      ["accuracy", `${accuracy.before.toFixed(2)} % before, ${pruned}${quantized}${accuracy.after.toFixed(2)} % after`],
      ["measured on", `${report.validationImages} images`],
      ["storage", `1/${round(report.storage.weightsOnlyRatio, 1)} weights only, 1/${round(report.storage.honestRatio, 1)} with their positions and all else`],
      ...(report.test === undefined ? [] : [testLine(report.test)]),
    ],
    json: { ...report },
  };
}

const testLine = ({ before, after, images }: NonNullable<CompressionReport["test"]>): [string, string] => [
  "test set",
  `${before.toFixed(2)} % before, ${after.toFixed(2)} % after, ${images} images`,
];

/** An ONNX or a compiled file, as its name says. */
async function writeNet(graph: Graph, paths: readonly string[], tuning: TuningLog | undefined): Promise<{ file: string; bytes: number }[]> {
  const files: { file: string; bytes: number }[] = [];
  for (const file of paths) {
    const bytes = file.endsWith(".cadnn")
      ? await import("../../compile/index.ts").then(({ compile }) => compile(graph, tuning === undefined ? {} : { tuning }))
      : await import("../../frontend/onnx/index.ts").then(({ exportOnnx }) => exportOnnx(graph, { dynamicBatch: true }));
    await writeFileAtomic(file, bytes);
    files.push({ file, bytes: bytes.length });
  }
  return files;
}

function withResumeHint(error: unknown, path: string): unknown {
  if (!(error instanceof CadnnError) || error.code !== "E_INTERRUPTED") return error;
  return new CadnnError(error.code, error.message, { at: error.at, hint: `Run the same command again to go on from ${path}.`, cause: error });
}

async function readPlan(options: Options): Promise<PlanOptions> {
  if (options.text("method") !== undefined) throw usage("--method is for nets that are not trained", "--method", "Give --post-training as well.");
  const plan = (await readPlanFile(options)) as PlanOptions;
  const target = readRate(options, plan);
  const structure = options.text("structure") ?? plan.structure;
  const quantize = { ...plan.quantize, ...readLevels(options) };
  if (target.rate === undefined && target.sparsity === undefined && !structure?.includes(":") && quantize.bits === undefined && options.text("latency") === undefined)
    throw usage("the compression rate is missing", "--rate", "Give --rate, --sparsity, --bits, or a plan with one of them.");
  const scope = options.text("scope");
  if (scope !== undefined && scope !== "global" && scope !== "layer") throw usage(`there is no scope "${scope}"`, "--scope", "Use global or layer.");
  const epochs = options.number("epochs", { min: 0 });
  const retrainEpochs = options.number("retrain-epochs", { min: 0 });
  const steps = options.text("steps")?.split(",").map(Number);
  if (steps?.some((s) => !(s >= 1))) throw usage(`--steps is "${options.text("steps")}"`, "--steps", "Give rising rates, for instance 4,16.");
  const batch = options.number("batch", { integer: true, min: 1 });
  const seed = options.number("seed", { integer: true, min: 0 });
  const { rate: _rate, sparsity: _sparsity, ...rest } = plan;
  return {
    ...rest,
    ...target,
    ...readDistill(options, plan),
    ...(structure === undefined ? {} : { structure }),
    ...(quantize.bits === undefined ? {} : { quantize: { ...quantize, bits: quantize.bits } }),
    ...(scope === undefined ? {} : { scope }),
    ...(steps === undefined ? {} : { steps }),
    ...(batch === undefined ? {} : { batch }),
    ...(seed === undefined ? {} : { seed }),
    ...(epochs === undefined ? {} : { admm: { ...plan.admm, epochs } }),
    ...(retrainEpochs === undefined ? {} : { retrain: { ...plan.retrain, epochs: retrainEpochs } }),
  };
}
