import { parseArgs } from "node:util";
import type { TargetName } from "../src/artifact/manifest.ts";
import { round } from "../src/cli/format.ts";
import { formatTable } from "../src/cli/table.ts";
import type { Target } from "../src/codegen/target.ts";
import { type Costs, canonicalText } from "../src/kernels/costs.ts";
import { legalize } from "../src/lower/legalize.ts";
import { optimize } from "../src/passes/index.ts";
import { type Candidate, candidatesOf, rankByModel, type Task, tasksOf } from "../src/tune/candidates.ts";
import { createWasmMeasurer, emptyLog, type Measurer, measuredCosts, type TuningLog, tune } from "../src/tune/index.ts";
import { type Host, record, runIn, targetToMeasure, thisHost } from "./host.ts";
import { type Layer, layersThat } from "./layers.ts";
import { formatWeights, layerGraph } from "./shapes.ts";

const usage = `npm run bench:tuning -- [filter …] [options]

Tunes layers of bench/shapes/*.txt, one after another with one log, and compares what the tuner picks with the best of all choices: all are
measured, and then the pick, the choice that is estimated best and the fastest ones side by side. Filters are as of bench:kernels.

  --every N         takes every Nth layer only; default 1
  --rounds N        rounds side by side, default 40
  --target NAME     default: the best one of this engine
  --node PATH       another Node to run in
  --out FILE        the JSON to update; default bench/results/tuning.json, if no filter is given`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: "string", default: "1" },
    rounds: { type: "string", default: "40" },
    target: { type: "string" },
    node: { type: "string" },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

interface Row {
  readonly layer: string;
  readonly kernel: string;
  /** Choices there are, and that the tuner measured. */
  readonly space: number;
  readonly tried: number;
  /** Rounds that the tuner measured, and that measuring all choices as often as the tuner's finalists takes. */
  readonly rounds: number;
  readonly allRounds: number;
  readonly bestUs: number;
  /** Times over the best's. */
  readonly picked: number;
  readonly estimated: number;
}

interface TuningRun {
  readonly host: Host;
  readonly target: TargetName;
  readonly layers: number;
  /** Share of problems whose pick takes at most 1.1 times the best's time. */
  readonly within10: number;
  readonly meanPicked: number;
  readonly worstPicked: number;
  readonly meanEstimated: number;
  readonly worstEstimated: number;
  /** Shares of the exhaustive search's choices and measurements. */
  readonly choiceShare: number;
  readonly roundShare: number;
  readonly rows: readonly Row[];
}

/** Counts the rounds of each choice. */
function counting(measurer: Measurer): { readonly measurer: Measurer; readonly rounds: Map<string, number> } {
  const rounds = new Map<string, number>();
  const measure: Measurer["measure"] = (candidates, count) => {
    for (const c of candidates) rounds.set(nameOf(c), (rounds.get(nameOf(c)) ?? 0) + count);
    return measurer.measure(candidates, count);
  };
  return { measurer: { engine: measurer.engine, measure }, rounds };
}

const nameOf = ({ call, choice }: Candidate): string => `${call.template.name} ${canonicalText(call.problem)} ${choice}`;

/** Tunes one layer; then measures everything. */
async function compare(layer: Layer, target: Target, log: TuningLog, own: Measurer): Promise<{ readonly log: TuningLog; readonly rows: readonly Row[] }> {
  const graph = legalize(optimize(layerGraph(layer.shape, layer.weights)));
  const { measurer, rounds } = counting(own);
  const tuned = await tune(graph, { target, measurer, log, inNet: false });
  const costs = measuredCosts(tuned.log);
  const tasks = tasksOf(graph, target, costs, (space) => space, rankByModel).filter((t) => t.space > 1);
  const rows: Row[] = [];
  for (const [task, candidates] of candidatesOf(graph, target, costs, tasks)) {
    const counts = candidates.map((c) => rounds.get(nameOf(c)) ?? 0);
    // Problems that an earlier layer shares were measured there.
    if (counts.some((n) => n > 0)) rows.push(await sideBySide(layer, task, candidates, counts, costs, own));
  }
  return { log: tuned.log, rows };
}

