import type { Attrs, AttrValue, ConstantValue, Graph, Node, Value } from "../ir/graph.ts";
import { isConstant } from "../ir/graph.ts";
import { sameType } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

/** Of nodes with the same op, attributes and inputs only the first stays; so does only the first of constants with the same elements. */
export const eliminateCommonSubexpressions: Pass = {
  name: "eliminate-common-subexpressions",
  run(graph: Graph): Graph {
    const unique = constantTable();
    const substitutes = new Map<Value, Value>();
    const ids = new Map<Value, number>();
    const seen = new Map<string, Node>();
    let changed = false;

    const resolve = <V extends Value | undefined>(value: V): V => {
      if (value === undefined) return value;
      const found = isConstant(value) ? unique(value) : (substitutes.get(value) ?? value);
      if (found !== value) changed = true;
      return found as V;
    };
    const idOf = (value: Value | undefined) => {
      if (value === undefined) return "-";
      if (!ids.has(value)) ids.set(value, ids.size);
      return String(ids.get(value));
    };

    const nodes = graph.nodes.flatMap((original) => {
      const inputs = original.inputs.map(resolve);
      const node = inputs.some((v, i) => v !== original.inputs[i]) ? { ...original, inputs } : original;
      const key = `${node.op}(${inputs.map(idOf).join()})${node.outputs.length}${attrsKey(node.attrs)}`;
      const first = seen.get(key);
      if (first === undefined) {
        seen.set(key, node);
        return [node];
      }
      changed = true;
      for (const [i, out] of node.outputs.entries()) substitutes.set(out, first.outputs[i] as Value);
      return [];
    });
    const outputs = graph.outputs.map(({ name, value }) => ({ name, value: resolve(value) }));
    const updates = graph.updates.map(({ parameter, value }) => ({ parameter, value: resolve(value) }));
    return changed ? { ...graph, nodes, outputs, updates } : graph;
  },
};

/** Text that is equal for equal attributes. JSON has no Infinity, NaN and −0, and puts typed arrays in an object. */
export function attrsKey(attrs: Attrs): string {
  const replacer = (_: string, value: unknown) => {
    if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0) ? value : `#${Object.is(value, -0) ? "-0" : value}`;
    if (typeof value === "bigint") return `#${value}n`;
    return ArrayBuffer.isView(value) ? Array.from(value as unknown as ArrayLike<number>) : value;
  };
  const entries = Object.entries(attrs).filter(([, v]: [string, AttrValue]) => v !== undefined);
  return JSON.stringify(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)),
    replacer,
  );
}

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
