import { readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { decodeArtifact } from "../../src/artifact/format.ts";
import { compile, type OptimizeSwitches, switchNames } from "../../src/compile/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { compileOptimizedOnly, enableRelaxedSimd } from "../../src/node/engine.ts";
import { zoo, zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { browsers } from "../browsers/browsers.ts";
import { barChart } from "../chart.ts";
import { type Host, readRuns, record, runIn, thisHost } from "../host.ts";
import { benchNets } from "../make-shapes.ts";
import { browserPlace, herePlace, type Place } from "./places.ts";
import { type AblationRow, rowsOf, tableOf } from "./report.ts";

const usage = `npm run bench:ablation -- [net …] [options]

Compiles each net with everything on, with each optimization off in turn and with all of them off, and runs these in turns.
A net is ${Object.keys(benchNets).join(", ")}, which stands for it dense and pruned, or one of these as NET@SPARSITY.

  --threads N       default 1
  --rounds N        default 6; in each round every variant has a turn
  --runs N          timed inferences of a turn, default 2
  --tuning FILE     measurements of cadnn tune to compile with, except where tune is off
  --node PATH       another Node to run in
  --browser NAME    a page to run in: ${browsers.map((b) => b.name).join(", ")}
  --out FILE        the JSON to update, default bench/results/ablation.json; the chart goes beside it`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "1" },
    rounds: { type: "string", default: "6" },
    runs: { type: "string", default: "2" },
    tuning: { type: "string" },
    node: { type: "string" },
    browser: { type: "string" },
    out: { type: "string", default: new URL("../results/ablation.json", import.meta.url).pathname },
    help: { type: "boolean", default: false },
  },
});

/** A net as everything was measured at once. */
interface AblationRun {
  readonly host: Host;
  readonly net: string;
  readonly sparsity: number;
  readonly threads: number;
  readonly rounds: number;
  readonly runs: number;
  readonly rows: readonly AblationRow[];
}

const allOn = "all on";
const variants: readonly { readonly name: string; readonly optimize: OptimizeSwitches }[] = [
  { name: allOn, optimize: {} },
  ...switchNames.map((name) => ({ name: `without ${name}`, optimize: { disable: [name] } })),
  { name: "all off", optimize: { disable: switchNames } },
];

interface Case {
  readonly net: keyof typeof benchNets;
  readonly sparsity: number;
}

function casesOf(names: readonly string[]): Case[] {
  return names.flatMap((text): Case[] => {
    const [name, sparsity] = text.split("@");
    if (name === undefined || !Object.hasOwn(benchNets, name)) throw new Error(`there is no net ${name}; there are ${Object.keys(benchNets).join(", ")}`);
    const net = name as keyof typeof benchNets;
    return (sparsity === undefined ? [0, benchNets[net]] : [Number(sparsity)]).map((s) => ({ net, sparsity: s }));
  });
}

const nameOf = ({ net, sparsity }: Case) => `${net} ${sparsity === 0 ? "dense" : sparsity}`;

async function measure(one: Case, threads: number, place: Place): Promise<AblationRun> {
  const graph: Graph = zooGraph(one.net, { sparsity: one.sparsity });
  const tuning = values.tuning === undefined ? {} : { tuning: readFileSync(values.tuning, "utf8") };
  const compiled: { readonly name: string; readonly artifact: Uint8Array }[] = [];
  for (const { name, optimize } of variants) compiled.push({ name, artifact: await compile(graph, { targets: place.targets, optimize, ...tuning }) });
  const sizes = new Map(
    compiled.map(({ name, artifact }) => {
      const module = decodeArtifact(artifact).manifest.modules[0];
      return [name, { kernelCalls: module?.steps.length ?? 0, memoryBytes: (module?.pages ?? 0) * 65536 }];
    }),
  );
  const random = createRandom(1, "pixels");
  const shape = zoo[one.net].inputShape;
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal());
  const [rounds, runs] = [Number(values.rounds), Number(values.runs)];
  const laps = await place.race(compiled, data, { threads, rounds, runs });
  return { host: { ...thisHost(), engine: place.engine }, ...one, threads, rounds, runs, rows: rowsOf(laps, sizes) };
}

function chartOf(runs: readonly AblationRun[], engine: string): string {
  const own = runs.filter((r) => r.host.engine === engine);
  const bars = (rows: readonly AblationRow[]) =>
    rows.slice(1).map((r) => ({ name: r.variant, value: r.gainOfMins, label: `${r.gainOfMins.toFixed(2)}× (${r.minMs.toFixed(1)} ms)` }));
  const groups = own.map((r) => ({
    name: `${nameOf({ ...r, net: r.net as Case["net"] })}, ${r.threads} thread${r.threads === 1 ? "" : "s"}: ${r.rows[0]?.minMs.toFixed(1)} ms`,
    bars: bars(r.rows),
  }));
  return barChart({ title: `What each optimization gains (${engine})`, unit: "least time without it over that with everything on", groups });
}

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  if (values.node !== undefined) process.exit(runIn(values.node));
  compileOptimizedOnly();
  enableRelaxedSimd();
  const load = loadavg()[0] as number;
  if (load > 0.5) process.stderr.write(`Other processes are busy (load ${load.toFixed(1)}): medians will say little, minima a bit more.\n`);
  const place = values.browser === undefined ? herePlace() : browserPlace(values.browser);
  const wrong: string[] = [];
  for (const one of casesOf(positionals.length > 0 ? positionals : Object.keys(benchNets))) {
    const run = await measure(one, Number(values.threads), place);
    console.log(`${tableOf(nameOf(one), run.rows)}\n`);
    record(values.out, run, (r) => `${r.host.engine} ${r.net} ${r.sparsity} ${r.threads}`);
    wrong.push(...run.rows.filter((r) => !(r.error <= 1e-4)).map((r) => `${nameOf(one)} ${r.variant} is off by ${r.error.toExponential(1)}`));
  }
  writeFileSync(values.out.replace(/\.json$/, ".svg"), chartOf(readRuns<AblationRun>(values.out), place.engine));
  for (const text of wrong) process.stderr.write(`${text}\n`);
  if (wrong.length > 0) process.exitCode = 1;
}

await main();
