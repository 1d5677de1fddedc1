import type { Activation } from "./activation.ts";
import type { Expr } from "./expr.ts";
import type { Tensor, TensorData, TensorType } from "./types.ts";

/** How a constant is stored in an artifact. Its `data` is always the expanded float32 array. */
export type Encoding =
  | { readonly kind: "dense" }
  | { readonly kind: "sparse" } // zeros are not stored
  | { readonly kind: "quantized"; readonly bits: number; readonly levels: readonly Float32Array[] };

interface ValueBase {
  /** Unique within its graph; for values of the user's file, the user's own name. */
  readonly name: string;
  readonly type: TensorType;
}
/** Fed on every run. */
export interface InputValue extends ValueBase {
  readonly kind: "input";
}
/** Known when compiling. */
export interface ConstantValue extends ValueBase {
  readonly kind: "constant";
  readonly data: TensorData;
  readonly encoding?: Encoding;
}
/** Mutable and resident between runs; `data` is its first value. */
export interface ParameterValue extends ValueBase {
  readonly kind: "parameter";
  readonly data: TensorData;
}
/** Computed by a node. */
export interface ComputedValue extends ValueBase {
  readonly kind: "computed";
}
export type Value = InputValue | ConstantValue | ParameterValue | ComputedValue;

/** Attributes in canonical form: what newer opsets take as constant inputs (axes, shapes, bounds) is an attribute here. */
export type AttrValue = number | string | boolean | readonly number[] | readonly string[] | Tensor | Expr | Activation | undefined;
export type Attrs = { readonly [name: string]: AttrValue };

export interface Node {
  readonly op: string;
  /** Unique; the user's own name where the file has one. */
  readonly name: string;
  /** `undefined` where an optional input is left out. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly ComputedValue[];
  readonly attrs: Attrs;
}

/** After each run, `parameter` takes on `value`; all updates happen at once. */
export interface Update {
  readonly parameter: ParameterValue;
  readonly value: Value;
}

/** A pure dataflow graph. `nodes` are in topological order; nothing in it is ever mutated. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly InputValue[];
  readonly outputs: readonly GraphOutput[];
  readonly nodes: readonly Node[];
  readonly updates: readonly Update[];
}

/** An output keeps the user's name even where passes replace the value behind it. */
export interface GraphOutput {
  readonly name: string;
  readonly value: Value;
}

export function isConstant(value: Value | undefined): value is ConstantValue {
  return value?.kind === "constant";
}

export function tensorOf(value: ConstantValue | ParameterValue): Tensor {
  return { ...value.type, data: value.data } as Tensor;
}

/** How often each value is read by nodes, outputs and updates. */
export function useCounts(graph: Graph): Map<Value, number> {
  const counts = new Map<Value, number>();
  const use = (v: Value | undefined) => {
    if (v !== undefined) counts.set(v, (counts.get(v) ?? 0) + 1);
  };
  for (const node of graph.nodes) node.inputs.forEach(use);
  for (const output of graph.outputs) use(output.value);
  for (const update of graph.updates) use(update.value);
  return counts;
}

/** The node that computes each value. */
export function producers(graph: Graph): Map<Value, Node> {
  const map = new Map<Value, Node>();
  for (const node of graph.nodes) for (const out of node.outputs) map.set(out, node);
  return map;
}

/** All constants that nodes or outputs read, each once, in order of first use. */
export function constantsOf(graph: Graph): ConstantValue[] {
  return [...valuesOf(graph)].filter(isConstant);
}

/** All parameters that are read or updated, each once. */
export function parametersOf(graph: Graph): ParameterValue[] {
  return [...valuesOf(graph)].filter((v): v is ParameterValue => v.kind === "parameter");
}

function valuesOf(graph: Graph): Set<Value> {
  const seen = new Set<Value>();
  for (const node of graph.nodes) for (const v of node.inputs) if (v !== undefined) seen.add(v);
  for (const { value } of graph.outputs) seen.add(value);
  for (const { parameter, value } of graph.updates) seen.add(parameter).add(value);
  return seen;
}
