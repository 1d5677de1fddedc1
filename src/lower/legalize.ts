import type { Graph, Node, Value } from "../ir/graph.ts";
import { GraphBuilder } from "../ops/builder.ts";
import { evaluateConstants, foldEmpty } from "./fold-empty.ts";
import { type RewriteBuilder, rewriteOf } from "./rewrites.ts";

/** Rewrites the ops that no kernel computes directly into ones that are. */
export function legalize(source: Graph): Graph {
  const graph = foldEmpty(source);
  if (!graph.nodes.some((node) => rewriteOf(node) !== undefined)) return graph;
  const builder = new GraphBuilder(graph.name);
  for (const input of graph.inputs) builder.addInput(input);
  const renamed = new Map<Value, Value>();
  const now = <V extends Value | undefined>(v: V): V => (v === undefined ? v : ((renamed.get(v) ?? v) as V));
  for (const node of graph.nodes) for (const out of node.outputs) builder.uniqueName(out.name);
  for (const old of graph.nodes) {
    const node = { ...old, inputs: old.inputs.map(now) };
    const rewrite = rewriteOf(node);
    if (rewrite === undefined) builder.addNode(node);
    else for (const [i, value] of rewrite(rewriteBuilder(builder, node.name), node).entries()) renamed.set(node.outputs[i] as Value, value);
  }
  for (const output of graph.outputs) builder.output(output.name, now(output.value));
  for (const update of graph.updates) builder.update(update.parameter, now(update.value));
  return builder.finish();
}

/** Computes at once what depends on constants alone, and rewrites what needs it in turn. */
function rewriteBuilder(graph: GraphBuilder, name: string): RewriteBuilder {
  const builder: RewriteBuilder = {
    constant: (hint, tensor) => graph.constant(`${name}.${hint}`, tensor),
    addMany(op, inputs, attrs = {}) {
      const scratch = new GraphBuilder();
      const own = graph.uniqueName(`${name}.${op.toLowerCase()}`);
      scratch.addMany(op, inputs, attrs, own);
      const node = scratch.nodes[0] as Node;
      const results = evaluateConstants(node)?.map((tensor) => graph.constant(own, tensor)) ?? rewriteOf(node)?.(builder, node);
      return results ?? graph.addMany(op, inputs, attrs, own);
    },
    add: (op, inputs, attrs) => builder.addMany(op, inputs, attrs)[0] as Value,
  };
  return builder;
}
