import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, resolve } from "node:path";
import { chartOf } from "./chart.ts";
import { type ColdStart, coldRowsOf, coldTableOf, measureCold } from "./cold.ts";
import { measure, type Tools } from "./measure.ts";
import { openModels } from "./models.ts";
import { help, parseOptions } from "./options.ts";
import { type Measurement, rowsOf, tableOf } from "./report.ts";
import { startServer } from "./server.ts";

const largestError = 1e-4;

const progress = (text: string): void => void process.stderr.write(`${text}\n`);

/** npm starts workspaces in their own folder; paths are meant from where the user is. */
const fromUser = (path: string): string => resolve(process.env.INIT_CWD ?? ".", path);

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(help);
    return 0;
  }
  const load = loadavg()[0] as number;
  if (load > 0.5) progress(`Other processes are busy (load ${load.toFixed(1)}): medians will say little, minima a bit more.`);
  const models = openModels(options.models === undefined ? undefined : fromUser(options.models));
  process.on("exit", () => models.close());
  const tools: Tools = { models, server: await startServer(), python: options.python, progress };
  const measurements: Measurement[] = [];
  const starts: ColdStart[] = [];
  for (const net of options.nets) {
    if (options.rounds > 0) for (const threads of options.threads) measurements.push(...(await measure(net, threads, options, tools)));
    if (options.cold > 0) starts.push(...(await measureCold(net, options.threads[0] as number, options.cold, options, tools)));
  }
  const cold = coldRowsOf(starts);
  const rows = rowsOf(measurements);
  const { rounds, runs } = options;
  const engines = [...new Set([...rows, ...cold].map((row) => row.engine))];
  const host = { date: new Date().toISOString().slice(0, 10), engines, cpu: cpus()[0]?.model ?? "unknown", processors: cpus().length, loadBefore: load };
  const json = `${JSON.stringify({ host, rounds, runs, rows, cold, times: measurements.map((m) => m.times.map((t) => Number(t.toFixed(3)))) }, undefined, 1)}\n`;
  const caption = `${host.date}: ${engines.join(", ")}; ${host.cpu}, ${host.processors} processors; ${rounds} rounds of ${runs} inferences each.`;
  const tables = [...(rows.length > 0 ? [tableOf(rows)] : []), ...(cold.length > 0 ? [coldTableOf(cold)] : []), caption];
  process.stdout.write(options.json ? json : `${tables.join("\n\n")}\n`);
  if (options.out !== undefined) {
    const file = fromUser(options.out);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, json);
    if (rows.length > 0) writeFileSync(file.replace(/(\.json)?$/, ".svg"), chartOf(rows, caption));
  }
  const wrong = rows.filter((row) => !row.lossy && row.error !== undefined && !(row.error <= largestError));
  for (const row of wrong)
    progress(`${row.net}: ${row.contender} (${row.variant}) with ${row.threads} threads is off by ${row.error?.toExponential(1)} of the output's range, more than ${largestError}`);
  return wrong.length === 0 ? 0 : 1;
}

process.on("SIGINT", () => process.exit(130));
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    progress(error instanceof Error ? error.message : String(error));
    process.exit(2);
  },
);
