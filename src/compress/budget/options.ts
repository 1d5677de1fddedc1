import type { Graph } from "../../ir/graph.ts";
import { withWeights } from "../../train/weights.ts";
import { fromMatrix, type Layer, toMatrix, weightLayers } from "../layers.ts";
import { type BudgetPlan, structureOf } from "../plan.ts";
import { fixedCount, selectorOf } from "../projections/selector.ts";
import { patternEntries, patternTaps, structureFor } from "../projections/structure.ts";
import { applyMask } from "../projections/unstructured.ts";

/** Densities that budgets choose from unless told otherwise: about equal ratios. */
export const defaultDensities: readonly number[] = [1, 0.7, 0.5, 0.4, 0.3, 0.24, 0.19, 0.15, 0.12, 0.09, 0.07, 0.05];

/** A layer whose density a budget may choose. */
export interface FreeLayer {
  readonly layer: Layer;
  /** Weights kept, the layer's own first: falling, each another. */
  readonly counts: readonly number[];
}

/**
 * The layers that a plan leaves free, with what its structure allows of the densities; those that it gives a density stay at that. The first convolution and
 * depthwise ones are left out unless the plan says `pruneAll`.
 */
export function freeLayers(graph: Graph, plan: BudgetPlan, densities: readonly number[]): FreeLayer[] {
  return weightLayers(graph)
    .filter((layer) => plan.layers[layer.name] !== undefined || plan.pruneAll || !(layer.first || layer.kind === "depthwise"))
    .map((layer) => {
      const given = plan.layers[layer.name]?.density;
      const structure = structureFor(structureOf(plan, layer), layer.matrix);
      const fixed = fixedCount(structure, layer.matrix);
      const most = structure.kind === "patterns" ? patternEntries / patternTaps : 1;
      const wanted = given !== undefined ? [given] : fixed !== undefined ? [1, fixed / layer.count] : [1, ...densities.map((d) => Math.min(d, most))];
      const counts = wanted.map((d) => (d >= 1 ? layer.count : Math.max(1, Math.round(d * layer.count))));
      return { layer, counts: [...new Set(counts)].sort((a, b) => b - a) };
    });
}

/** The weight with the greatest elements that its structure and `count` allow, the others 0. */
export function prunedWeight(plan: BudgetPlan, layer: Layer, count: number): Float32Array {
  const data = layer.value.data as Float32Array;
  if (count >= layer.count) return data;
  const energies = Float64Array.from(toMatrix(data, layer.matrix), (v) => v * v);
  return applyMask(data, fromMatrix(selectorOf(structureOf(plan, layer), layer.matrix)(energies, count), layer.matrix));
}

/** The net with option number `level` of every layer, or its last one. */
export function prunedNet(graph: Graph, plan: BudgetPlan, free: readonly FreeLayer[], level: number): Graph {
  return withWeights(graph, new Map(free.map(({ layer, counts }) => [layer.name, prunedWeight(plan, layer, countAt(counts, level))])));
}

export const countAt = (counts: readonly number[], level: number): number => counts[Math.min(level, counts.length - 1)] as number;
