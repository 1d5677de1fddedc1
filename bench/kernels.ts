import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import type { TargetName } from "../src/artifact/manifest.ts";
import { median, round } from "../src/cli/format.ts";
import { formatTable } from "../src/cli/table.ts";
import { targets } from "../src/codegen/target.ts";
import { enableRelaxedSimd } from "../src/node/engine.ts";
import { detectFeatures, targetsFor } from "../src/runtime/features.ts";
import { type Measured, measureLayer } from "./measure.ts";
import { type LayerShape, parseShape } from "./shapes.ts";

const usage = `npm run bench:kernels -- [filter …] [options]

Times every fitting choice of f32-gemm, f32-spmm and f32-window over the layers of bench/shapes/*.txt whose line
(with the net's name in front) contains each filter; a filter that is a kernel's name picks the kernel instead.

  --target NAME     default: the best one of this engine
  --sparsity S      share of zeros for f32-spmm, default 0.9; 0 leaves it out
  --rounds N        default 5; all choices of a layer are measured in turn in each round
  --slice MS        time for each choice in each round, default 2
  --top N           choices to show a layer, default 3
  --json            one JSON document on stdout, the table on stderr`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: "string" },
    sparsity: { type: "string", default: "0.9" },
    rounds: { type: "string", default: "5" },
    slice: { type: "string", default: "2" },
    top: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** Only optimized code is measured, from the first call on. */
setFlagsFromString("--no-liftoff");
const relaxed = enableRelaxedSimd();

const kernelNames = ["f32-gemm", "f32-spmm", "f32-window"];

interface LayerReport {
  readonly net: string;
  readonly shape: LayerShape;
  readonly peak: number;
  readonly rows: readonly ChoiceReport[];
}

interface ChoiceReport {
  readonly kernel: string;
  readonly choice: unknown;
  readonly minUs: number;
  readonly medianUs: number;
  readonly gmacs: number;
  readonly ofPeak: number;
  /** 1 for the choice of its kernel that the estimate ranks first. */
  readonly estimatedRank: number;
}

function layers(filters: readonly string[]): { readonly net: string; readonly shape: LayerShape }[] {
  const folder = new URL("shapes/", import.meta.url);
  const files = readdirSync(folder).filter((f) => f.endsWith(".txt"));
  const lines = files.flatMap((file) =>
    readFileSync(new URL(file, folder), "utf8")
      .trim()
      .split("\n")
      .map((line) => ({ net: file.slice(0, -4), line })),
  );
  return lines.filter(({ net, line }) => filters.every((f) => `${net} ${line}`.includes(f))).map(({ net, line }) => ({ net, shape: parseShape(line) }));
}

function report(measured: readonly Measured[], peak: number): ChoiceReport[] {
  const rows = measured.map((m): ChoiceReport => {
    const least = Math.min(...m.seconds);
    const rank = measured.filter((o) => o.kernel === m.kernel && o.estimatedCycles < m.estimatedCycles).length + 1;
    const gmacs = m.macs / least / 1e9;
    return {
      kernel: m.kernel,
      choice: m.choice,
      minUs: round(least * 1e6, 1),
      medianUs: round(median(m.seconds) * 1e6, 1),
      gmacs: round(gmacs, 2),
      ofPeak: round((gmacs * 1e9) / peak),
      estimatedRank: rank,
    };
  });
  return rows.sort((a, b) => a.kernel.localeCompare(b.kernel) || a.minUs - b.minUs);
}

/** `filters 4, tile 1×2, …`, nested objects by their values. */
function formatChoice(choice: unknown): string {
  const entries = Object.entries(choice as Record<string, unknown>);
  return entries.map(([key, value]) => `${key} ${typeof value === "object" && value !== null ? Object.values(value).join("×") : String(value)}`).join(", ");
}

function tableRows({ net, shape, rows }: LayerReport, top: number): (string | number | undefined)[][] {
  const shown = kernelNames.flatMap((kernel) => {
    const own = rows.filter((r) => r.kernel === kernel);
    // The estimate's favourite is always shown, to see what it costs.
    return own.filter((r, i) => i < top || r.estimatedRank === 1);
  });
  return shown.map((r, i) => [
    i === 0 ? `${net} ${shape.node}` : "",
    i === 0 ? `${shape.kernel.join("x")} of ${shape.input.join("x")}${shape.strides.every((s) => s === 1) ? "" : ` / ${shape.strides.join("x")}`}` : "",
    r.kernel,
    formatChoice(r.choice),
    r.minUs.toFixed(1),
    r.medianUs.toFixed(1),
    r.gmacs.toFixed(2),
    `${(100 * r.ofPeak).toFixed(1)} %`,
    r.estimatedRank,
  ]);
}

function main(): void {
  if (values.help) return console.log(usage);
  const name = (values.target ?? targetsFor({ ...detectFeatures(), relaxedSimd: relaxed })[0]) as TargetName;
  const target = targets[name];
  if (target === undefined) throw new Error(`there is no target ${name}; targets are ${Object.keys(targets).join(", ")}`);
  const kernels = positionals.filter((p) => kernelNames.includes(p));
  const wanted = layers(positionals.filter((p) => !kernels.includes(p)));
  const options = {
    rounds: Number(values.rounds),
    sliceMs: Number(values.slice),
    sparsity: Number(values.sparsity),
    filter: (k: string) => kernels.length === 0 || kernels.includes(k),
  };
  const reports = wanted.flatMap(({ net, shape }, i): LayerReport[] => {
    process.stderr.write(`${i + 1}/${wanted.length} ${net} ${shape.node}\n`);
    const { peak, measured } = measureLayer(shape, target, options);
    return measured.length === 0 ? [] : [{ net, shape, peak, rows: report(measured, peak) }];
  });
  const right = (title: string) => ({ title, align: "right" }) as const;
  const columns = [
    { title: "layer" },
    { title: "shape" },
    { title: "kernel" },
    { title: "choice" },
    right("min µs"),
    right("median µs"),
    right("GMAC/s"),
    right("of peak"),
    right("estimate's rank"),
  ];
  const peak = Math.max(0, ...reports.map((r) => r.peak)) / 1e9;
  const table = formatTable(
    columns,
    reports.flatMap((r) => tableRows(r, Number(values.top))),
  );
  const text = `${name}, peak ${peak.toFixed(1)} GMAC/s, one thread, f32-spmm with ${100 * options.sparsity} % zeros\n\n${table}`;
  (values.json ? console.error : console.log)(text);
  if (values.json) console.log(JSON.stringify({ target: name, peakGmacs: round(peak, 2), ...options, layers: reports.map((r) => ({ ...r, peak: round(r.peak / 1e9, 2) })) }));
}

main();
