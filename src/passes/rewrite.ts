import { invariant } from "../errors.ts";
import { type Attrs, type ComputedValue, type ConstantValue, type Encoding, type Graph, type Node, useCounts, type Value } from "../ir/graph.ts";
import { formatType, sameType, type Tensor, tensorType } from "../ir/types.ts";
import { inferNode } from "../ops/builder.ts";
import { type MatchContext, matchNode, type OpPattern } from "./pattern.ts";

/** What a rewrite builds its replacement with. */
export interface Rewriter extends MatchContext {
  /** A constant made from the one called `from`, whose name it carries on (see `originalName`). */
  constant(from: string, tensor: Tensor, encoding?: Encoding): ConstantValue;
  /** Adds a node before the matched one and returns its output. */
  add(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs, name: string): ComputedValue;
  /** Lets a new node compute the outputs of the matched one, under their names; returns the first. `name` defaults to the matched node's. */
  replace(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs, name?: string): ComputedValue;
}

/** Replaces the first output of a matched node by another value. */
export interface Rule<C = never> {
  readonly name: string;
  readonly match: OpPattern<C>;
  /** The value to use instead, or `undefined` to leave the graph as it is. Called only with what `match` binds. */
  rewrite(captures: C, rewriter: Rewriter): Value | undefined;
}

/** Ties the names that `rewrite` takes apart to those that `match` binds. */
export function rule<C>(definition: Rule<C>): Rule {
  return definition as Rule<unknown> as Rule;
}

const suffix = ".folded";

/** Name of a constant that was made from the one called `name`. */
function foldedName(name: string): string {
  return originalName(name) + suffix;
}

/** The user's own name for the tensor that a constant was made from. */
export function originalName(name: string): string {
  return name.replace(/\.folded(_\d+)?$/, "");
}

/**
 * Applies rules until none fires. Each sweep rebuilds the graph in topological order, with exact use counts all along; what
 * a rule adds is matched again at once, so that two or three sweeps reach the fixpoint.
 */
export function applyRules(graph: Graph, rules: readonly Rule[]): Graph {
  const byOp = new Map<string, Rule[]>();
  for (const rule of rules) for (const op of rule.match.ops) byOp.set(op, [...(byOp.get(op) ?? []), rule]);
  let current = graph;
  for (let sweeps = 0; ; sweeps++) {
    invariant(sweeps < 100, `rules ${rules.map((r) => r.name).join(", ")} find no fixpoint`);
    const next = sweep(current, byOp);
    if (next === current) return current;
    current = next;
  }
}

function sweep(graph: Graph, byOp: ReadonlyMap<string, readonly Rule[]>): Graph {
  const uses = useCounts(graph);
  const producer = new Map<Value, Node>();
  const position = new Map<Value, number>();
  const substitutes = new Map<Value, Value>();
  const dead = new Set<Node>();
  const nodes: Node[] = [];
  const names = nameTable(graph);
  let fired = false;

  const usesOf = (value: Value) => uses.get(value) ?? 0;
  const context: MatchContext = { producerOf: (value) => producer.get(value), usesOf, positionOf: (value) => position.get(value) ?? -1 };

  function resolve<V extends Value | undefined>(value: V): Value | V {
    let v: Value | V = value;
    for (let next = v && substitutes.get(v); next !== undefined; next = substitutes.get(next)) v = next;
    return v;
  }

  function resolved(node: Node): Node {
    return node.inputs.some((v) => v !== undefined && substitutes.has(v)) ? { ...node, inputs: node.inputs.map(resolve) } : node;
  }

  /** One reader of `value` less; a producer without readers goes, and with it what only it reads. */
  function release(value: Value | undefined): void {
    if (value === undefined) return;
    const left = usesOf(value) - 1;
    uses.set(value, left);
    const node = producer.get(value);
    if (left > 0 || node === undefined || dead.has(node) || node.outputs.some((out) => usesOf(out) > 0)) return;
    dead.add(node);
    node.inputs.forEach(release);
  }

  function retain(value: Value | undefined): void {
    if (value !== undefined) uses.set(value, usesOf(value) + 1);
  }

  function visit(unresolved: Node): void {
    const node = resolved(unresolved);
    for (const rule of byOp.get(node.op) ?? []) {
      const captures = matchNode(rule.match, node, context);
      if (captures === undefined) continue;
      const added: Node[] = [];
      const result = rule.rewrite(captures, { ...context, ...additions(node, added, names) });
      if (result === undefined) continue;
      fired = true;
      for (const n of added) n.inputs.forEach(retain);
      const [output] = node.outputs;
      invariant(output !== undefined && sameType(result.type, output.type), `${rule.name} changes ${node.name} to ${formatType(result.type)}`);
      if (result !== output) {
        invariant(node.outputs.length === 1, `${rule.name} replaces one of the outputs of ${node.name}`);
        uses.set(result, usesOf(result) + usesOf(output));
        uses.delete(output);
        substitutes.set(output, result);
      }
      node.inputs.forEach(release);
      added.forEach(visit);
      return;
    }
    for (const out of node.outputs) {
      producer.set(out, node);
      position.set(out, nodes.length);
    }
    nodes.push(node);
  }

  graph.nodes.forEach(visit);
  if (!fired) return graph;
  return {
    ...graph,
    nodes: nodes.filter((node) => !dead.has(node)),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: resolve(value) })),
    updates: graph.updates.map(({ parameter, value }) => ({ parameter, value: resolve(value) })),
  };
}

/** The part of a `Rewriter` that makes new nodes in place of `node`. */
function additions(node: Node, added: Node[], names: NameTable): Omit<Rewriter, keyof MatchContext> {
  return {
    constant(from, tensor, encoding) {
      const base = { kind: "constant", name: names.value(foldedName(from)), type: tensorType(tensor.dtype, tensor.shape), data: tensor.data } as const;
      return encoding === undefined ? base : { ...base, encoding };
    },
    add(op, inputs, attrs, hint) {
      const name = names.node(hint);
      const [type, ...others] = inferNode(op, name, inputs, attrs);
      invariant(type !== undefined && others.length === 0, `${op} does not have one output`);
      const output: ComputedValue = { kind: "computed", name: names.value(name), type };
      added.push({ op, name, inputs, outputs: [output], attrs });
      return output;
    },
    replace(op, inputs, attrs, name = node.name) {
      const types = inferNode(op, name, inputs, attrs);
      const same = types.length === node.outputs.length && node.outputs.every((out, i) => sameType(out.type, types[i] as typeof out.type));
      invariant(same, `${op} gives ${types.map(formatType).join(", ")} in place of ${node.op} ${node.name}`);
      added.push({ op, name, inputs, outputs: node.outputs, attrs });
      return node.outputs[0] as ComputedValue;
    },
  };
}

interface NameTable {
  /** `hint` itself if no value has that name, else `hint_1`, `hint_2`, … */
  value(hint: string): string;
  /** The same for nodes. */
  node(hint: string): string;
}

function nameTable(graph: Graph): NameTable {
  const unique = (collect: () => Iterable<string>) => {
    let taken: Set<string> | undefined;
    return (hint: string) => {
      taken ??= new Set(collect());
      let name = hint;
      for (let i = 1; taken.has(name); i++) name = `${hint}_${i}`;
      taken.add(name);
      return name;
    };
  };
  return {
    value: unique(() =>
      [...graph.inputs, ...graph.updates.map((u) => u.parameter), ...graph.nodes.flatMap((n) => [...n.inputs, ...n.outputs])].flatMap((v) => (v === undefined ? [] : [v.name])),
    ),
    node: unique(() => graph.nodes.map((n) => n.name)),
  };
}
