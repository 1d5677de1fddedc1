import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { formatMs, median, round } from "../src/cli/format.ts";
import { formatTable } from "../src/cli/table.ts";
import { compile } from "../src/compile/index.ts";
import { importOnnx } from "../src/frontend/onnx/index.ts";
import type { Graph } from "../src/ir/graph.ts";
import { elementCount } from "../src/ir/types.ts";
import { createSession } from "../src/node/index.ts";
import { prepareNet, weightsOf, withWeights } from "../src/train/index.ts";
import { createRandom } from "../src/zoo/random.ts";
import { race } from "./ablation/race.ts";
import { type Host, record, runIn, targetToMeasure, thisHost } from "./host.ts";

const usage = `npm run bench:zeros -- FILE.onnx … [options]

Runs each pruned net in turns with the same net whose zeros lie at random places, as many in each weight: what the places of zeros mean for the time.

  --threads N   default 1
  --rounds N    default 30; in each round every net has a turn
  --runs N      timed inferences of a turn, default 20
  --node PATH   another Node to run in
  --out FILE    the JSON to update, default bench/results/zeros.json`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "1" },
    rounds: { type: "string", default: "30" },
    runs: { type: "string", default: "20" },
    node: { type: "string" },
    out: { type: "string", default: new URL("./results/zeros.json", import.meta.url).pathname },
    help: { type: "boolean", default: false },
  },
});

interface ZerosRun {
  readonly host: Host;
  readonly net: string;
  readonly threads: number;
  /** Zeros over elements of the weights that have zeros. */
  readonly sparsity: number;
  readonly own: { readonly minMs: number; readonly medianMs: number };
  readonly random: { readonly minMs: number; readonly medianMs: number };
  /** Time with random places over that with the net's own. */
  readonly ratioOfMins: number;
  readonly ratioOfMedians: number;
}

/** The same graph, the elements of each weight that has zeros in random order. */
function shuffled(graph: Graph): { readonly graph: Graph; readonly sparsity: number } {
  const random = createRandom(1, "places");
  const weights = new Map<string, Float32Array>();
  let [zeros, elements] = [0, 0];
  for (const [name, data] of weightsOf(graph)) {
    const own = data.reduce((count, v) => count + Number(v === 0), 0);
    if (own < 0.2 * data.length) continue;
    zeros += own;
    elements += data.length;
    const mixed = data.slice();
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = Math.floor(random.uniform() * (i + 1));
      [mixed[i], mixed[j]] = [mixed[j] as number, mixed[i] as number];
    }
    weights.set(name, mixed);
  }
  return { graph: withWeights(graph, weights), sparsity: elements === 0 ? 0 : zeros / elements };
}

async function main(): Promise<void> {
  if (values.help || positionals.length === 0) return console.log(usage);
  if (values.node !== undefined) process.exit(runIn(values.node));
  const target = targetToMeasure(undefined);
  const threads = Number(values.threads);
  const rows: ZerosRun[] = [];
  for (const path of positionals) {
    const graph = prepareNet(importOnnx(readFileSync(path)));
    const { graph: mixed, sparsity } = shuffled(graph);
    const random = createRandom(1, "pixels");
    const input = Float32Array.from({ length: elementCount(graph.inputs[0]?.type.shape ?? []) }, () => random.normal());
    const variants = [];
    for (const [name, g] of [
      ["own", graph],
      ["random", mixed],
    ] as const) {
      const artifact = await compile(g, { targets: [target.name] });
      variants.push({ name, artifact: async () => artifact });
    }
    const laps = await race(createSession, variants, input, { threads, rounds: Number(values.rounds), runs: Number(values.runs), warmupMs: 0 });
    const [own, other] = laps.map(({ times }) => ({ minMs: round(Math.min(...times)), medianMs: round(median(times)) })) as [ZerosRun["own"], ZerosRun["own"]];
    const ratios = { ratioOfMins: round(other.minMs / own.minMs), ratioOfMedians: round(other.medianMs / own.medianMs) };
    const run: ZerosRun = { host: thisHost(), net: basename(path, ".onnx"), threads, sparsity: round(sparsity), own, random: other, ...ratios };
    record(values.out, run, (r) => `${r.host.engine} ${r.net} ${r.threads}`);
    rows.push(run);
  }
  const right = (title: string) => ({ title, align: "right" }) as const;
  const columns = [{ title: "net" }, right("zeros"), right("own zeros"), right("median"), right("random zeros"), right("median"), right("random / own"), right("median's")];
  console.log(
    formatTable(
      columns,
      rows.map((r) => [
        r.net,
        `${(100 * r.sparsity).toFixed(1)} %`,
        formatMs(r.own.minMs),
        formatMs(r.own.medianMs),
        formatMs(r.random.minMs),
        formatMs(r.random.medianMs),
        `${r.ratioOfMins.toFixed(2)}×`,
        `${r.ratioOfMedians.toFixed(2)}×`,
      ]),
    ),
  );
}

await main();
