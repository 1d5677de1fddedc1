import { rm, stat } from "node:fs/promises";
import type { CompressionReport, PlanOptions } from "../../compress/index.ts";
import { structureForms } from "../../compress/projections/structure.ts";
import { CadnnError } from "../../errors.ts";
import { imageGeometry, parsePreprocessing } from "../../image/index.ts";
import type { Graph } from "../../ir/graph.ts";
import { elementCount } from "../../ir/types.ts";
import { readFile, readText, writeFileAtomic } from "../../node/files.ts";
import type { CheckpointStore } from "../../train/checkpoint.ts";
import { type Command, type CommandContext, type Report, sharedArgs } from "../command.ts";
import { openImages, trainingSet } from "../datasets.ts";
import { formatBytes, formatCount, formatPercent, round } from "../format.ts";
import { readGraph } from "../model.ts";
import { type Options, parseInputShapes, parseJson, usage } from "../options.ts";
import { formatPairs, formatTable } from "../table.ts";

export const command: Command = {
  name: "compress",
  description: "Prune a trained net with ADMM, retrain what is left, and write it as ONNX. Ctrl-C saves a checkpoint; the same command goes on from it.",
  args: {
    model: { type: "positional", description: "Trained ONNX net" },
    output: { type: "string", alias: "o", description: "ONNX file to write", valueHint: "FILE.onnx" },
    data: { type: "string", description: "Training images: csv, idx pair or mosaic, as for eval", valueHint: "DATA" },
    validation: { type: "string", description: "Images that accuracy is measured on; default: a tenth of the training images, set aside", valueHint: "DATA" },
    images: { type: "string", description: "Folder of a csv's files", valueHint: "DIR" },
    preprocess: sharedArgs.preprocess,
    "first-class": sharedArgs["first-class"],
    rate: { type: "string", description: "Weights divided by those that are kept", valueHint: "R" },
    sparsity: { type: "string", description: "The same as a share of zeros: 1 − 1/rate", valueHint: "S" },
    structure: { type: "string", description: `Weights that are kept or dropped together: ${structureForms}; default unstructured`, valueHint: "STRUCTURE" },
    scope: { type: "string", description: "Budget for the whole net (global, default) or the same for each layer (layer)", valueHint: "SCOPE" },
    epochs: { type: "string", description: "Epochs of ADMM for each rate; default 4", valueHint: "N" },
    "retrain-epochs": { type: "string", description: "Epochs of masked retraining for each rate; default 4", valueHint: "N" },
    steps: { type: "string", description: "Rates on the way, rising, separated by commas", valueHint: "LIST" },
    batch: { type: "string", description: "Images a step; default 64", valueHint: "N" },
    seed: { type: "string", description: "Seed of shuffling and splitting; default 1", valueHint: "N" },
    plan: { type: "string", description: "JSON file with a compression plan; the other options overrule it", valueHint: "FILE.json" },
    limit: { type: "string", description: "Use only the first N training images", valueHint: "N" },
    checkpoint: { type: "string", description: "File that the state is saved to and taken up from; default: OUTPUT.checkpoint", valueHint: "FILE" },
    threads: sharedArgs.threads,
    reference: sharedArgs.reference,
    "input-shape": sharedArgs["input-shape"],
  },
  examples: [
    "cadnn compress resnet20.onnx --data train.png --validation test.png --preprocess torch --rate 4 -o small.onnx",
    "cadnn compress lenet5.onnx --data images.idx,labels.idx --preprocess mean=0.1307,std=0.3081 --sparsity 0.98 -o small.onnx",
  ],
  async run(options, context) {
    const path = options.required("model");
    const output = options.required("output");
    const data = options.required("data");
    const plan = await readPlan(options);
    const graph = await readGraph(path, { inputShapes: parseInputShapes(options.all("input-shape")) });
    const [{ compress }, { exportOnnx }, makeStepper] = await Promise.all([
      import("../../compress/index.ts"),
      import("../../frontend/onnx/index.ts"),
      options.flag("reference")
        ? import("../../train/interpreter-stepper.ts").then((m) => m.interpreterStepper)
        : import("../stepper.ts").then((m) => m.kernelStepper(options.number("threads", { integer: true, min: 1, max: 64 }))),
    ]);
    const dataset = await readDataset(graph, data, options, context);
    const validationData = options.text("validation");
    const validation = validationData === undefined ? undefined : await readDataset(graph, validationData, options, context, undefined);
    const store = fileStore(options.text("checkpoint") ?? `${output}.checkpoint`);
    if (await store.exists()) context.progress.note(`Going on from ${store.path}.`);
    context.interruptible();
    const { progress, signal } = context;
    const { graph: compressed, report } = await compress(graph, plan, dataset, {
      makeStepper,
      validation,
      store,
      signal,
      observer: (p) => progress.update(p.step, p.steps, `${p.phase}, epoch ${p.epoch}/${p.epochs}, loss ${p.loss.toFixed(4)}, ${p.accuracy.toFixed(1)} %`),
    }).catch((error: unknown) => {
      throw withResumeHint(error, store.path);
    });
    const bytes = exportOnnx(compressed, { dynamicBatch: true });
    await writeFileAtomic(output, bytes);
    await rm(store.path, { force: true });
    return reportOf(output, bytes.length, report);
  },
};