async function sideBySide(layer: Layer, task: Task, candidates: readonly Candidate[], counts: readonly number[], costs: Costs, measurer: Measurer): Promise<Row> {
  const first = await measurer.measure(candidates, 5);
  const fastest = [...candidates].sort((a, b) => (first[candidates.indexOf(a)] as number) - (first[candidates.indexOf(b)] as number));
  const picked = canonicalText(costs.best(task.template, task.problem, (candidates[0] as Candidate).target)?.choice);
  const pick = candidates.find((c) => c.choice === picked) as Candidate;
  const estimate = candidates[0] as Candidate;
  const finalists = [...new Set([pick, estimate, ...fastest.slice(0, 5)])];
  const ns = await measurer.measure(finalists, Number(values.rounds));
  const best = Math.min(...ns);
  return {
    layer: `${layer.net} ${layer.shape.node} ${formatWeights(layer.weights)}`,
    kernel: task.template.name,
    space: candidates.length,
    tried: counts.filter((n) => n > 0).length,
    rounds: counts.reduce((a, b) => a + b, 0),
    allRounds: candidates.length * Math.max(...counts),
    bestUs: round(best / 1000, 1),
    picked: round((ns[0] as number) / best),
    estimated: round((ns[finalists.indexOf(estimate)] as number) / best),
  };
}

function summarize(rows: readonly Row[]): Omit<TuningRun, "host" | "target" | "layers" | "rows"> {
  const sum = (of: (row: Row) => number) => rows.reduce((n, row) => n + of(row), 0);
  const mean = (of: (row: Row) => number) => round(Math.exp(sum((row) => Math.log(of(row))) / rows.length));
  const worst = (of: (row: Row) => number) => Math.max(...rows.map(of));
  return {
    within10: round(sum((r) => (r.picked <= 1.1 ? 1 : 0)) / rows.length),
    meanPicked: mean((r) => r.picked),
    worstPicked: worst((r) => r.picked),
    meanEstimated: mean((r) => r.estimated),
    worstEstimated: worst((r) => r.estimated),
    choiceShare: round(sum((r) => r.tried) / sum((r) => r.space)),
    roundShare: round(sum((r) => r.rounds) / sum((r) => r.allRounds)),
  };
}

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  if (values.node !== undefined) process.exit(runIn(values.node));
  const target = targetToMeasure(values.target);
  const measurer = createWasmMeasurer({ warmupMs: 0 });
  const layers = layersThat(positionals).filter((_, i) => i % Number(values.every) === 0);
  const rows: Row[] = [];
  let log = emptyLog;
  for (const [i, layer] of layers.entries()) {
    process.stderr.write(`${i + 1}/${layers.length} ${layer.net} ${layer.shape.node} ${formatWeights(layer.weights)}\n`);
    const compared = await compare(layer, target, log, measurer);
    log = compared.log;
    rows.push(...compared.rows);
  }
  const run: TuningRun = { host: thisHost(), target: target.name, layers: layers.length, ...summarize(rows), rows };
  const right = (title: string) => ({ title, align: "right" }) as const;
  const table = formatTable(
    [{ title: "layer" }, { title: "kernel" }, right("choices"), right("tried"), right("best µs"), right("picked"), right("estimated")],
    rows.map((r) => [r.layer, r.kernel, r.space, r.tried, r.bestUs.toFixed(1), `${r.picked.toFixed(2)}×`, `${r.estimated.toFixed(2)}×`]),
  );
  const { rows: _, host, ...summary } = run;
  console.log(`${host.engine}, ${target.name}\n\n${table}\n\n${JSON.stringify(summary, undefined, 1)}`);
  const file = values.out ?? (positionals.length === 0 ? new URL("results/tuning.json", import.meta.url).pathname : undefined);
  if (file !== undefined) record(file, run);
}

await main();
