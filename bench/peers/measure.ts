import { pathToFileURL } from "node:url";
import { type ContenderRow, contenders } from "./contenders/index.ts";
import type { Models, Variant } from "./models.ts";
import type { Loaded } from "./protocol.ts";
import { type Measurement, relativeError } from "./report.ts";
import type { FileServer } from "./server.ts";
import { openChromiumStage, openNodeStage, openPythonStage, type Stage } from "./stage.ts";

export interface Plan {
  readonly variants: readonly Variant[];
  readonly contenders: readonly string[];
  readonly rounds: number;
  readonly runs: number;
  readonly warmupMs: number;
}

export interface Tools {
  readonly models: Models;
  readonly server: FileServer;
  readonly python: string | undefined;
  progress(text: string): void;
}

export interface Entry {
  readonly contender: string;
  readonly row: ContenderRow;
  readonly variant: Variant;
  readonly model: string;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Which of the contenders can be measured; says why others cannot. */
export async function entriesOf(net: string, plan: Plan, { models, python, progress }: Tools): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const contender of plan.contenders) {
    const row = contenders[contender] as ContenderRow;
    if (row.host === "python" && python === undefined) {
      progress(`${net}: ${contender} is left out: no --python`);
      continue;
    }
    const wanted = row.denseOnly === true ? (["dense"] as const) : plan.variants.filter((v) => v === "sparse" || row.sparseOnly !== true);
    for (const variant of wanted) {
      const model = await models.file(net, variant, row.form);
      if (model === undefined) progress(`${net}: ${contender} (${variant}) is left out: there is no ${row.form} file`);
      else entries.push({ contender, row, variant, model });
    }
  }
  return entries;
}

export function openStage(name: string, row: ContenderRow, { server, python }: Tools): Promise<Stage> | Stage {
  if (row.host === "chromium") return openChromiumStage(name, server.origin);
  return row.host === "node" ? openNodeStage(name, row.flags) : openPythonStage(name, python ?? "python3");
}

export interface Pace {
  readonly warmupMs: number;
  readonly settleMs?: number;
}

export function load(stage: Stage, row: ContenderRow, model: string, net: string, threads: number, { warmupMs, settleMs = 0 }: Pace, { models, server }: Tools): Promise<Loaded> {
  const url = (path: string) => (row.host === "chromium" ? server.share(path) : pathToFileURL(path).href);
  const { path, shape } = models.input(net);
  const { module, library, layout } = row;
  const cached = row.host === "chromium" ? [library, ...(row.files?.(threads) ?? [])] : [];
  return stage.ask({ kind: "load", module, library, threads, model: url(model), input: url(path), shape, layout, cached, settleMs, warmupMs });
}

/** What onnxruntime's native code makes of the net. */
async function referenceOf(net: string, variant: Variant, tools: Tools): Promise<readonly number[]> {
  const row = contenders["onnxruntime-node"] as ContenderRow;
  const stage = openNodeStage("reference");
  try {
    const { output } = await load(stage, row, (await tools.models.file(net, variant, "onnx")) as string, net, 1, { warmupMs: -1 }, tools);
    return output;
  } finally {
    stage.end();
  }
}

/** Inferences of a turn that are not timed take so long, in milliseconds. */
const wakeMs = 50;

/** Measures all contenders and variants of one net with one number of threads, in turns. */
export async function measure(net: string, threads: number, plan: Plan, tools: Tools): Promise<Measurement[]> {
  const { progress, models } = tools;
  const what = `${net}, ${threads} thread${threads === 1 ? "" : "s"}`;
  const entries = await entriesOf(net, plan, tools);
  const references = new Map<Variant, readonly number[]>();
  for (const { variant } of entries) if (!references.has(variant)) references.set(variant, await referenceOf(net, variant, tools));
  const running: (Entry & { readonly stage: Stage; readonly loaded: Loaded; readonly times: number[] })[] = [];
  try {
    for (const entry of entries) {
      const name = `${entry.contender} (${entry.variant})`;
      progress(`${what}: loading ${name}`);
      const stage = await openStage(name, entry.row, tools);
      try {
        running.push({ ...entry, stage, loaded: await load(stage, entry.row, entry.model, net, threads, plan, tools), times: [] });
      } catch (error) {
        stage.end();
        progress(`${what}: ${name} is left out: ${messageOf(error)}`);
      }
    }
    const failed = new Set<Stage>();
    for (let round = 0; round < plan.rounds; round++) {
      if (round % 5 === 0) progress(`${what}: round ${round + 1} of ${plan.rounds}`);
      // Each round starts with another contender, so that none always follows the same one.
      for (let i = 0; i < running.length; i++) {
        const { stage, times, contender, variant } = running[(i + round) % running.length] as (typeof running)[number];
        if (failed.has(stage)) continue;
        try {
          times.push(...(await stage.ask({ kind: "turn", runs: plan.runs, wakeMs })).times);
        } catch (error) {
          failed.add(stage);
          progress(`${what}: ${contender} (${variant}) drops out: ${messageOf(error)}`);
        }
      }
    }
    const finished = running.filter(({ stage }) => !failed.has(stage));
    return finished.map(({ contender, row, variant, stage, loaded, times }) => {
      const reference = row.tfPadding === true ? models.tfExpected(net, variant) : references.get(variant);
      const { loadMs, firstMs, output } = loaded;
      const error = reference === undefined ? undefined : relativeError(output, reference);
      return { net, threads, contender, variant, against: row.against ?? "cadnn", engine: stage.engine, loadMs, firstMs, times, error, lossy: row.lossy === true };
    });
  } finally {
    for (const { stage } of running) stage.end();
  }
}
