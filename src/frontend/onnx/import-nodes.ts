import type { FunctionProto, GraphProto, NodeProto, SparseTensorProto, TensorProto } from "onnx-buf";
import { CadnnError } from "../../errors.ts";
import { isConstant, tensorOf, type Value } from "../../ir/graph.ts";
import { elementCount, makeData, type Tensor } from "../../ir/types.ts";
import { readAttributes } from "./attributes.ts";
import type { OnnxNode } from "./convert/converter.ts";
import { converterFor } from "./convert/table.ts";
import type { Emitter } from "./emitter.ts";
import { orderNodes, readsOf } from "./order-nodes.ts";
import { allFinite, type ExternalData, readSparseTensor, readTensor } from "./read-tensor.ts";

/** What all graphs of a file share while it is imported. */
export interface ImportState {
  readonly emitter: Emitter;
  readonly opset: number;
  readonly external: ExternalData | undefined;
  readonly problems: CadnnError[];
  /** Names of the nodes of each operator that has no converter. */
  readonly unsupported: Map<string, string[]>;
  /** Names given to nodes so far. */
  readonly nodeNames: Set<string>;
  /** Names that nodes of the file have, which names of our own must not take. */
  readonly fileNodeNames: ReadonlySet<string>;
  readonly functions: readonly FunctionProto[];
}

/** Values by their names in one graph of the file. `null` stands for what could not be imported. */
export interface Scope {
  readonly values: Map<string, Value | null>;
  readonly initializers: ReadonlyMap<string, TensorProto | SparseTensorProto>;
  readonly outer: Scope | undefined;
  /** Names inlined values so that they stay unique. */
  readonly rename: (name: string) => string;
}

export function createScope(graph: Pick<GraphProto, "initializer" | "sparseInitializer"> | undefined, outer: Scope | undefined, rename: (name: string) => string): Scope {
  const dense = graph?.initializer.map((t) => [t.name, t] as const) ?? [];
  const sparse = graph?.sparseInitializer.map((t) => [t.values?.name ?? "", t] as const) ?? [];
  return { values: new Map(), initializers: new Map<string, TensorProto | SparseTensorProto>([...dense, ...sparse]), outer, rename };
}

/** The value of a name; initializers are read when they are first asked for. */
export function lookUp(state: ImportState, scope: Scope, name: string, at: string): Value | null {
  const known = scope.values.get(name);
  if (known !== undefined) return known;
  const initializer = scope.initializers.get(name);
  if (initializer === undefined) {
    if (scope.outer !== undefined) return lookUp(state, scope.outer, name, at);
    throw new CadnnError("E_INVALID_GRAPH", `value ${name} is neither an input nor an initializer nor made by a node`, { at, hint: "The file is incomplete; export it again." });
  }
  scope.values.set(name, null); // reported once, even if it is used often
  const dense = initializer.$typeName === "onnx.TensorProto";
  const tensor = dense ? readTensor(initializer, name, state.external) : readSparseTensor(initializer, state.external);
  if (tensor.dtype === "float32" && !allFinite(tensor.data as Float32Array) && (tensor.data as Float32Array).some(Number.isNaN))
    throw new CadnnError("E_NON_FINITE", `initializer ${name} contains NaN`, { at: name, hint: "The net was trained to NaN or the file is damaged; use an earlier checkpoint." });
  const value = state.emitter.constant(scope.rename(name), tensor, dense ? undefined : { kind: "sparse" });
  scope.values.set(name, value);
  return value;
}

/** Imports the nodes that `outputs` need into `scope`; problems are collected, what depends on them is skipped. */
export function importNodes(state: ImportState, nodes: readonly NodeProto[], outputs: readonly string[], scope: Scope): void {
  for (const proto of orderNodes(nodes, outputs, new Set([...scope.values.keys(), ...scope.initializers.keys()]))) {
    const name = uniqueNodeName(state, proto);
    const results = attempt(state, () => importNode(state, proto, name, scope));
    proto.output.forEach((output, i) => {
      if (output !== "") scope.values.set(output, results?.[i] ?? null);
    });
  }
}

