import type { Graph, Value } from "../ir/graph.ts";
import type { Pass } from "./pass.ts";

/** Keeps the nodes that an output or an update depends on. Graph inputs stay, read or not: they are the user's interface. */
export const eliminateDeadNodes: Pass = {
  name: "eliminate-dead-nodes",
  run(graph: Graph): Graph {
    const live = new Set<Value>();
    for (const { value } of graph.outputs) live.add(value);
    for (const { value } of graph.updates) live.add(value);
    const kept = graph.nodes.toReversed().filter((node) => {
      if (!node.outputs.some((out) => live.has(out))) return false;
      for (const input of node.inputs) if (input !== undefined) live.add(input);
      return true;
    });
    return kept.length === graph.nodes.length ? graph : { ...graph, nodes: kept.reverse() };
  },
};
