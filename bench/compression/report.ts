import { type Column, formatTable } from "../../src/cli/table.ts";
import type { Result } from "./measure.ts";

type Cell = readonly [title: string, value: (result: Result) => string | undefined];

const cells: readonly Cell[] = [
  ["net", (r) => r.net],
  ["case", (r) => r.case],
  ["seed", (r) => String(r.seed)],
  ["images", (r) => String(r.images)],
  ["dense", (r) => r.dense.toFixed(2)],
  ["accuracy", (r) => `${r.accuracy.toFixed(2)} ± ${r.standardError.toFixed(1)}`],
  ["loss", (r) => (r.dense - r.accuracy).toFixed(2)],
  ["allowed", (r) => r.allowed?.toFixed(2)],
  ["simple", (r) => r.simple?.toFixed(2)],
  ["fitted", (r) => r.fitted?.toFixed(2)],
  ["same", (r) => `${r.same.toFixed(1)} %`],
  ["rate", (r) => `${r.rate.toFixed(2)}×`],
  ["CPU s", (r) => r.cpuSeconds.toFixed(0)],
  ["MiB", (r) => String(r.peakMiB)],
];

const columns: readonly Column[] = cells.map(([title], i) => ({ title, align: i < 2 ? "left" : "right" }));

export function resultTable(results: readonly Result[]): string {
  return formatTable(
    columns,
    results.map((r) => cells.map(([, value]) => value(r))),
  );
}

/** The same as lines of Markdown. */
export function resultMarkdown(results: readonly Result[]): string {
  const line = (row: readonly (string | undefined)[]) => `| ${row.map((c) => c ?? "").join(" | ")} |`;
  const rule = cells.map((_, i) => (i < 2 ? "---" : "--:"));
  return [line(cells.map(([title]) => title)), line(rule), ...results.map((r) => line(cells.map(([, value]) => value(r))))].join("\n");
}

/** What is not as it has to be: too much accuracy lost, or no more left than by the simple way. */
export function failures(results: readonly Result[]): string[] {
  return results.flatMap((r) => {
    const name = `${r.net}, ${r.case}, seed ${r.seed}`;
    const short = r.allowed !== undefined && r.dense - r.accuracy > r.allowed ? [`${name}: loses ${(r.dense - r.accuracy).toFixed(2)} points, allowed are ${r.allowed}`] : [];
    const beaten = r.simple !== undefined && r.accuracy <= r.simple ? [`${name}: ${r.accuracy.toFixed(2)} % is not above the simple way's ${r.simple.toFixed(2)} %`] : [];
    return [...short, ...beaten];
  });
}
