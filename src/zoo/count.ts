import type { Graph, Node } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";

/** Multiply-accumulates of one node: of convolutions and matrix products, 0 for all else, as published figures count them. */
export function nodeMacs(node: Node): number {
  const outputs = elementCount(node.outputs[0]?.type.shape ?? [0]);
  const [a = [], b = []] = node.inputs.map((v) => v?.type.shape ?? []);
  switch (node.op) {
    case "Conv":
    case "FusedConv":
      return outputs * elementCount(b.slice(1));
    case "ConvTranspose":
      return elementCount(a) * elementCount(b.slice(1));
    case "Gemm":
    case "FusedGemm":
      return outputs * (a[node.attrs.transA === true ? 0 : 1] ?? 0);
    case "MatMul":
      return outputs * (a.at(-1) ?? 0);
    default:
      return 0;
  }
}

/** Multiply-accumulates of one inference. */
export function countMacs(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => sum + nodeMacs(node), 0);
}

/** Elements of a node's trainable constants: its floating-point constants but a BatchNormalization's running mean and variance. */
export function nodeParameters(node: Node): number {
  const trainable = node.op === "BatchNormalization" ? node.inputs.slice(0, 3) : node.inputs;
  let sum = 0;
  for (const value of trainable)
    if (value !== undefined && (value.kind === "constant" || value.kind === "parameter") && value.type.dtype === "float32") sum += elementCount(value.type.shape);
  return sum;
}

/** Trainable parameters, as published figures count them; shared ones once. */
export function countParameters(graph: Graph): number {
  const seen = new Set<unknown>();
  let sum = 0;
  for (const node of graph.nodes) {
    const fresh = node.inputs.map((value) => (seen.has(value) ? undefined : value));
    for (const value of node.inputs) seen.add(value);
    sum += nodeParameters({ ...node, inputs: fresh });
  }
  return sum;
}
