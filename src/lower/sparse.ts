import { invariant } from "../errors.ts";
import { type ConstantValue, isConstant, type Node, type Value } from "../ir/graph.ts";
import { elementCount, type Tensor } from "../ir/types.ts";
import { x32Scatter } from "../kernels/wasm/x32-scatter.ts";
import { type StreamShape, streamBytes, streamPlaces } from "../kernels/weight-stream.ts";
import { opNamed } from "../ops/registry.ts";
import type { LoweringContext } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { linear } from "./layout.ts";
import { fill } from "./movement.ts";

/** A weight that changes between runs, but is 0 for ever at all but some places. */
export interface SparseWeight {
  /** What its non-zeros are read from, float32[n]. */
  readonly values: Value;
  readonly shape: readonly number[];
  /** Of each non-zero its row-major index in the weight, ascending, and its index in `values`. */
  readonly places: Int32Array;
  readonly sources: Int32Array;
}

/** Nothing is computed until somebody wants the weight dense. */
export function lowerScatter(ctx: LoweringContext, node: Node): void {
  const [values, indices] = node.inputs as [Value, Value];
  invariant(isConstant(indices), "places of non-zeros are known when compiling");
  const places = Int32Array.from(indices.data as Int32Array);
  declare(ctx, node.outputs[0] as Value, { values, shape: node.attrs.shape as readonly number[], places, sources: places.map((_, i) => i) });
}

/** Whether the node only moves the elements of a sparse weight, so that its output is one too. */
export function moveSparse(ctx: LoweringContext, node: Node): boolean {
  const from = ["Transpose", "Slice", "Reshape", "Identity"].includes(node.op) ? ctx.sparse.get(node.inputs[0] as Value) : undefined;
  if (from === undefined) return false;
  const y = node.outputs[0] as Value;
  const sources = new Int32Array(elementCount(from.shape)).fill(-1);
  from.places.forEach((place, i) => {
    sources[place] = from.sources[i] as number;
  });
  const [moved] = opNamed(node.op).evaluate([{ dtype: "int32", shape: from.shape, data: sources }], node.attrs, [{ dtype: "int32", shape: y.type.shape }]) as [Tensor<"int32">];
  const places = Int32Array.from([...moved.data.keys()].filter((i) => moved.data[i] !== -1));
  declare(ctx, y, { values: from.values, shape: y.type.shape, places, sources: places.map((place) => moved.data[place] as number) });
  return true;
}

function declare(ctx: LoweringContext, value: Value, weight: SparseWeight): void {
  ctx.sparse.set(value, weight);
  ctx.defer(value, () => {
    const layout = linear(weight.shape);
    const placed = ctx.place(value, { buffer: ctx.buffer(value.name, layout.size), offset: 0, layout });
    fill(ctx, weight.shape, placed, 0);
    scatter(ctx, weight, weight.places, placed);
  });
}

/** y[words[i]] = the i-th non-zero. */
function scatter(ctx: LoweringContext, { values, sources }: SparseWeight, words: Int32Array, y: Place): void {
  const pairs = new Int32Array(2 * words.length);
  words.forEach((word, i) => pairs.set([4 * (sources[i] as number), 4 * word], 2 * i));
  const from = ctx.read(values, linear(values.type.shape));
  if (words.length > 0) ctx.call(x32Scatter, { count: words.length }, [from, numbers(ctx, "pairs", pairs), y]);
}

/** A resident list of numbers. */
export function numbers(ctx: LoweringContext, name: string, data: Int32Array): Place {
  const constant: ConstantValue = { kind: "constant", name: `${ctx.node}.${name}`, type: { dtype: "int32", shape: [data.length] }, data };
  return { buffer: ctx.weights(constant, { kind: "expand" }, 4 * data.length), offset: 0 };
}

/** The weight's stream, whose offsets stay while its values are put into it in each run. */
export function liveStream(ctx: LoweringContext, weight: SparseWeight, shape: StreamShape, channelStride: number): Place {
  const data = new Float32Array(elementCount(weight.shape));
  for (const place of weight.places) data[place] = 1;
  const constant: ConstantValue = { kind: "constant", name: `${ctx.node}.places`, type: { dtype: "float32", shape: weight.shape }, data };
  const stream = { buffer: ctx.weights(constant, { kind: "stream", channelStride, ...shape }, streamBytes(shape, data)), offset: 0 };
  scatter(ctx, weight, streamPlaces(shape, weight.places), stream);
  return stream;
}
