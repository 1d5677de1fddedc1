import { type ConstantValue, isConstant, type Node, type Value } from "../ir/graph.ts";

/** What matching asks about the graph around a node. */
export interface MatchContext {
  /** The node that computes a value; `undefined` for inputs, constants and parameters. */
  producerOf(value: Value): Node | undefined;
  /** How often nodes, outputs and updates read a value. */
  usesOf(value: Value): number;
  /** Position of a value's producer in topological order, −1 for what no node computes. */
  positionOf(value: Value): number;
}

declare const captured: unique symbol;

/** A shape that the graph may have around a value, walking from consumer to producers. `C` is what a match binds, by name. */
export interface Pattern<out C = unknown> {
  readonly [captured]?: C;
  readonly kind: "any" | "constant" | "op" | "maybe";
}

type Bind<N extends string, V> = { readonly [K in N]: V };
type AllOf<Ps extends readonly Pattern[]> = Ps extends readonly [Pattern<infer C>, ...infer Rest extends readonly Pattern[]] ? C & AllOf<Rest> : unknown;

interface AnyPattern<C = unknown> extends Pattern<C> {
  readonly kind: "any";
  readonly name: string;
  readonly where: ((value: Value) => boolean) | undefined;
}
interface ConstantPattern<C = unknown> extends Pattern<C> {
  readonly kind: "constant";
  readonly name: string;
  readonly where: ((value: ConstantValue) => boolean) | undefined;
}
interface MaybePattern<C = unknown> extends Pattern<C> {
  readonly kind: "maybe";
  readonly pattern: Pattern;
}
export interface OpPattern<C = unknown> extends Pattern<C> {
  readonly kind: "op";
  readonly name: string;
  readonly ops: readonly string[];
  readonly operands: readonly Pattern[] | undefined;
  readonly constraints: OpConstraints;
}

export interface OpConstraints {
  readonly where?: (node: Node) => boolean;
  /** Nothing else reads the node's output, so that it disappears with the match. */
  readonly once?: boolean;
  /** The two operands may come in either order; the one that is computed last is tried first. */
  readonly commutative?: boolean;
}

/** Any value. A name that occurs twice in a pattern stands for one and the same value. */
export function any<const N extends string>(name: N, where?: (value: Value) => boolean): Pattern<Bind<N, Value>> {
  const pattern: AnyPattern<Bind<N, Value>> = { kind: "any", name, where };
  return pattern;
}

/** A constant. */
export function constantOf<const N extends string>(name: N, where?: (value: ConstantValue) => boolean): Pattern<Bind<N, ConstantValue>> {
  const pattern: ConstantPattern<Bind<N, ConstantValue>> = { kind: "constant", name, where };
  return pattern;
}

/** An operand that may be left out. */
export function maybe<C>(pattern: Pattern<C>): Pattern<Partial<C>> {
  const optional: MaybePattern<Partial<C>> = { kind: "maybe", pattern };
  return optional;
}

/**
 * The first output of a node of one of `ops`. Where `operands` are given, the node has these and no others; without them it
 * may have any.
 */
export function opOf<const N extends string, const Ps extends readonly Pattern[] = readonly []>(
  ops: string | readonly string[],
  name: N,
  operands?: Ps,
  constraints: OpConstraints = {},
): OpPattern<Bind<N, Node> & AllOf<Ps>> {
  return { kind: "op", name, ops: typeof ops === "string" ? [ops] : ops, operands, constraints };
}

/** Bindings of a match, a linked list so that alternatives share their common part. */
interface Bindings {
  readonly name: string;
  readonly bound: Value | Node;
  readonly rest: Bindings | undefined;
}
type Found = { readonly bindings: Bindings | undefined } | undefined;

/** The bindings under which `pattern` matches `node`, by name; `undefined` if it does not. */
export function matchNode<C>(pattern: OpPattern<C>, node: Node, context: MatchContext): C | undefined {
  const found = matchOp(pattern, node, undefined, context);
  if (found === undefined) return undefined;
  const captures: Record<string, Value | Node> = {};
  for (let b = found.bindings; b !== undefined; b = b.rest) captures[b.name] = b.bound;
  return captures as C;
}

function bind(name: string, bound: Value | Node, bindings: Bindings | undefined): Found {
  for (let b = bindings; b !== undefined; b = b.rest) if (b.name === name) return b.bound === bound ? { bindings } : undefined;
  return { bindings: { name, bound, rest: bindings } };
}

function matchOp(pattern: OpPattern, node: Node, bindings: Bindings | undefined, context: MatchContext): Found {
  const { operands, constraints } = pattern;
  if (!pattern.ops.includes(node.op)) return undefined;
  if (constraints.where !== undefined && !constraints.where(node)) return undefined;
  const self = bind(pattern.name, node, bindings);
  if (self === undefined || operands === undefined) return self;
  for (let i = operands.length; i < node.inputs.length; i++) if (node.inputs[i] !== undefined) return undefined;
  for (const inputs of operandOrders(node, constraints, context)) {
    let found: Found = self;
    for (let i = 0; i < operands.length && found !== undefined; i++) found = matchValue(operands[i] as Pattern, inputs[i], found.bindings, context);
    if (found !== undefined) return found;
  }
  return undefined;
}

function operandOrders(node: Node, constraints: OpConstraints, context: MatchContext): (readonly (Value | undefined)[])[] {
  const [a, b] = node.inputs;
  if (constraints.commutative !== true || a === undefined || b === undefined) return [node.inputs];
  return context.positionOf(b) > context.positionOf(a)
    ? [
        [b, a],
        [a, b],
      ]
    : [
        [a, b],
        [b, a],
      ];
}

function matchValue(pattern: Pattern, value: Value | undefined, bindings: Bindings | undefined, context: MatchContext): Found {
  const p = pattern as AnyPattern | ConstantPattern | MaybePattern | OpPattern;
  if (p.kind === "maybe") return value === undefined ? { bindings } : matchValue(p.pattern, value, bindings, context);
  if (value === undefined) return undefined;
  switch (p.kind) {
    case "any":
      return p.where === undefined || p.where(value) ? bind(p.name, value, bindings) : undefined;
    case "constant":
      return isConstant(value) && (p.where === undefined || p.where(value)) ? bind(p.name, value, bindings) : undefined;
    case "op": {
      const node = context.producerOf(value);
      if (node === undefined || node.outputs[0] !== value) return undefined;
      if (p.constraints.once === true && context.usesOf(value) !== 1) return undefined;
      return matchOp(p, node, bindings, context);
    }
  }
}
