import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { type Layer, weightLayers } from "./layers.ts";
import type { CompressionPlan, StepPlan } from "./plan.ts";

/**
 * What a plan calls layers by, beside the names of their weights, so that it fits a net whatever its exporter called them: `conv:2`, `linear:-1` (the second convolution, the last
 * fully connected layer), `conv`, `depthwise`, `pointwise` (1×1), `linear` (all of a kind), `layer4.*` (names with a star). Depthwise convolutions count as convolutions only in `depthwise`.
 */
export const selectorForms = "names of weights, conv:2, linear:-1, conv, depthwise, pointwise, linear, or names with a *";

type Selector = (layer: Layer, layers: readonly Layer[]) => boolean;

const kinds: Readonly<Record<string, (layer: Layer) => boolean>> = {
  conv: (l) => l.kind === "conv",
  depthwise: (l) => l.kind === "depthwise",
  pointwise: (l) => l.kind === "conv" && l.matrix.taps === 1,
  linear: (l) => l.kind === "linear",
};

/** How much a selector says, and whom it selects; exact names say most. */
function readSelector(text: string): { readonly rank: number; readonly selects: Selector } {
  const [, kind = "", place] = /^(\w+)(?::(-?\d+))?$/.exec(text) ?? [];
  const isKind = kinds[kind];
  if (isKind !== undefined && place === undefined) return { rank: 0, selects: isKind };
  if (isKind !== undefined && Number(place) !== 0) {
    const index = Number(place) > 0 ? Number(place) - 1 : Number(place);
    return { rank: 2, selects: (layer, layers) => layers.filter(isKind).at(index) === layer };
  }
  if (!text.includes("*")) return { rank: 3, selects: (layer) => layer.name === text };
  const pattern = new RegExp(`^${text.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);
  return { rank: 1, selects: (layer) => pattern.test(layer.name) };
}

/**
 * The same table by names of weights. Of several entries for a layer the one that says most holds: a name before a place, a place before a pattern, a pattern before a kind.
 * @throws `E_INVALID_OPTION` for one that selects nothing
 */
export function byLayerName<T>(graph: Graph, table: Readonly<Record<string, T>>, at = "layers"): Record<string, T> {
  const layers = weightLayers(graph);
  const selectors = Object.entries(table).map(([text, value]) => ({ text, value, ...readSelector(text) }));
  for (const { text, selects } of selectors)
    if (!layers.some((l) => l.name === text || selects(l, layers)))
      throw new CadnnError("E_INVALID_OPTION", `the net has no layer ${text}`, {
        at: `${at}.${text}`,
        hint: `Layers: ${layers.map((l) => l.name).join(", ")}. Also ${selectorForms}.`,
      });
  const ordered = selectors.sort((a, b) => a.rank - b.rank);
  const found = layers.flatMap((layer): [string, T][] => {
    const exact = ordered.find((s) => s.text === layer.name);
    const best = exact ?? ordered.findLast((s) => s.selects(layer, layers));
    return best === undefined ? [] : [[layer.name, best.value]];
  });
  return Object.fromEntries(found);
}

/** The plan with names of weights in all places. */
export function withLayerNames<P extends Pick<CompressionPlan, "layers"> & Partial<Pick<CompressionPlan, "steps">>>(graph: Graph, plan: P): P {
  const named = (step: number | StepPlan): number | StepPlan =>
    typeof step === "number" || step.units === undefined || typeof step.units === "number" ? step : { ...step, units: byLayerName(graph, step.units, "units") };
  return { ...plan, layers: byLayerName(graph, plan.layers), ...(plan.steps === undefined ? {} : { steps: plan.steps.map(named) }) };
}
