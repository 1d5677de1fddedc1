import type { ConstantValue, Encoding, Graph, Value } from "../ir/graph.ts";
import { eliminateDeadNodes } from "../passes/eliminate-dead-nodes.ts";
import { eliminateIdentity } from "../passes/eliminate-identity.ts";
import { foldConstants } from "../passes/fold-constants.ts";
import { optimize } from "../passes/index.ts";
import { mergeMovements } from "../passes/merge-movements.ts";
import { weightRoles } from "./training-graph.ts";

/**
 * Cleans up what exporters leave, so that weights are constants and steps short. Weights stay apart even where they are equal (all
 * biases may be 0 before training), which is why common constants are not merged.
 */
export function prepareNet(graph: Graph): Graph {
  return optimize(graph, { passes: [eliminateDeadNodes, eliminateIdentity, foldConstants, mergeMovements] });
}

/** Elements of a net's trainable constants and running statistics, by name. */
export type Weights = ReadonlyMap<string, Float32Array>;

export function weightsOf(graph: Graph): Map<string, Float32Array> {
  return new Map([...weightRoles(graph).keys()].map((value) => [value.name, value.data as Float32Array]));
}

/** The same graph with other elements in the constants of these names; `sparse` ones are marked as such. */
export function withWeights(graph: Graph, weights: Weights, sparse: ReadonlySet<string> = new Set()): Graph {
  const replaced = new Map<ConstantValue, ConstantValue>();
  const replace = (value: Value): Value => {
    if (value.kind !== "constant") return value;
    const data = weights.get(value.name);
    if (data === undefined) return value;
    const known = replaced.get(value);
    if (known !== undefined) return known;
    const encoding: { encoding?: Encoding } = sparse.has(value.name) ? { encoding: { kind: "sparse" } } : {};
    const fresh: ConstantValue = { ...value, ...encoding, data };
    replaced.set(value, fresh);
    return fresh;
  };
  return {
    ...graph,
    nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map((v) => (v === undefined ? undefined : replace(v))) })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: replace(value) })),
  };
}
