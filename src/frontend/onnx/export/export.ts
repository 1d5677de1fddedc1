import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type ValueInfoProto, ValueInfoProtoSchema } from "onnx-buf";
import { CadnnError, throwProblems } from "../../../errors.ts";
import type { Graph, Value } from "../../../ir/graph.ts";
import type { TensorType } from "../../../ir/types.ts";
import { writeNode } from "./write-node.ts";
import { createWriter, dataTypes } from "./writer.ts";

export interface ExportOptions {
  /** Version of the operator set, 14 to 21; 17 by default. */
  readonly opset?: number | undefined;
  /** Makes the leading dimension of inputs and outputs, where it equals that of the first input, the symbolic "N". */
  readonly dynamicBatch?: boolean | undefined;
  /** Stores weights of mostly zeros as `sparse_initializer`, for a smaller file that fewer tools read. */
  readonly sparse?: boolean | undefined;
}

/** Newest IR version that tools of the age of an opset read. */
const irVersion = (opset: number) => (opset <= 14 ? 7 : opset <= 18 ? 8 : opset <= 20 ? 9 : 10);

/**
 * Writes a graph as a valid ONNX file of standard ops, so that other tools run it to the same results: fused ops are taken apart,
 * attributes become constant inputs where the opset has them so, parameters become initializers with their present values.
 *
 * Throws `E_UNSUPPORTED_OP` for ops of training graphs and `E_INVALID_OPTION` for an opset that is too old for the net.
 */
export function exportOnnx(graph: Graph, options: ExportOptions = {}): Uint8Array {
  const { opset = 17, dynamicBatch = false, sparse = false } = options;
  if (!Number.isInteger(opset) || opset < 14 || opset > 21)
    throw new CadnnError("E_INVALID_OPTION", `cannot write opset ${opset}`, { at: "opset", hint: "Choose an opset from 14 to 21; 17 is read by almost every tool." });
  const batch = dynamicBatch ? graph.inputs[0]?.type.shape[0] : undefined;
  const names = nameValues(graph);
  const outputNames = graph.outputs.map((o) => o.name);
  const writer = createWriter(opset, names, [...names.values(), ...outputNames], sparse);

  const problems: CadnnError[] = [];
  for (const node of graph.nodes) {
    try {
      writeNode(node, { ...writer, batch, outputs: node.outputs.map((v) => names.get(v) as string) });
    } catch (error) {
      if (!(error instanceof CadnnError)) throw error;
      problems.push(error);
    }
  }
  throwProblems(problems, "the net cannot be written as ONNX:");
  for (const { name, value } of graph.outputs) if (names.get(value) !== name) writer.node("Identity", [writer.nameOf(value)], [name], {}, name);

  const model = create(ModelProtoSchema, {
    irVersion: BigInt(irVersion(opset)),
    producerName: "cadnn",
    opsetImport: [{ domain: "", version: BigInt(opset) }],
    graph: {
      name: graph.name,
      node: writer.nodes,
      initializer: writer.initializers,
      sparseInitializer: writer.sparseInitializers,
      input: graph.inputs.map((v) => valueInfo(v.name, v.type, batch)),
      output: graph.outputs.map(({ name, value }) => valueInfo(name, value.type, value.kind === "computed" || value.kind === "input" ? batch : undefined)),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

/** Inputs keep their names, computed values take the name of the first output that they are behind; the rest gives way. */
function nameValues(graph: Graph): Map<Value, string> {
  const names = new Map<Value, string>(graph.inputs.map((v) => [v, v.name]));
  const taken = new Set([...graph.inputs.map((v) => v.name), ...graph.outputs.map((o) => o.name)]);
  for (const { name, value } of graph.outputs) if (value.kind === "computed" && !names.has(value)) names.set(value, name);
  for (const value of graph.nodes.flatMap((n) => n.outputs)) {
    if (names.has(value)) continue;
    let name = value.name;
    for (let i = 1; taken.has(name); i++) name = `${value.name}_${i}`;
    taken.add(name);
    names.set(value, name);
  }
  return names;
}

function valueInfo(name: string, type: TensorType, batch: number | undefined): ValueInfoProto {
  const dim = type.shape.map((d, i) => ({
    value: batch !== undefined && i === 0 && d === batch ? ({ case: "dimParam", value: "N" } as const) : ({ case: "dimValue", value: BigInt(d) } as const),
  }));
  return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value: { elemType: dataTypes[type.dtype], shape: { dim } } } } });
}
