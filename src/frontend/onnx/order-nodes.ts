import type { GraphProto, NodeProto } from "onnx-buf";
import { CadnnError } from "../../errors.ts";

/** All names a node reads, those that its subgraphs take from around them included. */
export function readsOf(node: NodeProto): string[] {
  const inner = node.attribute.flatMap((a) => (a.g === undefined ? a.graphs : [a.g, ...a.graphs])).flatMap(capturesOf);
  return [...node.input.filter((name) => name !== ""), ...inner];
}

export function initializerNames(graph: Pick<GraphProto, "initializer" | "sparseInitializer">): string[] {
  return [...graph.initializer.map((t) => t.name), ...graph.sparseInitializer.map((t) => t.values?.name ?? "")];
}

function capturesOf(graph: GraphProto): string[] {
  const own = new Set([...graph.node.flatMap((n) => n.output), ...graph.input.map((i) => i.name), ...initializerNames(graph)]);
  return [...graph.node.flatMap(readsOf), ...graph.output.map((o) => o.name)].filter((name) => !own.has(name));
}

/**
 * The nodes that `outputs` need, each after those it reads, otherwise in the order of the file. `given`: what is there before any node.
 * Throws `E_INVALID_GRAPH` for a cycle or a value that is made twice.
 */
export function orderNodes(nodes: readonly NodeProto[], outputs: readonly string[], given: ReadonlySet<string>): NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes)
    for (const name of node.output) {
      if (name === "") continue;
      if (makers.has(name) || given.has(name))
        throw new CadnnError("E_INVALID_GRAPH", `value ${name} is made twice`, { at: name, hint: "The file does not follow the ONNX standard; export it again." });
      makers.set(name, node);
    }
  const needed = new Set<NodeProto>();
  const queue = [...outputs];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const maker = makers.get(name);
    if (maker === undefined || needed.has(maker)) continue;
    needed.add(maker);
    queue.push(...readsOf(maker));
  }
  const placed = new Set<NodeProto>();
  const ordered: NodeProto[] = [];
  let waiting = nodes.filter((n) => needed.has(n));
  const ready = (node: NodeProto) =>
    readsOf(node).every((name) => {
      const maker = makers.get(name);
      return maker === undefined || placed.has(maker);
    });
  while (waiting.length > 0) {
    const later: NodeProto[] = [];
    for (const node of waiting) {
      if (!ready(node)) later.push(node);
      else {
        placed.add(node);
        ordered.push(node);
      }
    }
    if (later.length === waiting.length) {
      const at = later[0]?.name || later[0]?.output[0];
      throw new CadnnError("E_INVALID_GRAPH", `node ${at} depends on its own result`, { at, hint: "The file does not follow the ONNX standard; export it again." });
    }
    waiting = later;
  }
  return ordered;
}
