import { existsSync } from "node:fs";
import type { TargetName } from "../artifact/manifest.ts";
import type { BudgetOptions, BudgetReport, CalibrationImages, Goal, LayerPlan, PlanOptions, PostTrainingOptions } from "../compress/index.ts";
import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { compileOptimizedOnly, enableRelaxedSimd } from "../node/engine.ts";
import { readText, writeFileAtomic } from "../node/files.ts";
import { appendLine, defaultTuningFile, openLines } from "../node/tuning-file.ts";
import { shuffled } from "../train/data/dataset.ts";
import type { MakeStepper } from "../train/stepper.ts";
import type { Measurer, TuningLog } from "../tune/index.ts";
import { createRandom } from "../zoo/random.ts";
import type { CommandContext } from "./command.ts";
import { openMeasurer, parseLog } from "./commands/tune.ts";
import { formatMs, formatPercent } from "./format.ts";
import { readTarget } from "./model.ts";
import { type Options, parseJson, usage } from "./options.ts";
import { formatTable } from "./table.ts";

/** Densities that were chosen, as they are kept beside the checkpoint. */
interface Chosen {
  readonly layers: Readonly<Record<string, LayerPlan>>;
  readonly rate: number;
  readonly report: BudgetReport;
}

export interface Budgeted<P> {
  readonly plan: P;
  readonly table: readonly string[];
  readonly summary: readonly [string, string][];
  readonly json: Readonly<Record<string, unknown>>;
  /** What was measured of the kernels, to compile with. */
  readonly tuning: TuningLog | undefined;
}

interface Measuring {
  readonly makeStepper: MakeStepper;
  readonly method: BudgetOptions["method"];
  /** File that the densities are kept in until the run ends, so that one that goes on has the same. */
  readonly file: string;
}

type AnyPlan = PlanOptions | PostTrainingOptions;

/** `--budget`, with the goal by `--latency` or else by the rate; `undefined` for budgets that need no measuring. */
function readGoal(options: Options, { rate, sparsity }: AnyPlan): Goal | undefined {
  const kind = options.text("budget") ?? (options.text("latency") === undefined ? "rate" : "latency");
  const share = options.number("latency", { min: 0, below: 1 });
  if (kind !== "rate" && kind !== "sensitivity" && kind !== "latency") throw usage(`there is no budget "${kind}"`, "--budget", "Use rate, sensitivity or latency.");
  for (const name of ["latency", "target", "core", "tuning"])
    if (options.text(name) !== undefined && kind !== "latency") throw usage(`--${name} is for a budget of latency`, `--${name}`, "Give --budget latency, or leave it out.");
  if (kind === "rate") return undefined;
  if (share !== undefined) return { kind: "latency", share };
  const wanted = rate ?? (sparsity === undefined ? 1 : 1 / (1 - sparsity));
  if (!(wanted > 1)) throw usage(`a budget of ${kind} needs a goal`, "--budget", `Give ${kind === "latency" ? "--latency 0.6, or " : ""}--rate or --sparsity.`);
  return kind === "latency" ? { kind, asRate: wanted } : { kind: "rate", rate: wanted };
}

const mostImages = 256;

