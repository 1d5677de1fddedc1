import type { ConstantValue, Graph } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { weightRoles } from "../train/training-graph.ts";

/** One weight tensor of a convolution or fully connected layer. */
export interface Layer {
  /** Name of the weight; plans and reports use it. */
  readonly name: string;
  /** Name of the node that reads it. */
  readonly node: string;
  readonly kind: "conv" | "depthwise" | "linear";
  readonly shape: readonly number[];
  readonly count: number;
  /** Whether it is the net's first convolution. */
  readonly first: boolean;
  readonly value: ConstantValue;
}

/** All weight tensors of convolutions and fully connected layers, in the net's order; rates are relative to their sum. */
export function weightLayers(graph: Graph): readonly Layer[] {
  const roles = weightRoles(graph);
  const layers: Layer[] = [];
  let convolutions = 0;
  for (const node of graph.nodes)
    for (const value of node.inputs) {
      if (value?.kind !== "constant" || roles.get(value) !== "weight" || layers.some((l) => l.value === value)) continue;
      const { shape } = value.type;
      const isConv = node.op === "Conv" || node.op === "ConvTranspose";
      const group = isConv ? (node.attrs.group as number) : 1;
      const kind = !isConv ? "linear" : group > 1 && shape[1] === 1 ? "depthwise" : "conv";
      layers.push({ name: value.name, node: node.name, kind, shape, count: elementCount(shape), first: isConv && convolutions === 0, value });
      if (isConv) convolutions++;
    }
  return layers;
}