function withResumeHint(error: unknown, path: string): unknown {
  if (!(error instanceof CadnnError) || error.code !== "E_INTERRUPTED") return error;
  return new CadnnError(error.code, error.message, { at: error.at, hint: `Run the same command again to go on from ${path}.`, cause: error });
}

async function readPlan(options: Options): Promise<PlanOptions> {
  const file = options.text("plan");
  const plan = file === undefined ? {} : (parseJson(await readText(file), file) as PlanOptions);
  const rate = options.number("rate", { min: 1 });
  const sparsity = options.number("sparsity", { min: 0, below: 1 });
  if (rate !== undefined && sparsity !== undefined) throw usage("--rate and --sparsity say the same thing", "--sparsity", "Give one of them.");
  const structure = options.text("structure") ?? plan.structure;
  if (rate === undefined && sparsity === undefined && plan.rate === undefined && plan.sparsity === undefined && !structure?.includes(":"))
    throw usage("the compression rate is missing", "--rate", "Give --rate, --sparsity, or a plan with one of them.");
  const scope = options.text("scope");
  if (scope !== undefined && scope !== "global" && scope !== "layer") throw usage(`there is no scope "${scope}"`, "--scope", "Use global or layer.");
  const epochs = options.number("epochs", { min: 0 });
  const retrainEpochs = options.number("retrain-epochs", { min: 0 });
  const steps = options.text("steps")?.split(",").map(Number);
  if (steps?.some((s) => !(s >= 1))) throw usage(`--steps is "${options.text("steps")}"`, "--steps", "Give rising rates, for instance 4,16.");
  const batch = options.number("batch", { integer: true, min: 1 });
  const seed = options.number("seed", { integer: true, min: 0 });
  const { rate: _rate, sparsity: _sparsity, ...rest } = plan;
  const target =
    rate !== undefined
      ? { rate }
      : sparsity !== undefined
        ? { sparsity }
        : { ...(_rate === undefined ? {} : { rate: _rate }), ...(_sparsity === undefined ? {} : { sparsity: _sparsity }) };
  return {
    ...rest,
    ...target,
    ...(structure === undefined ? {} : { structure }),
    ...(scope === undefined ? {} : { scope }),
    ...(steps === undefined ? {} : { steps }),
    ...(batch === undefined ? {} : { batch }),
    ...(seed === undefined ? {} : { seed }),
    ...(epochs === undefined ? {} : { admm: { ...plan.admm, epochs } }),
    ...(retrainEpochs === undefined ? {} : { retrain: { ...plan.retrain, epochs: retrainEpochs } }),
  };
}

async function readDataset(graph: Graph, data: string, options: Options, { progress }: CommandContext, limit = options.number("limit", { integer: true, min: 1 })) {
  const input = graph.inputs[0];
  const output = graph.outputs[0]?.value.type.shape;
  if (input === undefined || output === undefined || graph.inputs.length !== 1)
    throw new CadnnError("E_INVALID_GRAPH", `the net has ${graph.inputs.length} inputs`, {
      at: graph.name,
      hint: "Nets with one input, an image, can be trained here; use cadnn/train for others.",
    });
  const geometry = imageGeometry(input.type.shape, input.name);
  if (geometry.layout !== "NCHW")
    throw new CadnnError("E_SHAPE_MISMATCH", "the net takes channels last", { at: input.name, hint: "Training takes nets with inputs of shape [N, channels, height, width]." });
  const preprocessing = parsePreprocessing(options.text("preprocess") ?? "none");
  const outputs = elementCount(output) / (input.type.shape[0] ?? 1);
  const firstClass = options.number("first-class", { integer: true, min: 0 }) ?? 0;
  return trainingSet(await openImages(data, options.text("images")), { geometry, preprocessing, outputs, firstClass, limit }, progress);
}

function fileStore(path: string): CheckpointStore & { readonly path: string; exists(): Promise<boolean> } {
  const exists = () =>
    stat(path).then(
      () => true,
      () => false,
    );
  return { path, exists, save: (bytes) => writeFileAtomic(path, bytes), load: async () => ((await exists()) ? readFile(path) : undefined) };
}

function reportOf(file: string, bytes: number, report: CompressionReport): Report {
  const { accuracy } = report;
  const layers = formatTable(
    [{ title: "layer" }, { title: "weights", align: "right" }, { title: "kept", align: "right" }, { title: "density", align: "right" }, { title: "residual", align: "right" }],
    report.layers.map((l) => [l.name, formatCount(l.weights), formatCount(l.kept), formatPercent(l.density), l.residual?.toFixed(3)]),
  );
  const summary = formatPairs([
    ["weights", `${formatCount(report.kept)} of ${formatCount(report.weights)} kept, ${report.rate.toFixed(1)}×`],
    [
      "accuracy",
      `${accuracy.before.toFixed(2)} % before, ${accuracy.pruned.map((p) => `${p.accuracy.toFixed(2)} % pruned at ${round(p.rate, 1)}×, `).join("")}${accuracy.after.toFixed(2)} % after`,
    ],
    ["measured on", `${report.validationImages} images`],
    ["file", `${file}, ${formatBytes(bytes)}`],
  ]);
  return { text: `${layers}\n\n${summary}`, json: { file, bytes, ...report } };
}
