import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { TargetName } from "../src/artifact/manifest.ts";
import { median, round } from "../src/cli/format.ts";
import { formatTable } from "../src/cli/table.ts";
import type { Target } from "../src/codegen/target.ts";
import { elementCount } from "../src/ir/types.ts";
import { type Costs, estimatedCosts } from "../src/kernels/costs.ts";
import { measuredCosts, parseTuningLog } from "../src/tune/index.ts";
import { type Classified, type ClassSummary, classOf, type Gain, gainsOf, summarize } from "./classes.ts";
import { type Host, record, runIn, targetToMeasure, thisHost } from "./host.ts";
import { type Layer, layersThat } from "./layers.ts";
import { type Candidate, candidateOf, everyChoice, mainCall, peakMacs, peakOf, type Turns, turnsOf } from "./measure.ts";
import { formatWeights, layerGraph } from "./shapes.ts";

const usage = `npm run bench:kernels -- [filter …] [options]

Times the layers of bench/shapes/*.txt as they are compiled, dense and pruned, as shares of the peak of multiply-adds
that is measured in turns with each of them; of pruned weights only non-zeros count. A filter is a part of a layer's line
with the net's name in front and its weights behind, for instance "/2x1"; all have to be in it, and of nets one.

  --choices         all choices of each layer's kernel, in place of the chosen one
  --top N           with --choices: how many to show, default 3; the one that is estimated best is always shown
  --rounds N        default 7; whatever belongs to a layer is measured in turns in each round
  --slice MS        time of each turn, default 2
  --target NAME     default: the best one of this engine
  --tuning FILE     measurements of cadnn tune to compile with
  --node PATH       another Node to run in
  --out FILE        the JSON to update; default bench/results/kernels.json if all of a net is measured, and no --choices`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    choices: { type: "boolean", default: false },
    top: { type: "string", default: "3" },
    rounds: { type: "string", default: "7" },
    slice: { type: "string", default: "2" },
    target: { type: "string" },
    tuning: { type: "string" },
    node: { type: "string" },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

interface LayerReport extends Classified {
  readonly layer: string;
  readonly weights: string;
  readonly kernel: string;
  readonly choice: unknown;
  readonly medianUs: number;
  readonly medianOfPeak: number;
  /** With --choices: 1 for the choice that the estimate ranks first. */
  readonly estimatedRank?: number;
}

/** All layers of a net. */
interface KernelsRun {
  readonly host: Host;
  readonly net: string;
  readonly target: TargetName;
  /** Least and greatest of the peaks that were measured with the layers, in 10⁹ multiply-adds a second. */
  readonly peakGmacs: readonly [number, number];
  readonly rounds: number;
  readonly tuned: boolean;
  readonly summary: readonly ClassSummary[];
  readonly gains: readonly Gain[];
  readonly layers: readonly LayerReport[];
}

interface Variant {
  readonly candidate: Candidate;
  readonly class: string;
  readonly estimate?: number;
}

/** The layer as it is compiled; if that is by Winograd's algorithm, also without it. */
function variantsOf({ shape, weights }: Layer, target: Target, costs: Costs): Variant[] {
  const graph = layerGraph(shape, weights);
  if (values.choices) return everyChoice(graph, target).map((c) => ({ ...c, class: classOf(shape, weights, false) }));
  const usual = candidateOf(graph, target, { costs });
  const winograd = usual.calls.some((call) => call.template.name.includes("winograd"));
  const all = [{ candidate: usual, class: classOf(shape, weights, winograd) }];
  return winograd ? [...all, { candidate: candidateOf(graph, target, { winograd: false, costs }), class: classOf(shape, weights, false) }] : all;
}

/** Multiply-adds of a layer: of weights that are not 0. */
function macsOf({ shape, weights }: Layer): number {
  const node = layerGraph(shape, weights).nodes[0];
  const outputs = elementCount(node?.outputs[0]?.type.shape ?? []);
  const w = node?.inputs[1];
  if (w?.kind !== "constant") return outputs * elementCount(shape.kernel.slice(1));
  return (outputs / (w.type.shape[0] as number)) * (w.data as Float32Array).reduce((n, v) => n + (v === 0 ? 0 : 1), 0);
}

interface Prepared {
  readonly layer: Layer;
  readonly variants: readonly Variant[];
  /** Of the peak, then of the variants. */
  readonly turns: Turns;
}

