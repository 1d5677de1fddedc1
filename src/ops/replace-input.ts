import type { Graph, InputValue, Value } from "../ir/graph.ts";
import { GraphBuilder } from "./builder.ts";

/** The same graph with what `make` adds to it in place of one of its inputs: a value of the same type. `make` adds the inputs that it needs instead. */
export function replaceInput(graph: Graph, input: InputValue, make: (builder: GraphBuilder) => Value): Graph {
  const builder = new GraphBuilder(graph.name);
  for (const node of graph.nodes) for (const out of node.outputs) builder.uniqueName(out.name);
  let replacement: Value = input;
  for (const other of graph.inputs)
    if (other === input) replacement = make(builder);
    else builder.addInput(other);
  const now = <V extends Value | undefined>(v: V): V => (v === input ? (replacement as V) : v);
  for (const node of graph.nodes) builder.addNode({ ...node, inputs: node.inputs.map(now) });
  for (const output of graph.outputs) builder.output(output.name, now(output.value));
  for (const update of graph.updates) builder.update(update.parameter, now(update.value));
  return builder.finish();
}
