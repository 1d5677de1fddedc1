import type { Attrs, ConstantValue, Encoding, Graph, Node, Value } from "../../ir/graph.ts";
import { stridesOf } from "../../ir/types.ts";
import { GraphBuilder } from "../../ops/builder.ts";
import { fromMatrix, toMatrix, weightLayers } from "../layers.ts";
import { analyzeChannels, type Channels, forEachWeight, isFoldable, mixesOf } from "./channels.ts";
import { channelsOf, type Mix } from "./relations.ts";

export interface Removal {
  readonly graph: Graph;
  /** Layers that got smaller, by the names of their weights: outputs × inputs before and after. */
  readonly layers: readonly { readonly name: string; readonly before: readonly [number, number]; readonly after: readonly [number, number] }[];
  /** Nodes that could not be followed, all of whose channels stayed. */
  readonly notFollowed: readonly string[];
}

/**
 * Removes filters, channels and neurons that nothing depends on, or that are constant, from the graph: the same function of the same inputs, by a smaller
 * net. What a constant unit adds to the next layer becomes part of that layer's bias. Residual sums and concatenations are respected: a unit goes only
 * where all that it is tied to goes with it. Where a node cannot be followed, its channels stay.
 *
 * @example const { graph } = removeDeadUnits(pruned);
 */
export function removeDeadUnits(source: Graph): Removal {
  const channels = analyzeChannels(source);
  const graph = rebuild(source, channels);
  const sizes = (g: Graph) => new Map(weightLayers(g).map(({ name, matrix }) => [name, [matrix.outputs, matrix.inputs] as const]));
  const after = sizes(graph);
  const layers = [...sizes(source)].flatMap(([name, before]) => {
    const now = after.get(name) ?? before;
    return now[0] === before[0] && now[1] === before[1] ? [] : [{ name, before, after: now }];
  });
  return { graph, layers, notFollowed: channels.opaque.map((node) => node.name) };
}

function rebuild(source: Graph, channels: Channels): Graph {
  const { units, needed, relations } = channels;
  const builder = new GraphBuilder(source.name);
  for (const { inputs } of source.nodes) for (const v of inputs) if (v?.kind === "constant") builder.uniqueName(v.name);
  const replaced = new Map<Value, Value>();
  const keptOf = (value: Value): number[] => {
    const own = units.get(value) as Int32Array;
    return [...own.keys()].filter((c) => needed[own[c] as number] === 1);
  };
  for (const input of source.inputs) builder.addInput(input);
  for (const node of source.nodes) {
    const relation = relations.get(node);
    const inputs = node.inputs.map((v) => (v === undefined ? undefined : (replaced.get(v) ?? v)));
    let { op, attrs } = node;
    if (relation !== undefined) {
      const kept = keptOf(relation.y);
      const isWhole = kept.length === channelsOf(relation.y);
      if (relation.kind === "mix") ({ op, attrs } = shrinkMix(node, relation, inputs, kept, keptOf(relation.x), channels, builder));
      else if (!isWhole) {
        for (const [index, axis] of relation.operands) inputs[index] = sliced(node.inputs[index] as ConstantValue, axis, kept);
        attrs = relation.attrs?.(kept) ?? attrs;
      }
    }
    const names = node.outputs.map((v) => v.name);
    builder.addMany(op, inputs, attrs, node.name, names).forEach((v, i) => {
      replaced.set(node.outputs[i] as Value, v);
    });
  }
  for (const { name, value } of source.outputs) builder.output(name, replaced.get(value) ?? value);
  return builder.finish();
}

