import { type ConstantValue, type Graph, isConstant, type Value } from "../ir/graph.ts";
import { sameType } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

/** Of constants with the same type, elements and encoding only the first stays. Not before training, where equal weights part ways. */
export const mergeConstants: Pass = {
  name: "merge-constants",
  run(graph: Graph): Graph {
    const unique = constantTable();
    let changed = false;
    const resolve = <V extends Value | undefined>(value: V): V => {
      if (value === undefined || !isConstant(value)) return value;
      const found = unique(value);
      if (found !== value) changed = true;
      return found as V;
    };
    const nodes = graph.nodes.map((node) => {
      const inputs = node.inputs.map(resolve);
      return inputs.some((v, i) => v !== node.inputs[i]) ? { ...node, inputs } : node;
    });
    const outputs = graph.outputs.map(({ name, value }) => ({ name, value: resolve(value) }));
    const updates = graph.updates.map(({ parameter, value }) => ({ parameter, value: resolve(value) }));
    return changed ? { ...graph, nodes, outputs, updates } : graph;
  },
};

/** Gives for each constant the first one that it equals in type, elements and encoding. */
function constantTable(): (constant: ConstantValue) => ConstantValue {
  const buckets = new Map<string, ConstantValue[]>();
  const known = new Map<ConstantValue, ConstantValue>();
  return (constant) => {
    const before = known.get(constant);
    if (before !== undefined) return before;
    const { data, type } = constant;
    // A few samples tell most constants apart; only those that agree in them are compared in full.
    const samples = Array.from({ length: Math.min(data.length, 16) }, (_, i) => data[Math.floor((i * data.length) / 16)]);
    const key = `${type.dtype}[${type.shape.join()}]${samples.join()}`;
    const bucket = buckets.get(key) ?? [];
    buckets.set(key, bucket);
    const first = bucket.find((other) => sameConstant(other, constant)) ?? constant;
    if (first === constant) bucket.push(constant);
    known.set(constant, first);
    return first;
  };
}

function sameConstant(a: ConstantValue, b: ConstantValue): boolean {
  if (!sameType(a.type, b.type) || a.encoding?.kind !== b.encoding?.kind) return false;
  if (a.data === b.data) return true;
  for (let i = 0; i < a.data.length; i++) if (!Object.is(a.data[i], b.data[i])) return false;
  return true;
}
