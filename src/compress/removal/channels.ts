import type { ConstantValue, Graph, Node, Value } from "../../ir/graph.ts";
import { toMatrix } from "../layers.ts";
import { channelsOf, hasChannels, type Mix, type Relation, relationOf } from "./relations.ts";

/**
 * Which channels of a graph belong together, which are constant, and which are needed. Channels that elementwise ops, poolings, residual sums and
 * concatenations tie to each other form one unit: it stays or goes whole.
 */
export interface Channels {
  /** Unit of each channel of each value. */
  readonly units: ReadonlyMap<Value, Int32Array>;
  readonly unitCount: number;
  /** Value of each channel that is the same for all images and places; NaN for others. */
  readonly constants: ReadonlyMap<Value, Float64Array>;
  /** Units that have to stay whatever the weights: those of inputs and outputs, and of nodes that cannot be followed. */
  readonly pinned: Uint8Array;
  /** Units that something depends on. */
  readonly needed: Uint8Array;
  readonly relations: ReadonlyMap<Node, Relation>;
  /** Nodes that cannot be followed and hold channels that otherwise might go. */
  readonly opaque: readonly Node[];
}

/** Conv, Gemm and MatMul whose channels are followed, in the graph's order. */
export const mixesOf = ({ relations }: Channels): Mix[] => [...relations.values()].filter((r) => r.kind === "mix");

export function analyzeChannels(graph: Graph): Channels {
  const uses = new Map<ConstantValue, number>();
  for (const node of graph.nodes) for (const v of node.inputs) if (v?.kind === "constant") uses.set(v, (uses.get(v) ?? 0) + 1);
  const isOwn = (constant: ConstantValue) => uses.get(constant) === 1;
  const relations = new Map<Node, Relation>();
  for (const node of graph.nodes) {
    const relation = relationOf(node, isOwn);
    if (relation !== undefined) relations.set(node, relation);
  }
  const opaque = graph.nodes.filter((node) => !relations.has(node) && node.inputs.some(hasChannels));
  const { units, unitCount, pinned } = unitsOf(graph, relations, opaque);
  const constants = constantsOf(graph, relations, units);
  const needed = neededUnits(relations, units, constants, pinned);
  return { units, unitCount, constants, pinned, needed, relations, opaque };
}

function unitsOf(graph: Graph, relations: ReadonlyMap<Node, Relation>, opaque: readonly Node[]) {
  const parent: number[] = [];
  const root = (unit: number): number => {
    let at = unit;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at] as number] as number;
      at = parent[at] as number;
    }
    return at;
  };
  const first = new Map<Value, number>();
  const pins: number[] = [];
  const open = (value: Value): void => {
    first.set(value, parent.length);
    for (let c = 0; c < channelsOf(value); c++) parent.push(parent.length);
  };
  const pin = (value: Value | undefined): void => {
    const start = value && first.get(value);
    if (value === undefined || start === undefined) return;
    for (let c = 0; c < channelsOf(value); c++) pins.push(start + c);
  };
  for (const input of graph.inputs) {
    if (hasChannels(input)) open(input);
    pin(input);
  }
  for (const node of graph.nodes) {
    for (const value of node.outputs) if (hasChannels(value)) open(value);
    const relation = relations.get(node);
    if (relation?.kind !== "channelwise") continue;
    relation.whole.forEach(pin);
    const start = first.get(relation.y) as number;
    for (const { value, channel } of relation.sources) {
      const from = first.get(value) as number;
      channel.forEach((c, o) => {
        if (c !== -1) parent[root(start + o)] = root(from + c);
      });
    }
  }
  for (const node of opaque) for (const value of [...node.inputs, ...node.outputs]) pin(value);
  for (const { value } of graph.outputs) pin(value);
  const pinned = new Uint8Array(parent.length);
  for (const unit of pins) pinned[root(unit)] = 1;
  const units = new Map([...first].map(([value, start]) => [value, Int32Array.from({ length: channelsOf(value) }, (_, c) => root(start + c))]));
  return { units, unitCount: parent.length, pinned };
}

function constantsOf(graph: Graph, relations: ReadonlyMap<Node, Relation>, units: ReadonlyMap<Value, Int32Array>): Map<Value, Float64Array> {
  const constants = new Map<Value, Float64Array>();
  for (const value of units.keys()) constants.set(value, new Float64Array(channelsOf(value)).fill(Number.NaN));
  for (const node of graph.nodes) {
    const relation = relations.get(node);
    if (relation === undefined) continue;
    const y = constants.get(relation.y) as Float64Array;
    if (relation.kind === "mix") {
      const x = constants.get(relation.x) as Float64Array;
      forEachWeight(relation, (o, i, sum, isZero) => {
        if (i === 0) y[o] = Number(relation.bias?.data[o] ?? 0);
        if (!isZero) y[o] = isFoldable(relation, x[i] as number) ? (y[o] as number) + relation.scale * sum * (x[i] as number) : Number.NaN;
      });
    } else {
      const sources = relation.sources.map(({ value, channel }) => ({ values: constants.get(value) as Float64Array, channel }));
      y.forEach((_, c) => {
        y[c] = relation.constant(
          c,
          sources.map(({ values, channel }) => values[channel[c] as number] ?? Number.NaN),
        );
      });
    }
  }
  return constants;
}

/** Whether what a layer reads from a channel of this constant value can be part of its bias. */
export const isFoldable = (mix: Mix, constant: number): boolean => constant === 0 || (!mix.isPadded && !Number.isNaN(constant));

/** Visits each output and input with the sum of their weights over the window. */
export function forEachWeight({ weight, matrix }: Mix, visit: (output: number, input: number, sum: number, isZero: boolean) => void): void {
  const w = toMatrix(weight.data as Float32Array, matrix);
  const { outputs, inputs, taps } = matrix;
  let at = 0;
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++) {
      let sum = 0;
      let isZero = true;
      for (let t = 0; t < taps; t++, at++) {
        const v = w[at] as number;
        sum += v;
        if (v !== 0) isZero = false;
      }
      visit(o, i, sum, isZero);
    }
}

/** Backwards from what is pinned: a unit is needed if a needed output has a weight for it that cannot be part of a bias. */
function neededUnits(relations: ReadonlyMap<Node, Relation>, units: ReadonlyMap<Value, Int32Array>, constants: ReadonlyMap<Value, Float64Array>, pinned: Uint8Array): Uint8Array {
  const needed = pinned.slice();
  const mixes = [...relations.values()].filter((r) => r.kind === "mix").toReversed();
  const reads = mixes.map((mix) => {
    const values = constants.get(mix.x) as Float64Array;
    const isRead = new Uint8Array(mix.matrix.outputs * mix.matrix.inputs);
    forEachWeight(mix, (o, i, _, isZero) => {
      if (!isZero && !isFoldable(mix, values[i] as number)) isRead[o * mix.matrix.inputs + i] = 1;
    });
    return { x: units.get(mix.x) as Int32Array, y: units.get(mix.y) as Int32Array, isRead };
  });
  const spread = (): void => {
    for (let changed = true; changed; ) {
      changed = false;
      for (const { x, y, isRead } of reads)
        y.forEach((to, o) => {
          if (needed[to] === 0) return;
          x.forEach((from, i) => {
            if (needed[from] === 1 || isRead[o * x.length + i] === 0) return;
            needed[from] = 1;
            changed = true;
          });
        });
    }
  };
  spread();
  // No value may lose all of its channels.
  for (const own of units.values())
    if (own.length > 0 && !own.some((unit) => needed[unit] === 1)) {
      needed[own[0] as number] = 1;
      spread();
    }
  return needed;
}
