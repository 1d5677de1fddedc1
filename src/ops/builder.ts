import { invariant } from "../errors.ts";
import type { Attrs, ComputedValue, ConstantValue, Encoding, Graph, GraphOutput, InputValue, Node, ParameterValue, Update, Value } from "../ir/graph.ts";
import { type Tensor, type TensorType, tensorType } from "../ir/types.ts";
import { atNode } from "./op.ts";
import { opNamed } from "./registry.ts";

/** Appends nodes in topological order, infers their types and keeps names unique. */
export class GraphBuilder {
  readonly #names = new Set<string>();
  readonly #inputs: InputValue[] = [];
  readonly #nodes: Node[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #updates: Update[] = [];
  readonly name: string;

  constructor(name = "graph") {
    this.name = name;
  }

  /** `hint` itself if it is free, else `hint_1`, `hint_2`, … */
  uniqueName(hint: string): string {
    let name = hint;
    for (let i = 1; this.#names.has(name); i++) name = `${hint}_${i}`;
    this.#names.add(name);
    return name;
  }

  input(name: string, type: TensorType): InputValue {
    const value: InputValue = { kind: "input", name: this.uniqueName(name), type };
    this.#inputs.push(value);
    return value;
  }

  constant(name: string, tensor: Tensor, encoding?: Encoding): ConstantValue {
    const base = { kind: "constant", name: this.uniqueName(name), type: tensorType(tensor.dtype, tensor.shape), data: tensor.data } as const;
    return encoding === undefined ? base : { ...base, encoding };
  }

  parameter(name: string, tensor: Tensor): ParameterValue {
    return { kind: "parameter", name: this.uniqueName(name), type: tensorType(tensor.dtype, tensor.shape), data: tensor.data };
  }

  /** Adds a node with one output and returns that output. Value names default to the node's name. */
  add(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs = {}, name?: string): ComputedValue {
    const outputs = this.addMany(op, inputs, attrs, name);
    invariant(outputs.length === 1, `${op} has ${outputs.length} outputs, expected 1`);
    return outputs[0] as ComputedValue;
  }

  /** Adds a node with any number of outputs. `outputNames` are the user's own, where there are some. */
  addMany(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs = {}, name?: string, outputNames: readonly (string | undefined)[] = []): readonly ComputedValue[] {
    const nodeName = name ?? this.uniqueName(op.toLowerCase());
    const types = inferNode(op, nodeName, inputs, attrs);
    const outputs = types.map((type, i): ComputedValue => {
      const hint = outputNames[i] ?? (types.length === 1 ? nodeName : `${nodeName}.${i}`);
      return { kind: "computed", name: outputNames[i] === undefined && hint === nodeName && name === undefined ? hint : this.uniqueName(hint), type };
    });
    this.#nodes.push({ op, name: nodeName, inputs, outputs, attrs });
    return outputs;
  }

  /** Appends a node whose outputs exist already, as passes do when they copy a graph. */
  addNode(node: Node): void {
    for (const out of node.outputs) this.#names.add(out.name);
    this.#nodes.push(node);
  }

  addInput(value: InputValue): void {
    this.#names.add(value.name);
    this.#inputs.push(value);
  }

  output(name: string, value: Value): void {
    this.#outputs.push({ name, value });
  }

  update(parameter: ParameterValue, value: Value): void {
    this.#updates.push({ parameter, value });
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  finish(): Graph {
    return { name: this.name, inputs: [...this.#inputs], outputs: [...this.#outputs], nodes: [...this.#nodes], updates: [...this.#updates] };
  }
}

/** Types of a node's outputs; errors name the node. */
export function inferNode(op: string, nodeName: string, inputs: readonly (Value | undefined)[], attrs: Attrs): TensorType[] {
  return atNode(nodeName, () =>
    opNamed(op).infer(
      inputs.map((v) => v?.type),
      attrs,
    ),
  );
}
