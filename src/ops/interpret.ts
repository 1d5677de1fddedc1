import { CadnnError, invariant } from "../errors.ts";
import { type Graph, type Node, type ParameterValue, tensorOf, useCounts, type Value } from "../ir/graph.ts";
import { elementCount, formatType, sameType, type Tensor } from "../ir/types.ts";
import { atNode } from "./op.ts";
import { opNamed } from "./registry.ts";

export interface Interpretation {
  /** By the outputs' names. */
  readonly outputs: Map<string, Tensor>;
  /** What each updated parameter is after the run. */
  readonly updates: Map<ParameterValue, Tensor>;
}

/**
 * Runs a graph by the ops' reference semantics: the oracle for everything that is generated.
 * Parameters have their first values unless `parameters` holds others. Intermediate tensors are freed after their last use.
 * Throws `E_INPUT_NAME`, `E_SHAPE_MISMATCH` or `E_DTYPE_MISMATCH` for feeds that do not fit.
 */
export function interpret(
  graph: Graph,
  feeds: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  parameters: ReadonlyMap<ParameterValue, Tensor> = new Map(),
): Interpretation {
  const tensors = new Map<Value, Tensor>(feedInputs(graph, feeds instanceof Map ? feeds : new Map(Object.entries(feeds))));
  const uses = useCounts(graph);
  const read = (value: Value): Tensor => {
    if (value.kind === "constant") return tensorOf(value);
    const tensor = tensors.get(value) ?? (value.kind === "parameter" ? (parameters.get(value) ?? tensorOf(value)) : undefined);
    if (tensor === undefined) throw new CadnnError("E_INVALID_GRAPH", `value ${value.name} is read before it is computed`, { at: value.name });
    return tensor;
  };
  for (const node of graph.nodes) {
    const results = evaluateNode(
      node,
      node.inputs.map((value) => value && read(value)),
    );
    node.outputs.forEach((value, i) => {
      if ((uses.get(value) ?? 0) > 0) tensors.set(value, results[i] as Tensor);
    });
    for (const value of node.inputs) {
      if (value === undefined) continue;
      const left = (uses.get(value) as number) - 1;
      uses.set(value, left);
      if (left === 0) tensors.delete(value);
    }
  }
  return {
    outputs: new Map(graph.outputs.map(({ name, value }) => [name, read(value)])),
    updates: new Map(graph.updates.map(({ parameter, value }) => [parameter, read(value)])),
  };
}

/** A node's outputs by its op's reference semantics; errors name the node. */
export function evaluateNode(node: Node, inputs: readonly (Tensor | undefined)[]): Tensor[] {
  const types = node.outputs.map((value) => value.type);
  const results = atNode(node.name, () => opNamed(node.op).evaluate(inputs, node.attrs, types));
  types.forEach((type, i) => {
    const result = results[i];
    invariant(
      result !== undefined && sameType(result, type),
      `${node.op} ${node.name} gave ${result === undefined ? "nothing" : formatType(result)} instead of ${formatType(type)}`,
    );
  });
  return results;
}

function feedInputs(graph: Graph, feeds: ReadonlyMap<string, Tensor>): [Value, Tensor][] {
  const names = graph.inputs.map((input) => input.name);
  for (const name of feeds.keys())
    if (!names.includes(name)) throw new CadnnError("E_INPUT_NAME", `the graph has no input ${name}`, { at: name, hint: `Its inputs are ${names.join(", ")}.` });
  return graph.inputs.map((input) => {
    const tensor = feeds.get(input.name);
    const expected = `Input ${input.name} takes ${formatType(input.type)}.`;
    if (tensor === undefined) throw new CadnnError("E_INPUT_NAME", `input ${input.name} is not fed`, { at: input.name, hint: expected });
    if (tensor.dtype !== input.type.dtype) throw new CadnnError("E_DTYPE_MISMATCH", `input ${input.name} is fed ${tensor.dtype}`, { at: input.name, hint: expected });
    if (!sameType(tensor, input.type) || tensor.data.length !== elementCount(tensor.shape))
      throw new CadnnError("E_SHAPE_MISMATCH", `input ${input.name} is fed ${formatType(tensor)} with ${tensor.data.length} elements`, { at: input.name, hint: expected });
    return [input, tensor];
  });
}
