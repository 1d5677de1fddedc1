import { existsSync, readFileSync, rmSync } from "node:fs";
import { parseArgs } from "node:util";
import type { TargetName } from "../src/artifact/manifest.ts";
import { round } from "../src/cli/format.ts";
import { formatTable } from "../src/cli/table.ts";
import { targets } from "../src/codegen/target.ts";
import { canonicalText, estimatedCosts } from "../src/kernels/costs.ts";
import { lower } from "../src/lower/index.ts";
import { legalize } from "../src/lower/legalize.ts";
import { createCycleCounter } from "../src/node/arm64/index.ts";
import { enableRelaxedSimd } from "../src/node/engine.ts";
import { appendLine, openLines } from "../src/node/tuning-file.ts";
import { optimize, passesFor } from "../src/passes/index.ts";
import { candidatesOf, rankByModel, taskKey, tasksOf } from "../src/tune/candidates.ts";
import { createCountingMeasurer, defaultCosts } from "../src/tune/index.ts";
import { type ZooName, zooGraph } from "../src/zoo/index.ts";
import { record, thisHost } from "./host.ts";
import { pruningOf } from "./pruning.ts";

const usage = `npm run bench:arm-tuning -- [options]

Counts all choices of each kernel call of the four nets, dense and pruned, as they are compiled for ARM64, in emulation, and compares the choices that come with
the package, and those of the cost models alone, with the best: by the geometric mean of the estimated cycles on A55, A76, A710 and X1. Takes hours.

  --log FILE        counts so far, to go on from, if they are of these sources; default bench/results/arm64-choices.jsonl, which is deleted when all is done
  --targets LIST    default wasm-arm64-relaxed,wasm-arm64-plain
  --nets LIST       default mobilenet_v1,mobilenet_v2,resnet50,inception_v3
  --every N         takes every Nth problem only; default 1
  --seconds N       stops after so many
  --out FILE        the JSON to update; default bench/results/arm64-tuning.json, if everything is counted`;

const { values } = parseArgs({
  options: {
    log: { type: "string", default: new URL("results/arm64-choices.jsonl", import.meta.url).pathname },
    targets: { type: "string", default: "wasm-arm64-relaxed,wasm-arm64-plain" },
    nets: { type: "string", default: "mobilenet_v1,mobilenet_v2,resnet50,inception_v3" },
    every: { type: "string", default: "1" },
    seconds: { type: "string", default: "Infinity" },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** What is to be compared: a kernel and problem that the nets are compiled to. */
interface Row {
  readonly layer: string;
  readonly kernel: string;
  readonly target: TargetName;
  readonly choices: number;
  /** Millions of cycles. */
  readonly best: number;
  /** Cycles over the best's. */
  readonly shipped: number;
  readonly estimated: number;
}

/** Cycles of each choice, by target, kernel and problem. */
type Counts = Map<string, Readonly<Record<string, number>>>;

async function readCounts(): Promise<Counts> {
  const lines = (await openLines(values.log)).split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => JSON.parse(line) as [string, Record<string, number>]));
}

async function compare(net: ZooName, sparsity: number, name: TargetName, counts: Counts, deadline: number): Promise<Row[]> {
  const source = zooGraph(net, { sparsity, seed: 1 });
  const graph = legalize(optimize(source, { passes: passesFor(source) }));
  const target = targets[name];
  const nodes = new Map(lower(graph, target, { costs: defaultCosts }).calls.map((call) => [taskKey(call.template, call.problem), call.node]));
  const tasks = tasksOf(graph, target, defaultCosts, (space) => space, rankByModel).filter((task, i) => task.space > 1 && i % Number(values.every) === 0);
  const left = tasks.filter((task) => !counts.has(`${name} ${task.key}`));
  const measurer = createCountingMeasurer(await createCycleCounter());
  const started = performance.now();
  const total = left.reduce((n, task) => n + task.space, 0);
  let done = 0;
  for (const task of left) {
    if (performance.now() > deadline) return [];
    const candidates = candidatesOf(graph, target, defaultCosts, [task]).get(task) ?? [];
    const cycles = await measurer.measure(candidates, 1);
    const counted = Object.fromEntries(candidates.map((c, i) => [c.choice, Math.round(cycles[i] as number)]));
    counts.set(`${name} ${task.key}`, counted);
    await appendLine(values.log, `${JSON.stringify([`${name} ${task.key}`, counted])}\n`);
    done += task.space;
    const seconds = (performance.now() - started) / 1000;
    process.stderr.write(`\r${name} ${net} ${sparsity}: ${done} of ${total} choices, ${Math.round((seconds * (total - done)) / done)} s left  `);
  }
  if (total > 0) process.stderr.write("\n");
  return tasks.map(({ template, problem, key, space }): Row => {
    const counted = counts.get(`${name} ${key}`) ?? {};
    const best = Math.min(...Object.values(counted));
    const over = (costs: typeof estimatedCosts) => round((counted[canonicalText(costs.best(template, problem, target)?.choice)] ?? Number.POSITIVE_INFINITY) / best);
    const layer = `${net} ${sparsity === 0 ? "dense" : sparsity} ${nodes.get(key) ?? ""}`;
    return { layer, kernel: template.name, target: name, choices: space, best: round(best / 1e6), shipped: over(defaultCosts), estimated: over(estimatedCosts) };
  });
}

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  enableRelaxedSimd();
  const counts = await readCounts();
  const deadline = performance.now() + 1000 * Number(values.seconds);
  const rows: Row[] = [];
  for (const name of values.targets.split(",") as TargetName[])
    for (const net of values.nets.split(",") as ZooName[]) for (const sparsity of [pruningOf(net), 0]) rows.push(...(await compare(net, sparsity, name, counts, deadline)));
  const right = (title: string) => ({ title, align: "right" }) as const;
  const times = (n: number) => `${n.toFixed(3)}×`;
  console.log(
    formatTable(
      [{ title: "layer" }, { title: "kernel" }, { title: "target" }, right("choices"), right("best, M cycles"), right("shipped"), right("estimated")],
      rows.map((r) => [r.layer, r.kernel, r.target, r.choices, r.best.toFixed(3), times(r.shipped), times(r.estimated)]),
    ),
  );
  const mean = (of: (row: Row) => number) => round(Math.exp(rows.reduce((n, row) => n + Math.log(of(row)), 0) / rows.length));
  const worst = (of: (row: Row) => number) => Math.max(...rows.map(of));
  const summary = {
    problems: rows.length,
    within5: round(rows.filter((r) => r.shipped <= 1.05).length / rows.length),
    meanShipped: mean((r) => r.shipped),
    worstShipped: worst((r) => r.shipped),
    meanEstimated: mean((r) => r.estimated),
    worstEstimated: worst((r) => r.estimated),
  };
  console.log(JSON.stringify(summary, undefined, 1));
  if (performance.now() > deadline) return console.log("stopped: call it again to go on");
  const file = values.out ?? (values.every === "1" ? new URL("results/arm64-tuning.json", import.meta.url).pathname : undefined);
  if (file === undefined) return;
  record(file, { host: thisHost(), target: values.targets as TargetName, ...summary, rows }, (r) => r.target);
  if (existsSync(values.log) && readFileSync(values.log, "utf8") !== "") rmSync(values.log);
}

await main();