function attempt<T>(state: ImportState, action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof CadnnError) || error.code === "E_INTERNAL") throw error;
    state.problems.push(error);
    return undefined;
  }
}

function uniqueNodeName({ nodeNames }: ImportState, proto: NodeProto): string {
  const hint = proto.name || proto.output.find((o) => o !== "") || proto.opType;
  let name = hint;
  for (let i = 1; nodeNames.has(name); i++) name = `${hint}_${i}`;
  nodeNames.add(name);
  return name;
}

function importNode(state: ImportState, proto: NodeProto, name: string, scope: Scope): readonly (Value | undefined)[] | undefined {
  const standard = proto.domain === "" || proto.domain === "ai.onnx";
  const fn = state.functions.find((f) => f.domain === proto.domain && f.name === proto.opType && f.overload === proto.overload);
  const converter = standard && fn === undefined ? converterFor(proto.opType) : undefined;
  const branching = standard && proto.opType === "If";
  if (converter === undefined && !branching && fn === undefined) {
    const op = standard ? proto.opType : `${proto.domain}.${proto.opType}`;
    state.unsupported.set(op, [...(state.unsupported.get(op) ?? []), name]);
    return undefined;
  }
  const found = readsOf(proto).map((read) => lookUp(state, scope, read, name));
  if (found.includes(null)) return undefined;
  const inputs = proto.input.map((input) => (input === "" ? undefined : (lookUp(state, scope, input, name) as Value)));
  if (branching) return importIf(state, proto, name, inputs[0], scope);
  if (fn !== undefined) return importFunction(state, proto, fn, name, inputs, scope);
  const result = converter?.(onnxNode(state, proto, name, inputs, scope)) ?? [];
  return Array.isArray(result) ? result : [result as Value];
}

/** The branch taken, inlined: the condition must be known on import. */
function importIf(state: ImportState, proto: NodeProto, name: string, condition: Value | undefined, scope: Scope): readonly (Value | undefined)[] | undefined {
  if (!isConstant(condition))
    throw new CadnnError("E_UNSUPPORTED_OP", "If with a condition that is known only at run time is not supported", {
      at: name,
      hint: "Export the net by tracing, so that control flow is resolved, or give the input that decides by constantInputs.",
    });
  const branch = readAttributes(proto, name).graph(Number(condition.data[0]) !== 0 ? "then_branch" : "else_branch");
  if (branch === undefined) throw new CadnnError("E_INVALID_GRAPH", "If lacks a branch", { at: name, hint: "Export the net again." });
  const outputs = branch.output.map((o) => o.name);
  const inner = createScope(branch, scope, inlinedNames(outputs, proto, scope, state.emitter.fresh));
  importNodes(state, branch.node, outputs, inner);
  const values = outputs.map((output) => lookUp(state, inner, output, name));
  return values.includes(null) ? undefined : (values as Value[]);
}

/** The results of an inlined graph take the names of the node's outputs, other values go by `other`. */
function inlinedNames(results: readonly string[], proto: NodeProto, scope: Scope, other: (name: string) => string): (name: string) => string {
  const names = new Map(results.map((result, i) => [result, proto.output[i] ?? ""] as const));
  return (name) => {
    const output = names.get(name);
    return output === undefined || output === "" ? other(name) : scope.rename(output);
  };
}

