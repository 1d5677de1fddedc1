import type { GraphProto } from "onnx-buf";
import { CadnnError, throwProblems } from "../../errors.ts";
import { type Graph, isConstant, type Node, type Value } from "../../ir/graph.ts";
import { GraphBuilder } from "../../ops/builder.ts";
import { bindInputs, type InputBindings } from "./bind-inputs.ts";
import { createEmitter } from "./emitter.ts";
import { createScope, type ImportState, importNodes, lookUp } from "./import-nodes.ts";
import { initializerNames } from "./order-nodes.ts";
import { readModel } from "./read-model.ts";
import { allFinite, type ExternalData } from "./read-tensor.ts";

export interface ImportOptions extends InputBindings {
  /** Binds dynamic dimensions: the full shape of each input, by the input's name. A leading dimension that is not bound becomes 1. */
  readonly inputShapes?: InputBindings["inputShapes"];
  /** Inputs that are known when compiling, by name; the graph has them no more. */
  readonly constantInputs?: InputBindings["constantInputs"];
  /** Gives the bytes of the files beside the model in which large nets keep their weights, by the location that the model names. */
  readonly externalData?: ExternalData | undefined;
}

/**
 * Reads an ONNX file into a graph of canonical ops: all shapes static, shape arithmetic folded, opset differences gone,
 * nodes and values under the file's own names. All floating types become float32.
 *
 * Throws `E_INVALID_FILE`, `E_UNSUPPORTED_VERSION`, `E_UNSUPPORTED_OP`, `E_UNSUPPORTED_TYPE`, `E_DYNAMIC_SHAPE`, `E_SHAPE_MISMATCH`,
 * `E_NON_FINITE`, `E_INVALID_ATTRIBUTE` or `E_INVALID_GRAPH`; where there are several problems, one error lists them all.
 *
 * @example
 * const graph = importOnnx(bytes, { inputShapes: { input: [1, 3, 224, 224] } });
 */
export function importOnnx(bytes: Uint8Array, options: ImportOptions = {}): Graph {
  const { proto, opset } = readModel(bytes);
  const file = proto.graph as GraphProto;
  const problems: CadnnError[] = [];
  const builder = new GraphBuilder(file.name || "graph");
  const types = bindInputs(file, options, problems);
  const state: ImportState = {
    emitter: createEmitter(builder, namesOf(file)),
    opset,
    external: options.externalData,
    problems,
    unsupported: new Map(),
    nodeNames: new Set(),
    fileNodeNames: new Set(file.node.map((n) => n.name)),
    functions: proto.functions,
  };
  const scope = createScope(file, undefined, (name) => name);
  for (const { name } of file.input) {
    const type = types.get(name);
    const constant = options.constantInputs?.[name];
    if (constant !== undefined) scope.values.set(name, builder.constant(name, constant));
    else if (type !== undefined) scope.values.set(name, builder.input(name, type));
    else if (!scope.initializers.has(name)) scope.values.set(name, null);
  }

  const outputNames = file.output.map((o) => o.name);
  importNodes(state, file.node, outputNames, scope);
  for (const name of outputNames) {
    const value = collect(problems, () => lookUp(state, scope, name, name));
    if (value) builder.output(name, value);
  }
  if (file.output.length === 0) problems.push(new CadnnError("E_INVALID_GRAPH", "the net has no outputs", { at: file.name, hint: "Export it with at least one output." }));

  const graph = prune(builder.finish());
  problems.push(...unsupportedProblems(state.unsupported), ...infiniteWeights(graph));
  throwProblems(problems, `the net cannot be imported: ${problems.length} problems`);
  return graph;
}

function collect<T>(problems: CadnnError[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof CadnnError)) throw error;
    problems.push(error);
    return undefined;
  }
}

function namesOf(file: GraphProto): Set<string> {
  const names = [...file.input.map((i) => i.name), ...initializerNames(file), ...file.node.flatMap((n) => n.output)];
  return new Set(names);
}

/** Without the nodes whose results only shape arithmetic read, which is folded by now. */
function prune(graph: Graph): Graph {
  const used = new Set<Value>(graph.outputs.map((o) => o.value));
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((v) => used.has(v))) continue;
    kept.push(node);
    for (const v of node.inputs) if (v !== undefined) used.add(v);
  }
  return { ...graph, nodes: kept.reverse() };
}

const namesShown = 20;

function unsupportedProblems(unsupported: ReadonlyMap<string, readonly string[]>): CadnnError[] {
  return [...unsupported].map(([op, nodes]) => {
    const more = nodes.length > namesShown ? ` and ${nodes.length - namesShown} more` : "";
    return new CadnnError("E_UNSUPPORTED_OP", `operator ${op} is not supported (${nodes.length === 1 ? "node" : "nodes"} ${nodes.slice(0, namesShown).join(", ")}${more})`, {
      at: nodes[0],
      hint: "Replace the operator before exporting; `importableOps` lists those that are supported.",
    });
  });
}

const weighted: ReadonlySet<string> = new Set(["Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "InstanceNormalization", "LayerNormalization", "PRelu"]);

/** Infinities are fine as bounds and masks, not as weights. */
function infiniteWeights(graph: Graph): CadnnError[] {
  const bad = new Set<string>();
  for (const node of graph.nodes)
    if (weighted.has(node.op)) for (const v of node.inputs) if (isConstant(v) && v.type.dtype === "float32" && !allFinite(v.data as Float32Array)) bad.add(v.name);
  return [...bad].map(
    (name) =>
      new CadnnError("E_NON_FINITE", `initializer ${name} contains NaN or infinity`, {
        at: name,
        hint: "The training diverged or the file is damaged; use an earlier checkpoint.",
      }),
  );
}
