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
import { optimize, passesFor } from "../src/passes/index.ts";
import { candidatesOf, rankByModel, taskKey, tasksOf } from "../src/tune/candidates.ts";
import { createCountingMeasurer, defaultCosts } from "../src/tune/index.ts";
import { type ZooName, zooGraph } from "../src/zoo/index.ts";
import { openCountStore } from "./arm/count-store.ts";
import { record, thisHost } from "./host.ts";
import { pruningOf } from "./pruning.ts";

const usage = `npm run bench:arm-tuning -- [options]

Counts all choices of each kernel call of the four nets, dense and pruned, as they are compiled for ARM64, in emulation, and compares the choices that come with
the package, and those of the cost models alone, with the best: by the geometric mean of the estimated cycles on A55, A76, A710 and X1. Takes hours; counts are kept in the
user's cache by the code and the weights that they are of, so it may be stopped and called again.

  --targets LIST    default wasm-arm64-relaxed,wasm-arm64-plain
  --nets LIST       default mobilenet_v1,mobilenet_v2,resnet50,inception_v3
  --weights LIST    dense, pruned; default both
  --share S         of each net only the most expensive problems, which together make this share of its cycles; default 1
  --seconds N       stops counting after so many, and tells what is complete
  --out FILE        the JSON to update; default bench/results/arm-tuning.json`;

const { values } = parseArgs({
  options: {
    targets: { type: "string", default: "wasm-arm64-relaxed,wasm-arm64-plain" },
    nets: { type: "string", default: "mobilenet_v1,mobilenet_v2,resnet50,inception_v3" },
    weights: { type: "string", default: "pruned,dense" },
    share: { type: "string", default: "1" },
    seconds: { type: "string", default: "Infinity" },
    out: { type: "string", default: new URL("results/arm-tuning.json", import.meta.url).pathname },
    help: { type: "boolean", default: false },
  },
});

/** What is to be compared: a kernel and problem that the nets are compiled to. */
interface Row {
  readonly layer: string;
  readonly kernel: string;
  /** Of the net's cycles. */
  readonly share: number;
  readonly choices: number;
  /** Millions of cycles. */
  readonly best: number;
  /** Cycles over the best's. */
  readonly shipped: number;
  readonly estimated: number;
}

interface Comparison {
  readonly rows: readonly Row[];
  /** Problems with more than one choice that the net has, compared or not. */
  readonly problems: number;
}

type Meter = Pick<ReturnType<typeof createCountingMeasurer>, "measure">;

async function compare(net: ZooName, sparsity: number, name: TargetName, measurer: Meter, deadline: number): Promise<Comparison> {
  const source = zooGraph(net, { sparsity, seed: 1 });
  const graph = legalize(optimize(source, { passes: passesFor(source) }));
  const target = targets[name];
  const nodes = new Map(lower(graph, target, { costs: defaultCosts }).calls.map((call) => [taskKey(call.template, call.problem), call.node]));
  const every = tasksOf(graph, target, defaultCosts, (space) => space, rankByModel);
  const total = every.reduce((sum, task) => sum + task.weight, 0);
  const problems = every.filter((task) => task.space > 1);
  const wanted = problems.filter((_, i) => problems.slice(0, i).reduce((sum, task) => sum + task.weight, 0) < Number(values.share) * total);
  const candidates = candidatesOf(graph, target, defaultCosts, wanted);
  const rows: Row[] = [];
  for (const task of wanted) {
    if (performance.now() > deadline) break;
    const { template, problem, key, space } = task;
    const some = candidates.get(task) ?? [];
    const cycles = await measurer.measure(some, 1);
    const counted = new Map(some.map((c, i) => [c.choice, cycles[i] as number]));
    const best = Math.min(...cycles);
    const over = (costs: typeof estimatedCosts) => round((counted.get(canonicalText(costs.best(template, problem, target)?.choice)) ?? Number.POSITIVE_INFINITY) / best, 3);
    const layer = `${net} ${sparsity === 0 ? "dense" : sparsity} ${nodes.get(key) ?? ""}`;
    const share = round(task.weight / total, 3);
    rows.push({ layer, kernel: template.name, share, choices: space, best: round(best / 1e6, 3), shipped: over(defaultCosts), estimated: over(estimatedCosts) });
    process.stderr.write(`\r${name} ${layer}: ${rows.length} of ${wanted.length} problems  `);
  }
  if (rows.length > 0) process.stderr.write("\n");
  return { rows, problems: problems.length };
}

function report(name: TargetName, { rows, problems }: Comparison): void {
  const right = (title: string) => ({ title, align: "right" }) as const;
  const times = (n: number) => `${n.toFixed(3)}×`;
  console.log(
    formatTable(
      [{ title: "layer" }, { title: "kernel" }, right("of the net"), right("choices"), right("best, M cycles"), right("shipped"), right("estimated")],
      rows.map((r) => [r.layer, r.kernel, `${(100 * r.share).toFixed(1)} %`, r.choices, r.best.toFixed(3), times(r.shipped), times(r.estimated)]),
    ),
  );
  const mean = (of: (row: Row) => number) => round(Math.exp(rows.reduce((n, row) => n + Math.log(of(row)), 0) / rows.length), 3);
  const worst = (of: (row: Row) => number) => Math.max(...rows.map(of));
  const summary = {
    problems,
    compared: rows.length,
    within5: round(rows.filter((r) => r.shipped <= 1.05).length / rows.length),
    meanShipped: mean((r) => r.shipped),
    worstShipped: worst((r) => r.shipped),
    meanEstimated: mean((r) => r.estimated),
    worstEstimated: worst((r) => r.estimated),
  };
  console.log(`${name} ${JSON.stringify(summary, undefined, 1)}`);
  record(values.out, { host: thisHost(), target: name, ...summary, rows }, (r) => r.target);
}

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  enableRelaxedSimd();
  const deadline = performance.now() + 1000 * Number(values.seconds);
  const counter = await createCycleCounter();
  const measurer = createCountingMeasurer(counter, openCountStore(counter.engine));
  for (const name of values.targets.split(",") as TargetName[]) {
    const all: Comparison[] = [];
    for (const weights of values.weights.split(","))
      for (const net of values.nets.split(",") as ZooName[]) all.push(await compare(net, weights === "pruned" ? pruningOf(net) : 0, name, measurer, deadline));
    report(name, { rows: all.flatMap(({ rows }) => rows), problems: all.reduce((n, { problems }) => n + problems, 0) });
  }
}

await main();