function shrinkMix(
  node: Node,
  mix: Mix,
  inputs: (Value | undefined)[],
  outputs: readonly number[],
  sources: readonly number[],
  { constants }: Channels,
  builder: GraphBuilder,
): { op: string; attrs: Attrs } {
  const { weight, matrix, bias } = mix;
  if (outputs.length === matrix.outputs && sources.length === matrix.inputs) return node;
  const gone = new Set(Array.from({ length: matrix.inputs }, (_, i) => i).filter((i) => !sources.includes(i)));
  const x = constants.get(mix.x) as Float64Array;
  const folded = new Float64Array(matrix.outputs);
  forEachWeight(mix, (o, i, sum, isZero) => {
    if (!isZero && gone.has(i) && isFoldable(mix, x[i] as number)) folded[o] = (folded[o] as number) + mix.scale * sum * (x[i] as number);
  });
  const w = toMatrix(weight.data as Float32Array, matrix);
  const small = { ...matrix, outputs: outputs.length, inputs: sources.length };
  const data = new Float32Array(small.outputs * small.inputs * small.taps);
  let at = 0;
  for (const o of outputs)
    for (const i of sources) {
      const from = (o * matrix.inputs + i) * matrix.taps;
      data.set(w.subarray(from, from + matrix.taps), at);
      at += matrix.taps;
    }
  const [first, second] = matrix.inputsFirst ? [small.inputs, small.outputs] : [small.outputs, small.inputs];
  const levels =
    weight.encoding?.kind === "quantized" && weight.encoding.levels.length > 1 ? outputs.map((o) => (weight.encoding as QuantizedEncoding).levels[o] as Float32Array) : undefined;
  const encoding = levels === undefined ? weight.encoding : ({ ...weight.encoding, levels } as Encoding);
  const shape = [first, second, ...weight.type.shape.slice(2)];
  inputs[1] = { ...weight, type: { ...weight.type, shape }, data: fromMatrix(data, small), ...(encoding === undefined ? {} : { encoding }) };
  const shift = Float32Array.from(outputs, (o) => Number(bias?.data[o] ?? 0) + (folded[o] as number));
  if (bias !== undefined) inputs[2] = { ...bias, type: { ...bias.type, shape: bias.type.shape.with(-1, outputs.length) }, data: shift };
  else if (shift.some((v) => v !== 0)) {
    inputs[2] = builder.constant(`${node.name}.bias`, { dtype: "float32", shape: [outputs.length], data: shift });
    if (node.op === "MatMul") return { op: "Gemm", attrs: { alpha: 1, beta: 1, transA: false, transB: false } };
  }
  return node;
}

type QuantizedEncoding = Extract<Encoding, { kind: "quantized" }>;

/** The elements of these indices along one axis. */
function sliced(constant: ConstantValue, axis: number, kept: readonly number[]): ConstantValue {
  const { shape } = constant.type;
  const inner = stridesOf(shape)[axis] as number;
  const count = shape[axis] as number;
  const from = constant.data as Float32Array;
  const data = new Float32Array((from.length / count) * kept.length);
  let at = 0;
  for (let start = 0; start < from.length; start += count * inner)
    for (const k of kept) {
      data.set(from.subarray(start + k * inner, start + (k + 1) * inner), at);
      at += inner;
    }
  return { ...constant, type: { ...constant.type, shape: shape.with(axis, kept.length) }, data };
}

/** Of each layer that is followed, 1 for the weights that would outlast `removeDeadUnits`; as the weight itself lies. */
export function liveWeights(graph: Graph): ReadonlyMap<string, Uint8Array> {
  const channels = analyzeChannels(graph);
  return new Map(
    mixesOf(channels).map((mix) => {
      const { outputs, inputs, taps } = mix.matrix;
      const [x, y] = [channels.units.get(mix.x), channels.units.get(mix.y)] as [Int32Array, Int32Array];
      const live = new Uint8Array(outputs * inputs * taps);
      for (let o = 0; o < outputs; o++)
        for (let i = 0; i < inputs; i++)
          if (channels.needed[y[o] as number] === 1 && channels.needed[x[i] as number] === 1) live.fill(1, (o * inputs + i) * taps, (o * inputs + i + 1) * taps);
      return [mix.weight.name, fromMatrix(live, mix.matrix)];
    }),
  );
}
