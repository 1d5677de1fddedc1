import type { Graph } from "../ir/graph.ts";
import { float32Tensor, tensorType } from "../ir/types.ts";
import { replaceInput } from "../ops/replace-input.ts";
import type { Dataset } from "./data/dataset.ts";

/**
 * The net as one that takes a data set's images as they are stored, where that is as bytes: these are faster to read and to vary, and what makes elements of them is compiled
 * with the net. Otherwise the net itself.
 */
export function takingBytes(graph: Graph, { bytes }: Dataset): Graph {
  const [input, ...others] = graph.inputs;
  if (bytes === undefined || input === undefined || others.length > 0) return graph;
  return replaceInput(graph, input, (builder) => {
    const raw = { ...input, type: tensorType("uint8", input.type.shape) };
    builder.addInput(raw);
    const constant = (name: string, data: readonly number[]) =>
      builder.constant(`${input.name}.${name}`, float32Tensor([1, data.length, ...input.type.shape.slice(2).map(() => 1)], Float32Array.from(data)));
    const elements = builder.add("Cast", [raw], { to: "float32" }, `${input.name}.elements`);
    const scaled = builder.add("Mul", [elements, constant("gain", bytes.gain)], {}, `${input.name}.scaled`);
    return builder.add("Sub", [scaled, constant("shift", bytes.shift)], {}, `${input.name}.normalized`);
  });
}
