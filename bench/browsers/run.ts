import { parseArgs } from "node:util";
import { compile } from "../../src/compile/index.ts";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import { zoo, zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { type Host, record, thisHost } from "../host.ts";
import { benchNets } from "../make-shapes.ts";
import { type Browser, browsers, missing } from "./browsers.ts";
import type { Job, Outcome } from "./page.ts";
import { startVisits, type Visits } from "./visit.ts";

const usage = `npm run bench:browsers -- [net …] [options]

Runs nets, dense and pruned, in a page of each browser that is there, and compares their outputs with onnxruntime-node's.
A net is ${Object.keys(benchNets).join(", ")}, which stands for it dense and pruned, or one of these as NET@SPARSITY.

  --browsers LIST  default ${browsers.map((b) => b.name).join(",")}
  --threads LIST   default 1,2
  --runs N         timed inferences, default 20
  --out FILE       the JSON to update, default bench/results/browsers.json`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    browsers: { type: "string", default: browsers.map((b) => b.name).join(",") },
    threads: { type: "string", default: "1,2" },
    runs: { type: "string", default: "20" },
    out: { type: "string", default: new URL("../results/browsers.json", import.meta.url).pathname },
    help: { type: "boolean", default: false },
  },
});

const largestError = 1e-4;

type Net = keyof typeof benchNets;

interface Row {
  readonly host: Host;
  readonly net: Net;
  readonly sparsity: number;
  readonly threads: number;
  readonly target: string;
  readonly runs: number;
  readonly minMs: number;
  readonly medianMs: number;
  readonly loadMs: number;
  readonly firstMs: number;
  /** Greatest difference from onnxruntime-node, relative to the range of its output. */
  readonly error: number;
}

function casesOf(names: readonly string[]): { readonly net: Net; readonly sparsity: number }[] {
  return names.flatMap((text) => {
    const [name, sparsity] = text.split("@");
    if (name === undefined || !Object.hasOwn(benchNets, name)) throw new Error(`there is no net ${name}; there are ${Object.keys(benchNets).join(", ")}`);
    const net = name as Net;
    return (sparsity === undefined ? [0, benchNets[net]] : [Number(sparsity)]).map((s) => ({ net, sparsity: s }));
  });
}

function inputOf(net: Net): Float32Array {
  const random = createRandom(1, "pixels");
  return Float32Array.from({ length: zoo[net].inputShape.reduce((a, b) => a * b, 1) }, () => random.normal());
}

async function expectedOf(onnx: Uint8Array, input: Float32Array, shape: readonly number[]): Promise<Float32Array> {
  const ort = await import("onnxruntime-node");
  const session = await ort.InferenceSession.create(onnx);
  const results = await session.run({ [session.inputNames[0] as string]: new ort.Tensor("float32", input, [...shape]) });
  await session.release();
  return results[session.outputNames[0] as string]?.data as Float32Array;
}

function relativeError(output: readonly number[], expected: Float32Array): number {
  if (output.length !== expected.length) return Number.POSITIVE_INFINITY;
  const range = expected.reduce((a, b) => Math.max(a, b)) - expected.reduce((a, b) => Math.min(a, b));
  // A NaN comes as null, and is as wrong as can be.
  return output.reduce((worst, y, i) => Math.max(worst, y === null ? Number.POSITIVE_INFINITY : Math.abs(y - (expected[i] as number))), 0) / (range || 1);
}

const round = (ms: number): number => Number(ms.toFixed(2));

async function measure(visits: Visits<Job, Outcome>, browser: Browser, net: Net, sparsity: number, expected: Float32Array, threads: number): Promise<Row> {
  const outcome = await visits.perform(browser, { artifact: "/net.cadnn", input: "/input.bin", threads, runs: Number(values.runs) });
  for (const note of outcome.notes) process.stderr.write(`${browser.name}: ${note}\n`);
  const times = [...outcome.times].sort((a, b) => a - b);
  return {
    ...{ host: { ...thisHost(), engine: browser.version() }, net, sparsity, threads: outcome.threads, target: outcome.target, runs: times.length },
    ...{ minMs: round(times[0] as number), medianMs: round(times[times.length >> 1] as number), loadMs: round(outcome.loadMs), firstMs: round(outcome.firstMs) },
    error: Number(relativeError(outcome.output, expected).toExponential(1)),
  };
}

const columns = ["net", "browser", "threads", "target", "least ms", "median", "load", "first run", "error"] as const;

function print(rows: readonly Row[]): void {
  const cells = rows.map((r) => [
    `${r.net} ${r.sparsity === 0 ? "dense" : r.sparsity}`,
    ...[r.host.engine, String(r.threads), r.target, r.minMs.toFixed(1), r.medianMs.toFixed(1), r.loadMs.toFixed(0), r.firstMs.toFixed(0), r.error.toExponential(0)],
  ]);
  const widths = columns.map((title, i) => Math.max(title.length, ...cells.map((row) => (row[i] as string).length)));
  const pad = (cell: string, i: number): string => (i < 4 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number));
  console.log([columns, ...cells].map((row) => row.map(pad).join("  ")).join("\n"));
}

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  const wanted = values.browsers.split(",");
  const present = browsers
    .filter((b) => wanted.includes(b.name))
    .filter((browser) => {
      const why = missing(browser);
      if (why !== undefined) process.stderr.write(`${browser.name} is skipped: ${why}\n`);
      return why === undefined;
    });
  const visits = await startVisits<Job, Outcome>(new URL("./page.ts", import.meta.url));
  const rows: Row[] = [];
  const failures: string[] = [];
  for (const { net, sparsity } of casesOf(positionals.length > 0 ? positionals : Object.keys(benchNets))) {
    const graph = zooGraph(net, { sparsity, seed: 1 });
    const input = inputOf(net);
    const expected = await expectedOf(exportOnnx(graph), input, zoo[net].inputShape);
    visits.provide("net.cadnn", await compile(graph));
    visits.provide("input.bin", new Uint8Array(input.buffer));
    for (const browser of present)
      for (const threads of values.threads.split(",").map(Number)) {
        const label = `${net}@${sparsity} in ${browser.name}, ${threads} thread${threads === 1 ? "" : "s"}`;
        process.stderr.write(`${label}\n`);
        try {
          const row = await measure(visits, browser, net, sparsity, expected, threads);
          if (row.threads !== threads) continue;
          rows.push(row);
          record(values.out, row, ({ host, net, sparsity, threads }) => [host.engine, net, sparsity, threads].join());
          if (!(row.error <= largestError)) failures.push(`${label}: off by ${row.error} of the output's range`);
        } catch (error) {
          failures.push(`${label}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
  }
  visits.close();
  print(rows);
  for (const text of failures) process.stderr.write(`${text}\n`);
  if (failures.length > 0) process.exitCode = 1;
}

process.on("SIGINT", () => process.exit(130));
await main();