/** The plan with a density for each layer, measured and chosen as the command line says or as the run did that this one goes on with; else the plan itself. */
export async function withBudget<P extends AnyPlan>(
  graph: Graph,
  plan: P,
  images: CalibrationImages,
  { file, ...shared }: Measuring,
  options: Options,
  context: CommandContext,
): Promise<Budgeted<P>> {
  const goal = readGoal(options, plan);
  if (goal === undefined) return { plan, table: [], summary: [], json: {}, tuning: undefined };
  const { budgetTables, chooseDensities, makePlan } = await import("../compress/index.ts");
  const { progress, signal } = context;
  const { sparsity: _, ...rest } = plan;
  const { seed = 1, batch } = rest;
  const { ridge } = rest as PostTrainingOptions;
  const latency = goal.kind === "latency" ? await openLatency(options, context) : undefined;
  const measure = async (): Promise<Chosen> => {
    const order = shuffled(images.count, createRandom(seed, "budget"));
    const some: CalibrationImages = {
      ...images,
      count: Math.min(images.count, mostImages),
      batch: (indices, ...to) =>
        images.batch(
          Array.from(indices, (i) => order[i] as number),
          ...to,
        ),
    };
    const { pruneAll, structure, layers } = rest;
    const chosenBy = makePlan({ rate: 1, ...Object.fromEntries(Object.entries({ pruneAll, structure, layers }).filter(([, value]) => value !== undefined)) });
    const tables = await budgetTables(graph, chosenBy, some, {
      ...{ ...shared, seed, ridge, batch: batch ?? 32, signal, latency },
      onStage: (stage, done, total) => progress.update(done, total, stage === "kernels" ? "timing kernels" : "pruning each layer alone"),
    });
    const found = chooseDensities(tables, goal);
    await writeFileAtomic(file, `${JSON.stringify(found, undefined, 1)}\n`);
    return found;
  };
  const chosen = existsSync(file) ? (parseJson(await readText(file), file) as Chosen) : await measure();
  return {
    plan: { ...rest, layers: chosen.layers, rate: chosen.rate } as P,
    table: [budgetTable(chosen.report)],
    summary: latencyLine(chosen.report),
    json: { budget: { ...chosen.report, plan: { layers: chosen.layers, rate: chosen.rate } } },
    tuning: latency && (await readLog(latency.file)),
  };
}

async function openLatency(options: Options, { progress, signal }: CommandContext): Promise<NonNullable<BudgetOptions["latency"]> & { readonly file: string }> {
  enableRelaxedSimd();
  compileOptimizedOnly();
  const named = options.text("tuning") ?? "default";
  const file = named === "default" ? defaultTuningFile() : named;
  const { target, measurer } = await openMeasurer(options, signal).catch((error: unknown): { target: TargetName; measurer?: Measurer } => {
    if (!(error instanceof CadnnError) || error.code !== "E_TOOL_MISSING") throw error;
    progress.note(`Latencies are estimated, as the tools to count them are missing: ${error.message}.`);
    return { target: readTarget(options.text("target") ?? "wasm-arm64-relaxed") };
  });
  const { formatRecord } = await import("../tune/index.ts");
  return { file, target, measurer, log: await readLog(file), onRecord: (record) => appendLine(file, formatRecord(record)) };
}

async function readLog(file: string): Promise<TuningLog> {
  const { parseTuningLog } = await import("../tune/index.ts");
  return parseLog(parseTuningLog, await openLines(file), file);
}

/** What was chosen, one row a layer. */
function budgetTable({ layers }: BudgetReport): string {
  const isTimed = layers.some((l) => l.latency !== undefined);
  const columns = ["density", "divergence", ...(isTimed ? ["latency", "of dense", "break-even"] : [])];
  return formatTable(
    [{ title: "layer" }, ...columns.map((title) => ({ title, align: "right" as const }))],
    layers.map((l) => [
      ...[l.name, formatPercent(l.density), l.loss.toExponential(1)],
      ...(isTimed
        ? [l.latency?.toPrecision(3), formatPercent((l.latency ?? 0) / Math.max(1e-12, l.denseLatency ?? 1)), l.breakEven === undefined ? "none" : formatPercent(l.breakEven)]
        : []),
    ]),
  );
}

function latencyLine({ latency }: BudgetReport): [string, string][] {
  if (latency === undefined) return [];
  const { unit, dense, planned, target, engine } = latency;
  const format = (value: number) => (unit === "ms" ? formatMs(value) : `${value.toPrecision(3)} ${unit}`);
  return [["latency planned", `${format(planned)} of the dense net's ${format(dense)} on ${target} (${engine}), one thread`]];
}
