import type { Target } from "../codegen/target.ts";
import { CadnnError, throwProblems } from "../errors.ts";
import { type Graph, type Node, parametersOf, type Value } from "../ir/graph.ts";
import { elementwiseExpr } from "../ops/elementwise.ts";
import { LoweringContext } from "./context.ts";
import { lowerConv } from "./conv.ts";
import { lowerArg, lowerElementwise, lowerReduction, reductionNames } from "./elementwise.ts";
import type { KernelGraph, Port } from "./kernel-graph.ts";
import { batchInnermost, type Layout, linear } from "./layout.ts";
import { legalize } from "./legalize.ts";
import { lowerGemm, lowerMatMul } from "./matmul.ts";
import { lowerConcat, lowerDilate, lowerExpand, lowerGather, lowerPad, lowerReshape, lowerSlice, lowerSplit, lowerTranspose } from "./movement.ts";
import { lowerBatchNorm, lowerBatchNormGrad, lowerBatchNormTraining, lowerInstanceNorm, lowerLayerNorm, lowerSoftmax, lowerSoftmaxCrossEntropy } from "./normalize.ts";
import { defaultLowerOptions, type LowerOptions } from "./options.ts";
import { lowerPixelsToPlanes } from "./pixels.ts";
import { planMemory } from "./plan-memory.ts";
import { lowerPool } from "./pool.ts";
import { lowerScatter, moveSparse } from "./sparse.ts";
import { lowerConvGradWeight, lowerConvGradWeightAt, lowerMaxPoolGrad } from "./training.ts";
import { emitUpdates, updateInPlace } from "./updates.ts";
import { commonWish } from "./window-layout.ts";

type Lowering = (ctx: LoweringContext, node: Node) => void;

/** One row an op that becomes kernel calls directly; `legalize` turns the others into these. */
const lowerings: Readonly<Record<string, Lowering>> = {
  Conv: lowerConv,
  FusedConv: lowerConv,
  Gemm: lowerGemm,
  FusedGemm: lowerGemm,
  MatMul: lowerMatMul,
  MaxPool: lowerPool,
  AveragePool: lowerPool,
  PixelsToPlanes: lowerPixelsToPlanes,
  Softmax: lowerSoftmax,
  LogSoftmax: lowerSoftmax,
  BatchNormalization: lowerBatchNorm,
  InstanceNormalization: lowerInstanceNorm,
  LayerNormalization: lowerLayerNorm,
  Identity: lowerReshape,
  Dropout: lowerReshape,
  Reshape: lowerReshape,
  Transpose: lowerTranspose,
  Concat: lowerConcat,
  Split: lowerSplit,
  Slice: lowerSlice,
  Expand: lowerExpand,
  Pad: lowerPad,
  Dilate: lowerDilate,
  Gather: lowerGather,
  ArgMax: lowerArg,
  ArgMin: lowerArg,
  Scatter: lowerScatter,
  ConvGradWeight: lowerConvGradWeight,
  ConvGradWeightAt: lowerConvGradWeightAt,
  MaxPoolGrad: lowerMaxPoolGrad,
  BatchNormTraining: lowerBatchNormTraining,
  BatchNormGrad: lowerBatchNormGrad,
  SoftmaxCrossEntropy: lowerSoftmaxCrossEntropy,
  ...Object.fromEntries(reductionNames.map((name) => [name, lowerReduction])),
};

function loweringOf(node: Node): Lowering | undefined {
  if (Object.hasOwn(lowerings, node.op)) return lowerings[node.op];
  return elementwiseExpr(node.op, node.attrs) === undefined ? undefined : lowerElementwise;
}

/** Chooses kernels, layouts and places in memory for a graph; throws `E_UNSUPPORTED_OP` that lists all nodes no kernel computes. */
export function lower(source: Graph, target: Target, given: LowerOptions = {}): KernelGraph {
  const options = { ...defaultLowerOptions, ...given };
  const graph = legalize(source);
  rejectUnsupported(graph);
  const lanes = graph.updates.length > 0 && options.layout ? batchOf(graph) : 1;
  const ctx: LoweringContext = new LoweringContext(graph, target, options, batchedValues(graph, lanes), lanes, (value, n) => wish(ctx, value, n));
  const inputs = graph.inputs.map((input): Port => {
    const place = ctx.placeInput(input);
    return { name: input.name, ...input.type, place };
  });
  const parameters = parametersOf(graph).map((value) => ({ value, name: value.name, ...value.type, place: ctx.placeParameter(value) }));
  if (ctx.lanes > 1) for (const input of graph.inputs) if (ctx.isBatched(input)) ctx.read(input, batchInnermost(input.type.shape));
  if (options.layout) placeConcats(ctx);
  updateInPlace(ctx);
  for (const node of graph.nodes) {
    ctx.node = node.name;
    if (!moveSparse(ctx, node)) (loweringOf(node) as Lowering)(ctx, node);
  }
  ctx.node = "outputs";
  const outputs = graph.outputs.map(({ name, value }): Port => ({ name, ...value.type, place: outputPlace(ctx, value) }));
  ctx.node = "updates";
  emitUpdates(ctx);
  const memory = planMemory(ctx.calls, inputs, outputs, ctx.prepare, ctx.residents);
  return { name: graph.name, target, calls: ctx.calls, prepare: ctx.prepare, inputs, outputs, parameters, memory };
}