function reportOf({ layer, variants, turns }: Prepared): { readonly peak: number; readonly rows: LayerReport[] } {
  const [peaks = [], ...times] = turns.seconds;
  const best = peakMacs / Math.min(...peaks);
  const macs = macsOf(layer);
  const rows = variants.map((variant, i): LayerReport => {
    const seconds = times[i] as number[];
    const least = Math.min(...seconds);
    const middle = median(seconds);
    const main = mainCall(variant.candidate.calls);
    const rank = variant.estimate === undefined ? {} : { estimatedRank: variants.filter((v) => (v.estimate as number) < (variant.estimate as number)).length + 1 };
    return {
      net: layer.net,
      layer: layer.line.replace(/ \S+$/, ""),
      weights: formatWeights(layer.weights),
      class: variant.class,
      count: layer.shape.count,
      macs,
      kernel: [...new Set(variant.candidate.calls.map((call) => call.template.name))].join(" + "),
      choice: main.choice,
      minUs: round(least * 1e6, 1),
      medianUs: round(middle * 1e6, 1),
      ofPeak: round(macs / least / best),
      medianOfPeak: round(macs / middle / best),
      ...rank,
    };
  });
  const shown = [...rows].sort((a, b) => a.minUs - b.minUs).filter((r, i) => !values.choices || i < Number(values.top) || r.estimatedRank === 1);
  return { peak: best, rows: shown };
}

/** Rounds go over as many layers as memory has room for at once, so that a disturbance does not hit all rounds of one. */
function batches(layers: readonly Layer[]): Layer[][] {
  const result: Layer[][] = [];
  const size = values.choices ? 1 : 24;
  for (let i = 0; i < layers.length; i += size) result.push(layers.slice(i, i + size));
  return result;
}

/** `filters 4, tile 1×2, …`, nested objects by their values. */
function formatChoice(choice: unknown): string {
  const text = (value: unknown): string => (typeof value === "object" && value !== null ? Object.values(value).map(text).join("×") : String(value));
  return Object.entries(choice as Record<string, unknown>)
    .map(([key, value]) => `${key} ${text(value)}`)
    .join(", ");
}

const right = (title: string) => ({ title, align: "right" }) as const;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function layerTable(rows: readonly LayerReport[]): string {
  const ranks = values.choices ? [right("estimate's rank")] : [];
  return formatTable(
    [{ title: "net" }, { title: "layer" }, { title: "weights" }, { title: "kernel" }, { title: "choice" }, right("min µs"), right("of peak"), right("median's"), ...ranks],
    rows.map((r) => {
      const name = r.layer.replace(/^\d+ /, "").replace(/ pads .*/, "");
      return [r.net, name, r.weights, r.kernel, formatChoice(r.choice), r.minUs.toFixed(1), percent(r.ofPeak), percent(r.medianOfPeak), r.estimatedRank];
    }),
  );
}

function summaryTable(summary: readonly ClassSummary[]): string {
  return formatTable(
    [{ title: "net" }, { title: "class" }, right("layers"), right("min of peak"), right("median"), right("overall")],
    summary.map((s) => [s.net, s.class, s.layers, percent(s.min), percent(s.median), percent(s.overall)]),
  );
}

function gainTable(gains: readonly Gain[]): string {
  return formatTable(
    [{ title: "net" }, { title: "gain" }, right("layers"), right("min"), right("median")],
    gains.map((g) => [g.net, g.what, g.layers, `${g.min.toFixed(2)}×`, `${g.median.toFixed(2)}×`]),
  );
}

function main(): void {
  if (values.help) return console.log(usage);
  if (values.node !== undefined) process.exit(runIn(values.node));
  const target = targetToMeasure(values.target);
  const costs = values.tuning === undefined ? estimatedCosts : measuredCosts(parseTuningLog(readFileSync(values.tuning, "utf8")));
  const peak = peakOf(target);
  const measured = batches(layersThat(positionals)).flatMap((batch) => {
    process.stderr.write(`${batch[0]?.line}\n`);
    const prepared = batch.map((layer): Prepared => {
      const variants = variantsOf(layer, target, costs);
      return { layer, variants, turns: turnsOf([peak, ...variants.map((v) => v.candidate.run)], Number(values.slice)) };
    });
    for (let round = 0; round < Number(values.rounds); round++) for (const { turns } of prepared) turns.round();
    return prepared.map(reportOf);
  });
  const layers = measured.flatMap((m) => m.rows);
  const peaks = measured.map((m) => round(m.peak / 1e9, 2));
  const peakGmacs = [Math.min(...peaks), Math.max(...peaks)] as const;
  const host = thisHost();
  console.log(`${host.engine}, ${target.name}, one thread, peak ${peakGmacs.join(" to ")} G multiply-adds a second\n\n${layerTable(layers)}\n`);
  if (values.choices) return;
  console.log(`${summaryTable(summarize(layers))}\n\n${gainTable(gainsOf(layers))}`);
  const nets = [...new Set(layers.map((l) => l.net))];
  const file = values.out ?? (positionals.every((p) => nets.includes(p)) ? new URL("results/kernels.json", import.meta.url).pathname : undefined);
  if (file === undefined) return;
  for (const net of nets) {
    const own = layers.filter((l) => l.net === net);
    const run: KernelsRun = {
      host,
      net,
      target: target.name,
      peakGmacs,
      rounds: Number(values.rounds),
      tuned: values.tuning !== undefined,
      summary: summarize(own),
      gains: gainsOf(own),
      layers: own,
    };
    record(file, run, (r) => `${r.host.engine} ${r.net} ${r.tuned}`);
  }
}

main();
