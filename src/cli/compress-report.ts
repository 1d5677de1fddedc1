import type { PostTrainingLayerReport } from "../compress/index.ts";
import type { Graph } from "../ir/graph.ts";
import { formatCount, formatPercent } from "./format.ts";
import { formatTable } from "./table.ts";

/** A compressed net and what there is to tell about it. */
export interface Compressed {
  readonly graph: Graph;
  readonly table: string;
  readonly summary: readonly [string, string][];
  readonly json: Readonly<Record<string, unknown>>;
}

/** One row a layer; columns that no layer has are left out. */
export function layerTable(layers: readonly PostTrainingLayerReport[]): string {
  const columns: { title: string; cell: (l: PostTrainingLayerReport) => string | undefined; optional?: boolean }[] = [
    { title: "weights", cell: (l) => formatCount(l.weights) },
    { title: "kept", cell: (l) => formatCount(l.kept) },
    { title: "rate", cell: (l) => `${l.rate.toFixed(1)}×` },
    { title: "density", cell: (l) => formatPercent(l.density) },
    { title: "bits", cell: (l) => l.bits?.toString(), optional: true },
    { title: "residual", cell: (l) => l.residual?.toFixed(3) },
    { title: "error", cell: (l) => (l.error === undefined ? undefined : formatPercent(l.error)), optional: true },
  ];
  const shown = columns.filter((c) => c.optional !== true || layers.some((l) => c.cell(l) !== undefined));
  return formatTable(
    [{ title: "layer" }, ...shown.map(({ title }) => ({ title, align: "right" as const }))],
    layers.map((l) => [l.name, ...shown.map((c) => c.cell(l))]),
  );
}

export const weightsLine = ({ weights, kept, rate }: { readonly weights: number; readonly kept: number; readonly rate: number }): [string, string] => [
  "weights",
  `${formatCount(kept)} of ${formatCount(weights)} kept, ${rate.toFixed(1)}×`,
];
