import { isConstant, type Node, type Value } from "../ir/graph.ts";
import { sameShape } from "../ir/types.ts";
import { elementwiseExpr } from "../ops/elementwise.ts";
import type { LoweringContext } from "./context.ts";
import { linear } from "./layout.ts";

/** Ops whose outputs may be read from where their input lies, or be made from it only when somebody reads them. */
const views: ReadonlySet<string> = new Set(["Reshape", "Identity", "Dropout", "Transpose", "Slice", "Scatter"]);

/** Lets the new value of a parameter be written over the old one where that is read no more: an elementwise step reads each element right before it writes it. */
export function updateInPlace(ctx: LoweringContext): void {
  const { nodes, outputs, updates } = ctx.graph;
  const indices = new Map(nodes.map((node, i) => [node, i]));
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((value): [Value, Node] => [value, node])));
  /** Index of the last node that may read where the value lies; outputs are read last. */
  const lastRead = (value: Value): number => {
    const readers = ctx.consumers.get(value) ?? [];
    const later = readers.map((node) => Math.max(indices.get(node) as number, views.has(node.op) ? lastRead(node.outputs[0] as Value) : -1));
    return Math.max(-1, ...later, outputs.some((o) => o.value === value) ? nodes.length : -1);
  };
  for (const { parameter, value } of updates) {
    const node = producers.get(value);
    const own =
      node !== undefined &&
      !views.has(node.op) &&
      elementwiseExpr(node.op, node.attrs) !== undefined &&
      sameShape(value.type.shape, parameter.type.shape) &&
      value.type.dtype === parameter.type.dtype;
    const once = updates.filter((u) => u.value === value || u.parameter === parameter).length === 1 && outputs.every((o) => o.value !== value);
    if (!own || !once || lastRead(parameter) > (indices.get(node) as number)) continue;
    const viewed = node.inputs.some((v) => v !== undefined && v !== parameter && views.has(producers.get(v)?.op ?? ""));
    if (!viewed) ctx.setView(value, ctx.readAny(parameter));
  }
}

/** All new values exist before the first parameter changes. */
export function emitUpdates(ctx: LoweringContext): void {
  const moves = ctx.graph.updates.map(({ parameter, value }) => {
    const from = isConstant(value) || value.kind === "parameter" ? ctx.readAny(value) : ctx.read(value, linear(value.type.shape));
    return { parameter, from, to: ctx.readAny(parameter) };
  });
  const clash = moves.filter((m) => moves.some((other) => other !== m && other.to.buffer === m.from.buffer));
  for (const m of clash) {
    const copy = { buffer: ctx.buffer(`${m.parameter.name}.next`, m.from.layout.size), offset: 0, layout: linear(m.parameter.type.shape) };
    ctx.copyInto(m.parameter.type.shape, m.from, copy, false);
    m.from = copy;
  }
  for (const m of moves) if (m.from.buffer !== m.to.buffer) ctx.copyInto(m.parameter.type.shape, m.from, m.to, true);
}
