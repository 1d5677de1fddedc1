import { CadnnError, throwProblems } from "../errors.ts";
import { e } from "../ir/expr.ts";
import type { Graph, Node, ParameterValue, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor } from "../ir/types.ts";
import { GraphBuilder } from "../ops/builder.ts";
import { addMap } from "../ops/gradient-helpers.ts";
import { gradientOf } from "../ops/gradients.ts";

export interface DifferentiateOptions {
  /** A scalar of the graph, or what adds one behind the graph's outputs. */
  readonly loss: Value | ((builder: GraphBuilder, outputs: ReadonlyMap<string, Value>) => Value);
  /** The parameters to differentiate by. */
  readonly wrt: readonly ParameterValue[];
}

export interface Differentiated {
  /** Forward and backward pass. Outputs: the graph's own, `loss`, and `gradient.NAME` for each parameter of `wrt`. */
  readonly graph: Graph;
  /** ∂loss/∂parameter; parameters that the loss does not depend on are missing. */
  readonly gradients: ReadonlyMap<ParameterValue, Value>;
}

/**
 * Reverse-mode differentiation: a new graph that computes the loss and its gradient with ordinary nodes, so that it is optimized,
 * lowered and generated like any other.
 * @throws `E_UNSUPPORTED_OP` that lists every op on the way that has no gradient; `E_SHAPE_MISMATCH` if the loss is not a scalar.
 */
export function differentiate(graph: Graph, options: DifferentiateOptions): Differentiated {
  const builder = copyGraph(graph);
  const outputs = new Map(graph.outputs.map(({ name, value }) => [name, value]));
  const loss = typeof options.loss === "function" ? options.loss(builder, outputs) : options.loss;
  const gradients = addGradients(builder, loss, options.wrt);
  builder.output("loss", loss);
  for (const parameter of options.wrt) {
    const gradient = gradients.get(parameter);
    if (gradient !== undefined) builder.output(`gradient.${parameter.name}`, gradient);
  }
  return { graph: builder.finish(), gradients: gradients as ReadonlyMap<ParameterValue, Value> };
}

/** A builder that goes on where the graph ends. */
export function copyGraph(graph: Graph): GraphBuilder {
  const builder = new GraphBuilder(graph.name);
  const reserved = new Set<Value>();
  for (const input of graph.inputs) builder.addInput(input);
  for (const node of graph.nodes) {
    for (const value of node.inputs)
      if (value !== undefined && (value.kind === "constant" || value.kind === "parameter") && !reserved.has(value)) {
        reserved.add(value);
        builder.uniqueName(value.name);
      }
    builder.addNode(node);
  }
  for (const { name, value } of graph.outputs) builder.output(name, value);
  for (const { parameter, value } of graph.updates) builder.update(parameter, value);
  return builder;
}

/** Appends the nodes that compute ∂loss/∂v for each `v` of `wrt` that the loss depends on. The loss is a scalar. */
export function addGradients(builder: GraphBuilder, loss: Value, wrt: readonly Value[]): ReadonlyMap<Value, Value> {
  if (elementCount(loss.type.shape) !== 1) throw new CadnnError("E_SHAPE_MISMATCH", `the loss has shape [${loss.type.shape.join(", ")}], expected a scalar`, { at: loss.name });
  const one = builder.constant("one", float32Tensor(loss.type.shape, [1]));
  return backpropagate(builder, new Map([[loss, one]]), wrt);
}

/** The same from given ∂loss/∂v of any values. */
export function backpropagate(builder: GraphBuilder, seeds: ReadonlyMap<Value, Value>, wrt: readonly Value[]): ReadonlyMap<Value, Value> {
  const forward = [...builder.nodes];
  const dependent = dependents(forward, wrt);
  checkGradients(forward, dependent, seeds);

  const contributions = new Map<Value, Value[]>([...seeds].map(([value, seed]) => [value, [seed]]));
  const total = (value: Value): Value | undefined => {
    const parts = contributions.get(value);
    if (parts === undefined || parts.length < 2) return parts?.[0];
    const sum = addMap(
      builder,
      parts.map((_, i) => e.input(i)).reduce((a, b) => e.add(a, b)),
      parts,
    ) as Value;
    contributions.set(value, [sum]);
    return sum;
  };
  for (const node of forward.toReversed()) {
    const wanted = node.inputs.map((v) => v !== undefined && dependent.has(v));
    if (!wanted.includes(true)) continue;
    const gradients = node.outputs.map(total);
    if (gradients.every((g) => g === undefined)) continue;
    const inputGradients = nodeGradient(builder, node, gradients, wanted);
    node.inputs.forEach((input, i) => {
      const gradient = inputGradients[i];
      if (input === undefined || gradient === undefined || !wanted[i]) return;
      const list = contributions.get(input);
      if (list === undefined) contributions.set(input, [gradient]);
      else list.push(gradient);
    });
  }
  const result = new Map<Value, Value>();
  for (const value of wrt) {
    const gradient = total(value);
    if (gradient !== undefined) result.set(value, gradient);
  }
  return result;
}

function nodeGradient(builder: GraphBuilder, node: Node, gradients: readonly (Value | undefined)[], wanted: readonly boolean[]): (Value | undefined)[] {
  const { inputs, outputs, attrs } = node;
  const gradient = gradientOf(node.op, attrs);
  if (gradient === undefined) throw unsupported(node);
  try {
    return gradient({ builder, attrs, inputs, outputs, gradients, wanted });
  } catch (error) {
    if (error instanceof CadnnError && error.at === undefined) throw new CadnnError(error.code, error.message, { at: node.name, hint: error.hint, cause: error });
    throw error;
  }
}

/** Everything that is computed from `roots`, and the roots. */
function dependents(nodes: readonly Node[], roots: readonly Value[]): ReadonlySet<Value> {
  const set = new Set<Value>(roots);
  for (const node of nodes) if (node.inputs.some((v) => v !== undefined && set.has(v))) for (const out of node.outputs) set.add(out);
  return set;
}

/** Lists all ops without a gradient on the way from `wrt` to the loss. */
function checkGradients(nodes: readonly Node[], dependent: ReadonlySet<Value>, seeds: ReadonlyMap<Value, Value>): void {
  const reaches = new Set<Value>(seeds.keys());
  const problems: CadnnError[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((v) => reaches.has(v))) continue;
    if (!node.inputs.some((v) => v !== undefined && dependent.has(v))) continue;
    for (const v of node.inputs) if (v !== undefined) reaches.add(v);
    if (gradientOf(node.op, node.attrs) === undefined) problems.push(unsupported(node));
  }
  throwProblems(problems.reverse(), "the net cannot be trained: these operators have no gradient");
}

function unsupported(node: Node): CadnnError {
  return new CadnnError("E_UNSUPPORTED_OP", `operator ${node.op} has no gradient`, { at: node.name, hint: "Train only the layers behind it, or leave the node out." });
}