/** A function of the file itself, inlined; attributes that refer to the function's own take the node's values or the defaults. */
function importFunction(
  state: ImportState,
  proto: NodeProto,
  fn: FunctionProto,
  name: string,
  inputs: readonly (Value | undefined)[],
  scope: Scope,
): readonly (Value | undefined)[] | undefined {
  const given = new Map([...fn.attributeProto, ...proto.attribute].map((a) => [a.name, a]));
  const bind = (node: NodeProto): NodeProto => ({
    ...node,
    name: `${name}/${node.name || node.output[0]}`,
    attribute: node.attribute.flatMap((a) => {
      const value = a.refAttrName === "" ? a : given.get(a.refAttrName);
      return value === undefined ? [] : [{ ...value, name: a.name }];
    }),
  });
  // Left-out inputs are left out where the body reads them.
  const missing = new Set(fn.input.filter((_, i) => inputs[i] === undefined));
  const rename = inlinedNames(fn.output, proto, scope, (value) => state.emitter.fresh(`${name}/${value}`));
  const inner = createScope(undefined, undefined, rename);
  fn.input.forEach((input, i) => {
    const value = inputs[i];
    if (value !== undefined) inner.values.set(input, value);
  });
  const body = fn.node.map(bind).map((node) => ({ ...node, input: node.input.map((i) => (missing.has(i) ? "" : i)) }));
  const opset = Number(fn.opsetImport.find((o) => o.domain === "" || o.domain === "ai.onnx")?.version ?? state.opset);
  importNodes(
    { ...state, opset },
    body,
    fn.output.filter((_, i) => (proto.output[i] ?? "") !== ""),
    inner,
  );
  return proto.output.map((output, i) => (output === "" ? undefined : (lookUp(state, inner, fn.output[i] ?? "", name) ?? undefined)));
}

/** What a converter sees of one node. */
function onnxNode(state: ImportState, proto: NodeProto, name: string, inputs: readonly (Value | undefined)[], scope: Scope): OnnxNode {
  const { emitter } = state;
  const outputNames = proto.output.map((output, i) => (output === "" ? emitter.fresh(`${name}.${i}`) : scope.rename(output)));
  const error: OnnxNode["error"] = (code, message, hint) => new CadnnError(code, message, { at: name, hint });
  const input = (i: number): Value => {
    const value = inputs[i];
    if (value === undefined) throw error("E_INVALID_GRAPH", `${proto.opType} lacks its input ${i}`, "The file does not follow the ONNX standard; export it again.");
    return value;
  };
  const constant = (i: number): Tensor | undefined => {
    const value = inputs[i];
    if (value === undefined) return undefined;
    if (!isConstant(value))
      throw error(
        "E_DYNAMIC_SHAPE",
        `input ${value.name} of ${proto.opType} must be known when compiling`,
        "Make it a constant of the net, or bind it by the option constantInputs.",
      );
    return tensorOf(value);
  };
  const innerName = () => {
    let inner = `${name}.1`;
    for (let i = 2; state.nodeNames.has(inner) || state.fileNodeNames.has(inner); i++) inner = `${name}.${i}`;
    state.nodeNames.add(inner);
    return inner;
  };
  const emitMany: OnnxNode["emitMany"] = (op, values, attrs = {}) => emitter.emit(op, values, attrs, name, outputNames);
  return {
    ...readAttributes(proto, name, state.external),
    op: proto.opType,
    name,
    opset: state.opset,
    inputs,
    outputCount: proto.output.length,
    wants: (i) => (proto.output[i] ?? "") !== "",
    input,
    typeOf: (i) => input(i).type,
    constant,
    numbers(i) {
      const tensor = constant(i);
      return tensor === undefined ? undefined : Array.from(tensor.data as ArrayLike<number | bigint>, Number);
    },
    isKnown: (i) => inputs[i] === undefined || isConstant(inputs[i]),
    literal: (tensor, hint) => emitter.constant(emitter.fresh(`${name}.${hint}`), tensor),
    result: (tensor) => emitter.constant(outputNames[0] ?? emitter.fresh(name), tensor),
    scalar(value, like) {
      const data = makeData(like.dtype, elementCount([]));
      data[0] = (like.dtype === "int64" ? BigInt(value) : value) as never;
      return emitter.constant(emitter.fresh(`${name}.${value}`), { dtype: like.dtype, shape: [], data } as Tensor);
    },
    step(op, values, attrs = {}) {
      const inner = innerName();
      return emitter.emit(op, values, attrs, inner, [emitter.fresh(inner)])[0] as Value;
    },
    emit: (op, values, attrs) => emitMany(op, values, attrs)[0] as Value,
    emitMany,
    error,
  };
}
