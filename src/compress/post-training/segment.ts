import type { Graph, InputValue, Node, Value } from "../../ir/graph.ts";

/** Values that are computed before node `index` (or fed) and read by it or later. */
export function frontierOf(graph: Graph, index: number): Value[] {
  const known = new Set<Value>(graph.inputs);
  for (const node of graph.nodes.slice(0, index)) for (const v of node.outputs) known.add(v);
  const live = new Set<Value>();
  for (const node of graph.nodes.slice(index)) for (const v of node.inputs) if (v !== undefined && known.has(v)) live.add(v);
  for (const { value } of graph.outputs) if (known.has(value)) live.add(value);
  return [...live];
}

/** The part of the graph that computes `wanted` from values that are known by now; those become its inputs, by their names. */
export function segmentOf(graph: Graph, known: ReadonlySet<string>, wanted: readonly Value[]): Graph {
  const producer = new Map<Value, Node>();
  for (const node of graph.nodes) for (const v of node.outputs) producer.set(v, node);
  const inputs = new Map<Value, InputValue>();
  const needed = new Set<Node>();
  const visit = (value: Value): void => {
    if (known.has(value.name)) {
      inputs.set(value, { kind: "input", name: value.name, type: value.type });
      return;
    }
    const node = producer.get(value);
    if (node === undefined || needed.has(node)) return;
    needed.add(node);
    for (const v of node.inputs) if (v !== undefined) visit(v);
  };
  for (const value of wanted) visit(value);
  const replace = (v: Value | undefined): Value | undefined => (v === undefined ? undefined : (inputs.get(v) ?? v));
  return {
    name: graph.name,
    inputs: [...inputs.values()],
    nodes: graph.nodes.filter((n) => needed.has(n)).map((n) => ({ ...n, inputs: n.inputs.map(replace) })),
    outputs: wanted.map((value) => ({ name: value.name, value: replace(value) as Value })),
    updates: [],
  };
}
