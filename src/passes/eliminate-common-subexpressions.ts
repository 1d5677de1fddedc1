import type { Attrs, AttrValue, Graph, Node, Value } from "../ir/graph.ts";
import type { Pass } from "./pass.ts";

/** Of nodes with the same op, attributes and inputs only the first stays. */
export const eliminateCommonSubexpressions: Pass = {
  name: "eliminate-common-subexpressions",
  run(graph: Graph): Graph {
    const substitutes = new Map<Value, Value>();
    const ids = new Map<Value, number>();
    const seen = new Map<string, Node>();
    let changed = false;

    const resolve = <V extends Value | undefined>(value: V): V => {
      if (value === undefined) return value;
      const found = substitutes.get(value) ?? value;
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
