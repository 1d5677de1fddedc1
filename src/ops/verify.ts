import { CadnnError, type ErrorCode, throwProblems } from "../errors.ts";
import type { Graph, Node, Value } from "../ir/graph.ts";
import { elementCount, formatType, makeData, sameType } from "../ir/types.ts";
import { inferNode } from "./builder.ts";

const hint = "A pass or a builder made an invalid graph. If it came from a file, please report the file.";

/**
 * Checks that a graph is well-formed: nodes in topological order, every computed value computed once, names unique, constants as
 * large as their types say, stored types equal to inferred ones, updates of the parameter's type. Collects all problems and throws once.
 */
export function verify(graph: Graph): void {
  const problems: CadnnError[] = [];
  const report = (code: ErrorCode, at: string, message: string) => problems.push(new CadnnError(code, message, { at, hint }));
  const byName = new Map<string, Value>();
  const known = new Set<Value>();

  const declare = (value: Value) => {
    if (known.has(value)) return;
    known.add(value);
    const other = byName.get(value.name);
    if (other === undefined) byName.set(value.name, value);
    else report("E_INVALID_GRAPH", value.name, `two values are named ${value.name}`);
    if (value.type.shape.some((extent) => !Number.isInteger(extent) || extent < 0)) report("E_SHAPE_MISMATCH", value.name, `${value.name} has type ${formatType(value.type)}`);
    if (value.kind !== "constant" && value.kind !== "parameter") return;
    const expected = elementCount(value.type.shape);
    if (value.data.length !== expected)
      report("E_SHAPE_MISMATCH", value.name, `${value.name}: ${formatType(value.type)} holds ${value.data.length} elements instead of ${expected}`);
    if (value.data.constructor !== makeData(value.type.dtype, 0).constructor)
      report("E_DTYPE_MISMATCH", value.name, `${value.name}: ${formatType(value.type)} is held by ${value.data.constructor.name}`);
  };
  const use = (value: Value, at: string) => {
    if (value.kind === "constant" || value.kind === "parameter") declare(value);
    else if (!known.has(value))
      report("E_INVALID_GRAPH", at, value.kind === "input" ? `input ${value.name} is not among the graph's` : `${value.name} is read before it is computed`);
  };

  graph.inputs.forEach((input) => {
    if (known.has(input)) report("E_INVALID_GRAPH", input.name, `input ${input.name} is listed twice`);
    declare(input);
  });
  for (const node of graph.nodes) {
    for (const value of node.inputs) if (value !== undefined) use(value, node.name);
    for (const value of node.outputs) {
      if (known.has(value)) report("E_INVALID_GRAPH", node.name, `${value.name} is computed twice`);
      declare(value);
    }
    checkTypes(node, report, problems);
  }
  const outputNames = new Set<string>();
  for (const { name, value } of graph.outputs) {
    use(value, name);
    if (outputNames.has(name)) report("E_INVALID_GRAPH", name, `two outputs are named ${name}`);
    outputNames.add(name);
  }
  const updated = new Set<Value>();
  for (const { parameter, value } of graph.updates) {
    declare(parameter);
    use(value, parameter.name);
    if (updated.has(parameter)) report("E_INVALID_GRAPH", parameter.name, `${parameter.name} is updated twice`);
    updated.add(parameter);
    if (!sameType(parameter.type, value.type))
      report("E_SHAPE_MISMATCH", parameter.name, `${parameter.name}: ${formatType(parameter.type)} is updated with ${formatType(value.type)}`);
  }
  throwProblems(problems, `graph ${graph.name} has ${problems.length} problems:`);
}

function checkTypes(node: Node, report: (code: ErrorCode, at: string, message: string) => void, problems: CadnnError[]): void {
  try {
    const types = inferNode(node.op, node.name, node.inputs, node.attrs);
    if (types.length !== node.outputs.length) report("E_INVALID_GRAPH", node.name, `${node.op} has ${types.length} outputs, the node ${node.outputs.length}`);
    node.outputs.forEach((value, i) => {
      const type = types[i];
      if (type !== undefined && !sameType(type, value.type))
        report("E_SHAPE_MISMATCH", node.name, `${value.name} is stored as ${formatType(value.type)}, inferred ${formatType(type)}`);
    });
  } catch (error) {
    if (!(error instanceof CadnnError)) throw error;
    problems.push(error);
  }
}
