import { CadnnError } from "../errors.ts";
import type { Attrs, Graph, Value } from "../ir/graph.ts";
import { GraphBuilder } from "../ops/builder.ts";

/** Attributes that hold a whole output shape, whose first dimension is the batch. */
const shapeAttrs: Readonly<Record<string, string>> = { Reshape: "shape", Expand: "shape", Slice: "sizes", Resize: "sizes" };

/**
 * The same net for another batch: the first dimension of every input is replaced and all types are inferred anew.
 * Takes the batch for the outermost factor of the first dimension of every value that depends on an input.
 * @throws `E_DYNAMIC_SHAPE` where an operator mixes the batch with other dimensions.
 */
export function rebatch(graph: Graph, batch: number): Graph {
  const old = graph.inputs[0]?.type.shape[0] ?? 1;
  if (old === batch) return graph;
  const builder = new GraphBuilder(graph.name);
  const replaced = new Map<Value, Value>();
  for (const input of graph.inputs) {
    const value = { ...input, type: { ...input.type, shape: [scaled(input.type.shape[0] ?? 1, old, batch, input.name), ...input.type.shape.slice(1)] } };
    builder.addInput(value);
    replaced.set(input, value);
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((v) => (v === undefined ? undefined : (replaced.get(v) ?? v)));
    const depends = inputs.some((v, i) => v !== node.inputs[i]);
    const attrs = depends ? scaledAttrs(node.op, node.attrs, old, batch, node.name) : node.attrs;
    const names = node.outputs.map((v) => v.name);
    builder.addMany(node.op, inputs, attrs, node.name, names).forEach((v, i) => {
      replaced.set(node.outputs[i] as Value, v);
    });
  }
  for (const { name, value } of graph.outputs) builder.output(name, replaced.get(value) ?? value);
  for (const { parameter, value } of graph.updates) builder.update(parameter, replaced.get(value) ?? value);
  return builder.finish();
}

function scaledAttrs(op: string, attrs: Attrs, old: number, batch: number, at: string): Attrs {
  const key = shapeAttrs[op];
  const shape = key === undefined ? undefined : (attrs[key] as readonly number[] | undefined);
  if (key === undefined || shape === undefined || shape.length === 0) return attrs;
  return { ...attrs, [key]: [scaled(shape[0] as number, old, batch, at), ...shape.slice(1)] };
}

function scaled(size: number, old: number, batch: number, at: string): number {
  if (size % old !== 0)
    throw new CadnnError("E_DYNAMIC_SHAPE", `the first dimension, ${size}, is no multiple of the batch ${old}`, {
      at,
      hint: "Import the net with the batch that it is to run with.",
    });
  return (size / old) * batch;
}
