import type { Graph } from "../ir/graph.ts";
import { weightLayers } from "./layers.ts";
import type { StorageReport } from "./storage.ts";

export interface LayerReport {
  /** Name of the weight. */
  readonly name: string;
  readonly kind: "conv" | "depthwise" | "linear";
  readonly shape: readonly number[];
  readonly weights: number;
  readonly kept: number;
  /** kept / weights */
  readonly density: number;
  /** weights / kept */
  readonly rate: number;
  /** ‖W − Z‖ / ‖W‖ at the end of ADMM; below 0.05 it has converged. Missing for layers left dense. */
  readonly residual?: number;
  /** Of its weights; missing where they are floats. */
  readonly bits?: number;
}

/** Accuracies are percentages of the validation images. */
export interface CompressionReport {
  readonly layers: readonly LayerReport[];
  /** Of all convolution and FC layers. */
  readonly weights: number;
  readonly kept: number;
  readonly rate: number;
  readonly accuracy: {
    readonly before: number;
    /** Straight after each hard pruning. */
    readonly pruned: readonly { readonly rate: number; readonly accuracy: number }[];
    /** Straight after rounding to levels. */
    readonly quantized?: number;
    readonly after: number;
  };
  readonly validationImages: number;
  /** Where there is a test set. */
  readonly test?: { readonly before: number; readonly after: number; readonly images: number };
  readonly storage: StorageReport;
}

/** Counts of the graph as it is, its layers those of the original, whose units may be gone by now. */
export function layerReports(graph: Graph, residuals: Readonly<Record<string, number>>, original = graph): LayerReport[] {
  const layers = weightLayers(original);
  return weightLayers(graph).map((layer) => {
    const { name, value } = layer;
    const { kind, shape, count } = layers.find((l) => l.name === name) ?? layer;
    const kept = (value.data as Float32Array).reduce((n, v) => n + Number(v !== 0), 0);
    const residual = residuals[name];
    return { name, kind, shape, weights: count, kept, density: kept / count, rate: count / Math.max(1, kept), ...(residual === undefined ? {} : { residual }) };
  });
}