function rejectUnsupported(graph: Graph): void {
  const problems = graph.nodes
    .filter((node) => loweringOf(node) === undefined)
    .map((node) => {
      const hint = "Replace the operator, or compute this part outside of the net.";
      return new CadnnError("E_UNSUPPORTED_OP", `operator ${node.op} cannot be compiled`, { at: node.name, hint });
    });
  throwProblems(problems, `${problems.length} nodes cannot be compiled:`);
}

/** The batch size that training keeps innermost: a multiple of 4, else 1. */
function batchOf(graph: Graph): number {
  const batch = Math.max(1, ...graph.inputs.filter((v) => v.type.shape.length > 1).map((v) => v.type.shape[0] as number));
  return batch % 4 === 0 ? batch : 1;
}

/** Values that depend on an input and whose first dimension is the batch. */
function batchedValues(graph: Graph, lanes: number): ReadonlySet<Value> {
  const batched = new Set<Value>(graph.inputs.filter((v) => v.type.shape[0] === lanes));
  for (const node of graph.nodes) {
    if (["ConvGradWeight", "ConvGradWeightAt"].includes(node.op) || !node.inputs.some((v) => v !== undefined && batched.has(v))) continue;
    for (const out of node.outputs) if (out.type.shape[0] === lanes) batched.add(out);
  }
  return batched;
}

function wish(ctx: LoweringContext, value: Value, lanes: number): Layout | undefined {
  if (!ctx.options.layout || value.type.shape.length !== 4 || value.type.dtype !== "float32" || ctx.graph.outputs.some((o) => o.value === value)) return undefined;
  return commonWish(value, ctx.consumers.get(value) ?? [], lanes);
}

/** Lets the producers of a concatenation along channels write into its buffer, where they have no other wish. */
function placeConcats(ctx: LoweringContext): void {
  const producers = new Map<Value, Node>(ctx.graph.nodes.flatMap((n) => n.outputs.map((o) => [o, n] as const)));
  for (const node of ctx.graph.nodes) {
    const y = node.outputs[0] as Value;
    const whole = node.op === "Concat" && node.attrs.axis === 1 && y.type.shape.length === 4 && (ctx.isBatched(y) || y.type.shape[0] === 1) && y.type.dtype === "float32";
    if (!whole || ctx.preferredLayout(y).padding !== undefined) continue;
    const layout = ctx.preferredLayout(y);
    const placed = { buffer: ctx.buffer(y.name, layout.size), offset: 0, layout };
    let channel = 0;
    for (const x of node.inputs as readonly Value[]) {
      const producer = producers.get(x);
      const own = ctx.compactLayout(x);
      const fits = [1, 2, 3].every((i) => own.strides[i] === layout.strides[i]);
      const direct = producer !== undefined && producer.op !== "Concat" && !["Reshape", "Identity", "Dropout"].includes(producer.op);
      if (direct && fits && ctx.uses.get(x) === 1 && ctx.viewOf(x) === undefined)
        ctx.setView(x, { buffer: placed.buffer, offset: channel * (layout.strides[1] as number), layout: own });
      channel += x.type.shape[1] as number;
    }
    ctx.place(y, placed);
  }
}

/** Outputs lie row-major; inputs and constants that are outputs too get a place of their own. */
function outputPlace(ctx: LoweringContext, value: Value) {
  const layout = linear(value.type.shape);
  if (value.kind === "computed") {
    const placed = ctx.read(value, layout);
    if (placed.buffer.region === "arena") return placed;
  }
  const source = ctx.readAny(value);
  const copy = { buffer: ctx.buffer(`${value.name}.out`, layout.size), offset: 0, layout };
  ctx.copyInto(value.type.shape, source, copy, false);
  return copy;
}

export type { KernelGraph } from "./kernel-graph.ts";
export type { LowerOptions } from "./options.ts";
