import { existsSync } from "node:fs";
import type { CalibrationImages, PlanOptions, PostTrainingContext, PostTrainingOptions } from "../compress/index.ts";
import { type LevelKind, levelKinds } from "../compress/projections/levels.ts";
import type { Graph } from "../ir/graph.ts";
import { readText } from "../node/files.ts";
import { mirrored } from "../train/data/augment.ts";
import { type Dataset, shuffled } from "../train/data/dataset.ts";
import { createRandom } from "../zoo/random.ts";
import type { CommandContext } from "./command.ts";
import { type Compressed, layerTable, weightsLine } from "./compress-report.ts";
import { openUnlabelled, readDataset } from "./datasets.ts";
import { type Options, parseJson, usage } from "./options.ts";

const defaultImages = 512;

/** The plan file, overruled by the options of the command line. */
export async function readPostTrainingPlan(options: Options): Promise<PostTrainingOptions> {
  const plan = (await readPlanFile(options)) as PostTrainingOptions;
  const target = readRate(options, plan);
  for (const name of ["retrain-epochs", "steps", "distill", "teacher", "test"])
    if (options.text(name) !== undefined) throw usage(`--${name} is for training`, `--${name}`, "Leave out either it or --post-training.");
  const { rate: _rate, sparsity: _sparsity, ...rest } = plan;
  const given = {
    structure: options.text("structure"),
    scope: oneOf(options, "scope", ["layer", "global"] as const),
    method: oneOf(options, "method", ["admm", "magnitude"] as const),
    batch: options.number("batch", { integer: true, min: 1 }),
    seed: options.number("seed", { integer: true, min: 0 }),
    ...readLevels(options),
  };
  const epochs = options.number("epochs", { min: 0 });
  const distill = epochs === undefined ? {} : { distill: { ...plan.distill, epochs } };
  return { ...rest, ...target, ...distill, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

/** What `--plan` names: a JSON file, or a plan of the package, of which a net that is not trained takes the rate and the layers. */
export async function readPlanFile(options: Options): Promise<PlanOptions | PostTrainingOptions> {
  const name = options.text("plan");
  if (name === undefined) return {};
  const { plans } = await import("../compress/plans/index.ts");
  if (!Object.hasOwn(plans, name) || existsSync(name)) {
    if (!existsSync(name) && !name.includes(".")) throw usage(`there is no plan "${name}"`, "--plan", `Give a JSON file, or one of ${Object.keys(plans).join(", ")}.`);
    return parseJson(await readText(name), name) as PlanOptions;
  }
  const plan: PlanOptions = plans[name as keyof typeof plans];
  if (!options.flag("post-training")) return plan;
  const { rate, layers, pruneAll } = plan;
  return { ...(rate === undefined ? {} : { rate }), ...(layers === undefined ? {} : { layers }), ...(pruneAll === undefined ? {} : { pruneAll }) };
}

/** How much is to be left out: by the command line or, if it does not say, by the plan. */
export function readRate(options: Options, plan: { readonly rate?: number; readonly sparsity?: number }): { readonly rate?: number; readonly sparsity?: number } {
  const rate = options.number("rate", { min: 1 });
  const sparsity = options.number("sparsity", { min: 0, below: 1 });
  if (rate !== undefined && sparsity !== undefined) throw usage("--rate and --sparsity say the same thing", "--sparsity", "Give one of them.");
  if (rate !== undefined) return { rate };
  if (sparsity !== undefined) return { sparsity };
  return { ...(plan.rate !== undefined && { rate: plan.rate }), ...(plan.sparsity !== undefined && { sparsity: plan.sparsity }) };
}

/** What the options say about levels. */
export function readLevels(options: Options): { readonly bits?: readonly number[]; readonly levels?: LevelKind; readonly per?: "channel" | "tensor" } {
  const bits = options.text("bits")?.split(",").map(Number);
  const levels = oneOf<LevelKind>(options, "levels", levelKinds);
  const per = oneOf(options, "per", ["channel", "tensor"] as const);
  return { ...(bits && { bits }), ...(levels && { levels }), ...(per && { per }) };
}

function oneOf<T extends string>(options: Options, name: string, values: readonly T[]): T | undefined {
  const text = options.text(name);
  const value = values.find((v) => v === text);
  if (text !== undefined && value === undefined) throw usage(`--${name} is "${text}"`, `--${name}`, `Use ${values.join(" or ")}.`);
  return value;
}

/** Images of a folder or a data set, whose labels are not looked at; at random where there are more than wanted. */
export async function calibrationImages(graph: Graph, data: string, options: Options, context: CommandContext): Promise<Dataset> {
  const all = await openUnlabelled(data, options.text("images"));
  const count = Math.min(all.count, options.number("limit", { integer: true, min: 1 }) ?? defaultImages);
  const order = shuffled(all.count, createRandom(options.number("seed", { integer: true, min: 0 }) ?? 1, "calibration")).subarray(0, count);
  return readDataset(graph, { ...all, count, label: () => 0, image: (i) => all.image(order[i] as number) }, options, context, undefined);
}

/** With `--augment mirror` each image counts twice. */
export function mirroredIfWanted(images: Dataset, options: Options): Dataset {
  const augmentation = options.text("augment");
  if (augmentation !== undefined && augmentation !== "mirror") throw usage(`--augment ${augmentation} is for training`, "--augment", "Use mirror, or leave out --post-training.");
  return augmentation === undefined ? images : mirrored(images);
}

interface Shared extends Omit<PostTrainingContext, "observer"> {
  readonly validation: Dataset | undefined;
}

/** Compresses without training; where there are labelled images, measures both nets on them. */
export async function fitToImages(graph: Graph, plan: PostTrainingOptions, images: CalibrationImages, shared: Shared, { progress }: CommandContext): Promise<Compressed> {
  const { compressPostTraining } = await import("../compress/index.ts");
  const { accuracyOf, bestClasses, predict } = await import("../train/evaluate.ts");
  const { validation, ...context } = shared;
  const { graph: compressed, report } = await compressPostTraining(graph, plan, images, { ...context, observer: (p) => progress.update(p.done, p.total, p.layer) });
  const summary: [string, string][] = [weightsLine(report), ["images", report.images.toString()]];
  for (const { name, reason } of report.left) summary.push(["left as it is", `${name}: ${reason}`]);
  if (validation === undefined) return { graph: compressed, table: layerTable(report.layers), summary, json: { ...report } };
  const predicted = (net: Graph) => predict(net, validation, context.makeStepper, { batch: plan.batch ?? 32, signal: context.signal });
  const [before, after] = [await predicted(graph), await predicted(compressed)];
  const answers = bestClasses(before);
  const accuracy = {
    before: accuracyOf(before, validation),
    after: accuracyOf(after, validation),
    agreement: (100 * bestClasses(after).filter((best, i) => best === answers[i]).length) / validation.count,
    images: validation.count,
  };
  summary.push(
    ["accuracy", `${accuracy.before.toFixed(2)} % before, ${accuracy.after.toFixed(2)} % after`],
    ["same answers", `${accuracy.agreement.toFixed(2)} %`],
    ["measured on", `${validation.count} images`],
  );
  return { graph: compressed, table: layerTable(report.layers), summary, json: { ...report, accuracy } };
}
