import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Case, caseName, defaultNets, makeCase, parseCases } from "./cases.ts";
import { contenders } from "./contenders/index.ts";
import { type Measurement, relativeError, rowsOf, tableOf } from "./report.ts";
import { openStage } from "./stage.ts";

const help = `Measures contenders on the same nets, in turns: each round gives every contender its turn, and all others stand still meanwhile.

Usage: npm run bench:peers -- [OPTIONS]

  --nets LIST        NET (dense and pruned) or NET@SPARSITY (0: dense), by commas; default ${defaultNets}
  --contenders LIST  default ${Object.keys(contenders).join(",")}; the first is what the others are compared with
  --threads LIST     default 1,2
  --rounds N         default 10
  --runs N           timed inferences a turn, after one that is not timed; default 3
  --warmup MS        inferences before the first round; default 1500
  --json             print JSON instead of the table
  --out FILE         write the JSON to a file too
`;

const largestError = 1e-4;

interface Plan {
  readonly names: readonly string[];
  readonly threads: readonly number[];
  readonly rounds: number;
  readonly runs: number;
  readonly warmupMs: number;
}

const progress = (text: string): void => void process.stderr.write(`${text}\n`);

async function measure(what: Case, { names, threads, rounds, runs, warmupMs }: Plan): Promise<Measurement[]> {
  const net = caseName(what);
  const { onnx, input } = makeCase(what);
  const entries = threads.flatMap((t) => names.map((contender) => ({ contender, threads: t, stage: openStage(`${contender} with ${t} threads`), times: [] as number[] })));
  try {
    const loaded: { readonly loadMs: number; readonly firstMs: number; readonly output: Float32Array }[] = [];
    for (const { contender, threads: t, stage } of entries) {
      progress(`${net}: loading ${contender}, ${t} thread${t === 1 ? "" : "s"}`);
      loaded.push(await stage.ask({ kind: "load", contender, threads: t, onnx, input, warmupMs }, "loaded"));
    }
    for (let round = 0; round < rounds; round++) {
      if (round % 5 === 0) progress(`${net}: round ${round + 1} of ${rounds}`);
      // Each round starts with another contender, so that none always follows the same one.
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[(i + round) % entries.length] as (typeof entries)[number];
        entry.times.push(...(await entry.stage.ask({ kind: "turn", runs }, "times")).times);
      }
    }
    // The reference is somebody else than the first contender, where there is one.
    const reference = loaded[
      Math.max(
        0,
        entries.findIndex((e) => e.contender !== names[0]),
      )
    ]?.output as Float32Array;
    return entries.map(({ stage: _, ...entry }, i) => {
      const { output, loadMs, firstMs } = loaded[i] as (typeof loaded)[number];
      return { net, ...entry, loadMs, firstMs, error: relativeError(output, reference) };
    });
  } finally {
    for (const { stage } of entries) stage.end();
  }
}

function integers(text: string, name: string): number[] {
  const values = text.split(",").map(Number);
  if (values.some((v) => !Number.isSafeInteger(v) || v < 1)) throw new Error(`--${name} takes positive integers, not ${text}`);
  return values;
}

async function main(): Promise<number> {
  const text = (value: string) => ({ type: "string", default: value }) as const;
  const { values } = parseArgs({
    options: {
      ...{ nets: text(defaultNets), contenders: text(Object.keys(contenders).join(",")), threads: text("1,2"), rounds: text("10"), runs: text("3"), warmup: text("1500") },
      ...{ json: { type: "boolean" }, out: { type: "string" }, help: { type: "boolean", short: "h" } },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const names = values.contenders.split(",");
  const unknown = names.find((name) => !Object.hasOwn(contenders, name));
  if (unknown !== undefined) throw new Error(`there is no contender ${unknown}; there are ${Object.keys(contenders).join(", ")}`);
  const [rounds = 1] = integers(values.rounds, "rounds");
  const [runs = 1] = integers(values.runs, "runs");
  const [warmupMs = 1] = integers(values.warmup, "warmup");
  const plan: Plan = { names, threads: integers(values.threads, "threads"), rounds, runs, warmupMs };
  const cases = parseCases(values.nets);
  const load = loadavg()[0] as number;
  if (load > 0.5) progress(`Other processes are busy (load ${load.toFixed(1)}): medians will say little, minima a bit more.`);
  const measurements: Measurement[] = [];
  for (const what of cases) measurements.push(...(await measure(what, plan)));
  const subject = names[0] as string;
  const rows = rowsOf(measurements, subject);
  const host = { engine: `Node ${process.versions.node} (V8 ${process.versions.v8})`, cpu: cpus()[0]?.model ?? "unknown", processors: cpus().length, loadBefore: load };
  const json = `${JSON.stringify({ host, subject, rounds, runs, rows, times: measurements.map((m) => m.times.map((t) => Number(t.toFixed(3)))) }, undefined, 1)}\n`;
  process.stdout.write(
    values.json === true ? json : `${tableOf(rows, subject)}\n\n${host.engine}, ${host.cpu}, ${host.processors} processors; ${rounds} rounds of ${runs} inferences each.\n`,
  );
  if (values.out !== undefined) {
    // npm starts workspaces in their own folder; the path is meant from where the user is.
    const file = resolve(process.env.INIT_CWD ?? ".", values.out);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, json);
  }
  const wrong = rows.filter((row) => !(row.error <= largestError));
  for (const row of wrong)
    progress(`${row.net}: ${row.contender} with ${row.threads} threads is off by ${row.error.toExponential(1)} of the output's range, more than ${largestError}`);
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
