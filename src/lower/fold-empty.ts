import { type ConstantValue, type Graph, isConstant, type Node, tensorOf, type Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, type Tensor, zeros } from "../ir/types.ts";
import { evaluateNode } from "../ops/interpret.ts";

const isEmpty = (value: Value | undefined): value is Value => value !== undefined && value.kind !== "constant" && elementCount(value.type.shape) === 0;

const constant = ({ name, type }: Value, { data }: Tensor): ConstantValue => ({ kind: "constant", name, type, data });

/** Makes constants of values without elements, and of what depends on nothing else: no kernel meets a dimension of 0. */
export function foldEmpty(graph: Graph): Graph {
  const touches = (node: Node) => node.inputs.some(isEmpty) || node.outputs.some(isEmpty);
  if (!graph.nodes.some(touches) && !graph.outputs.some((o) => isEmpty(o.value))) return graph;
  const known = new Map<Value, Value>();
  const now = (value: Value): Value => (isEmpty(value) ? constant(value, zeros(value.type.dtype, value.type.shape)) : (known.get(value) ?? value));
  const nodes: Node[] = [];
  for (const old of graph.nodes) {
    const node = { ...old, inputs: old.inputs.map((v) => v && now(v)) };
    if (node.outputs.every(isEmpty)) continue;
    const results = old.inputs.some((v, i) => v !== node.inputs[i]) ? evaluateConstants(node) : undefined;
    if (results === undefined) nodes.push(withoutEmpty(node));
    else for (const [i, out] of node.outputs.entries()) known.set(out, constant(out, results[i] as Tensor));
  }
  return {
    ...graph,
    nodes,
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: now(value) })),
    updates: graph.updates.map(({ parameter, value }) => ({ parameter, value: now(value) })),
  };
}

/** The node's outputs if all its inputs are constants. */
export function evaluateConstants(node: Node): Tensor[] | undefined {
  const constants = node.inputs.filter((v): v is Value => v !== undefined);
  if (!constants.every(isConstant)) return undefined;
  return evaluateNode(
    node,
    node.inputs.map((v) => v && tensorOf(v as ConstantValue)),
  );
}

function withoutEmpty(node: Node): Node {
  const empty = (v: Value | undefined) => isConstant(v) && v.data.length === 0;
  if (!node.inputs.some(empty)) return node;
  if (node.op === "Concat") return { ...node, inputs: node.inputs.filter((v) => !empty(v)) };
  if (!node.op.endsWith("Gemm")) return node;
  // A sum of no products is one product of zeros.
  const [m, n] = (node.outputs[0] as Value).type.shape as [number, number];
  const zero = (i: number, shape: readonly number[]): ConstantValue => ({
    ...constant(node.inputs[i] as Value, float32Tensor(shape, new Float32Array(elementCount(shape)))),
    type: { dtype: "float32", shape },
  });
  return { ...node, inputs: [zero(0, [m, 1]), zero(1, [1, n]), ...node.inputs.slice(2)], attrs: { ...node.attrs, transA: false, transB: false } };
}
