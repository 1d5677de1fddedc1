import { readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { barChart } from "../chart.ts";
import { readRuns, record, thisHost } from "../host.ts";
import { coldRowsOf, coldTableOf, measureCold } from "./cold.ts";
import { measure, type Tools } from "./measure.ts";
import { openModels } from "./models.ts";
import { help, type Options, parseOptions } from "./options.ts";
import { chartGroups, keyOf, type Measurement, type PeersRun, rowsOf, tableOf } from "./report.ts";
import { startServer } from "./server.ts";

const largestError = 1e-4;
const usualFile = fileURLToPath(new URL("../results/peers.json", import.meta.url));

const progress = (text: string): void => void process.stderr.write(`${text}\n`);

function hostOf(engines: readonly string[]): PeersRun["host"] {
  return { ...thisHost(), engine: [...new Set(engines)].join(", ") };
}

/** One run for each net and number of threads, then its cold starts. Each is handed on as soon as it is there. */
async function* runsOf(options: Options, tools: Tools): AsyncGenerator<PeersRun> {
  const { rounds, runs, variants } = options;
  for (const net of options.nets) {
    const before: Measurement[] = [];
    for (const threads of rounds > 0 ? options.threads : []) {
      const measurements = await measure(net, threads, options, tools);
      before.push(...measurements);
      const rows = rowsOf(before).filter((row) => row.threads === threads);
      const times = measurements.map((m) => m.times.map((t) => Number(t.toFixed(3))));
      yield { host: hostOf(rows.map((r) => r.engine)), net, threads, variants, rounds, runs, rows, times, cold: [] };
    }
    if (options.cold === 0) continue;
    const threads = options.threads[0] as number;
    const cold = coldRowsOf(await measureCold(net, threads, options.cold, options, tools));
    if (cold.length > 0) yield { host: hostOf(cold.map((r) => r.engine)), net, threads, variants, rounds: 0, runs: 0, rows: [], times: [], cold };
  }
}

function print({ host, rounds, runs, rows, cold }: PeersRun): void {
  const how = rows.length > 0 ? `${rounds} rounds of ${runs} inferences each` : "cold starts";
  process.stdout.write(`${rows.length > 0 ? tableOf(rows) : coldTableOf(cold)}\n${host.date}: ${host.engine}; ${host.cpu}, ${host.processors} processors; ${how}.\n\n`);
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(help);
    return 0;
  }
  const load = loadavg()[0] as number;
  if (load > 0.5) progress(`Other processes are busy (load ${load.toFixed(1)}): medians will say little, minima a bit more.`);
  const models = openModels(options.models, options.tuning === undefined ? undefined : readFileSync(options.tuning, "utf8"));
  process.on("exit", () => models.close());
  const file = options.out ?? usualFile;
  const wrong: string[] = [];
  const done: PeersRun[] = [];
  for await (const run of runsOf(options, { models, server: await startServer(), python: options.python, progress })) {
    done.push(run);
    if (!options.json) print(run);
    record(file, run, keyOf);
    for (const { contender, variant, error, lossy } of run.rows)
      if (!lossy && error !== undefined && !(error <= largestError))
        wrong.push(`${run.net}: ${contender} (${variant}) with ${run.threads} threads is off by ${error.toExponential(1)} of the output's range, more than ${largestError}`);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(done, undefined, 1)}\n`);
  const groups = chartGroups(readRuns<PeersRun>(file));
  const unit = "least time of an inference over that of cadnn with the pruned net (with the dense one, where no pruned one was measured)";
  if (groups.length > 0) writeFileSync(`${file.replace(/\.json$/, "")}.svg`, barChart({ title: "Other runtimes against cadnn", unit, groups }));
  for (const text of wrong) progress(text);
  return wrong.length === 0 ? 0 : 1;
}

for (const [signal, code] of [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.on(signal, () => process.exit(code));
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    progress(error instanceof Error ? error.message : String(error));
    process.exit(2);
  },
);
