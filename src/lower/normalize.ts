import { e } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor } from "../ir/types.ts";
import type { LoweringContext } from "./context.ts";
import { alongAxis, here, mapStrided, reduceStrided, type Strided, scratch, there } from "./strided.ts";

const x0 = e.input(0);
const x1 = e.input(1);
const x2 = e.input(2);
const x3 = e.input(3);
const x4 = e.input(4);
const sum = { kind: "sum", before: x0, after: x0 } as const;

/** Softmax and LogSoftmax along an axis: the maximum is taken off first, so that nothing overflows. */
export function lowerSoftmax(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const { shape } = x.type;
  const axis = node.attrs.axis as number;
  const source = here(ctx, x);
  const output = there(ctx, node.outputs[0] as Value);
  if (node.op === "Softmax") {
    emitSoftmax(ctx, shape, axis, source, output);
    return;
  }
  const { shifted, total } = exponentials(ctx, shape, axis, source, output);
  mapStrided(ctx, shape, e.sub(e.sub(x0, x1), e.log(x2)), [source, shifted, total], output);
}

function exponentials(ctx: LoweringContext, shape: readonly number[], axis: number, source: Strided, powers: Strided): { readonly shifted: Strided; readonly total: Strided } {
  const row = shape.map((d, i) => (i === axis ? 1 : d));
  const shifted = scratch(ctx, `${ctx.node}.max`, row);
  const total = scratch(ctx, `${ctx.node}.sum`, row);
  reduceStrided(ctx, shape, [axis], { kind: "max", before: x0, after: x0 }, [source], shifted);
  mapStrided(ctx, shape, e.exp(e.sub(x0, x1)), [source, shifted], powers);
  reduceStrided(ctx, shape, [axis], sum, [powers], total);
  return { shifted, total };
}

function emitSoftmax(ctx: LoweringContext, shape: readonly number[], axis: number, source: Strided, output: Strided): { readonly shifted: Strided; readonly total: Strided } {
  const sums = exponentials(ctx, shape, axis, source, output);
  mapStrided(ctx, shape, e.div(x0, x1), [output, sums.total], output);
  return sums;
}

/** BatchNormalization that no convolution took in. */
export function lowerBatchNorm(ctx: LoweringContext, node: Node): void {
  const [x, ...vectors] = node.inputs as readonly Value[];
  const { shape } = (x as Value).type;
  const inputs = [here(ctx, x as Value), ...vectors.map((v) => alongAxis(ctx.readAny(v), shape, 1))];
  const gain = e.div(x1, e.sqrt(e.add(x4, node.attrs.epsilon as number)));
  mapStrided(ctx, shape, e.add(e.mul(e.sub(x0, x3), gain), x2), inputs, there(ctx, node.outputs[0] as Value));
}

/** Mean and variance over `axes`, y = (x − mean) / √(variance + ε) · scale + bias. */
function emitNormalization(
  ctx: LoweringContext,
  shape: readonly number[],
  axes: readonly number[],
  epsilon: number,
  source: Strided,
  affine: readonly Strided[],
  mean: Strided,
  variance: Strided,
  output: Strided,
): void {
  const n = axes.reduce((c, a) => c * (shape[a] as number), 1);
  const centered = e.sub(x0, x1);
  reduceStrided(ctx, shape, axes, { kind: "sum", before: x0, after: e.mul(x0, 1 / n) }, [source], mean);
  reduceStrided(ctx, shape, axes, { kind: "sum", before: e.mul(centered, centered), after: e.mul(x0, 1 / n) }, [source, mean], variance);
  const normal = e.div(centered, e.sqrt(e.add(x2, epsilon)));
  const scaled = affine.length > 0 ? e.mul(normal, x3) : normal;
  mapStrided(ctx, shape, affine.length > 1 ? e.add(scaled, x4) : scaled, [source, mean, variance, ...affine], output);
}

export function lowerInstanceNorm(ctx: LoweringContext, node: Node): void {
  const [x, scale, bias] = node.inputs as [Value, Value, Value];
  const { shape } = x.type;
  const kept = shape.map((d, i) => (i < 2 ? d : 1));
  const affine = [scale, bias].map((v) => alongAxis(ctx.readAny(v), shape, 1));
  const axes = shape.map((_, i) => i).slice(2);
  emitNormalization(
    ctx,
    shape,
    axes,
    node.attrs.epsilon as number,
    here(ctx, x),
    affine,
    scratch(ctx, `${node.name}.mean`, kept),
    scratch(ctx, `${node.name}.var`, kept),
    there(ctx, node.outputs[0] as Value),
  );
}

export function lowerLayerNorm(ctx: LoweringContext, node: Node): void {
  const [x, ...affine] = node.inputs.filter((v): v is Value => v !== undefined);
  const { shape } = (x as Value).type;
  const axis = node.attrs.axis as number;
  const axes = shape.map((_, i) => i).slice(axis);
  const kept = shape.map((d, i) => (i < axis ? d : 1));
  const parts = affine.map((v) => {
    const strided = here(ctx, v);
    const shift = shape.length - v.type.shape.length;
    return { ...strided, strides: shape.map((_, i) => (i < shift || v.type.shape[i - shift] === 1 ? 0 : (strided.strides[i - shift] as number))) };
  });
  emitNormalization(
    ctx,
    shape,
    axes,
    node.attrs.epsilon as number,
    here(ctx, x as Value),
    parts,
    scratch(ctx, `${node.name}.mean`, kept),
    scratch(ctx, `${node.name}.var`, kept),
    there(ctx, node.outputs[0] as Value),
  );
}

export function lowerBatchNormTraining(ctx: LoweringContext, node: Node): void {
  const [x, scale, bias] = node.inputs as [Value, Value, Value];
  const [y, mean, variance] = node.outputs as readonly Value[] as [Value, Value, Value];
  const { shape } = x.type;
  const axes = shape.map((_, i) => i).filter((i) => i !== 1);
  const affine = [scale, bias].map((v) => alongAxis(ctx.readAny(v), shape, 1));
  const vectors = [mean, variance].map((v) => alongAxis(ctx.write(v), shape, 1)) as [Strided, Strided];
  emitNormalization(ctx, shape, axes, node.attrs.epsilon as number, here(ctx, x), affine, ...vectors, there(ctx, y));
}

/** dx = scale / σ · (dy − mean(dy) − x̂ · mean(dy · x̂)), dscale = Σ dy · x̂, dbias = Σ dy. */
export function lowerBatchNormGrad(ctx: LoweringContext, node: Node): void {
  const [x, dy, scale, mean, variance] = node.inputs as readonly Value[] as [Value, Value, Value, Value, Value];
  const [dx, dscale, dbias] = node.outputs as readonly Value[] as [Value, Value, Value];
  const { shape } = x.type;
  const axes = shape.map((_, i) => i).filter((i) => i !== 1);
  const n = elementCount(shape) / (shape[1] as number);
  const epsilon = node.attrs.epsilon as number;
  const vector = (v: Value) => alongAxis(ctx.readAny(v), shape, 1);
  const [xs, dys] = [here(ctx, x), here(ctx, dy)];
  const [gradScale, gradBias] = [dscale, dbias].map((v) => alongAxis(ctx.write(v), shape, 1)) as [Strided, Strided];
  const normal = e.div(e.sub(x1, x2), e.sqrt(e.add(x3, epsilon)));
  reduceStrided(ctx, shape, axes, sum, [dys], gradBias);
  reduceStrided(ctx, shape, axes, { ...sum, before: e.mul(x0, normal) }, [dys, xs, vector(mean), vector(variance)], gradScale);
  const [x5, x6] = [e.input(5), e.input(6)];
  const inner = e.sub(e.sub(x0, e.mul(x5, 1 / n)), e.mul(normal, e.mul(x6, 1 / n)));
  const gain = e.div(x4, e.sqrt(e.add(x3, epsilon)));
  mapStrided(ctx, shape, e.mul(gain, inner), [dys, xs, vector(mean), vector(variance), vector(scale), gradBias, gradScale], there(ctx, dx));
}

/** Mean over the batch of log Σ exp(x) − x[label], and the probabilities. */
export function lowerSoftmaxCrossEntropy(ctx: LoweringContext, node: Node): void {
  const [logits, labels] = node.inputs as [Value, Value];
  const [loss, probabilities] = node.outputs as readonly Value[] as [Value, Value];
  const shape = logits.type.shape as readonly [number, number];
  const [n, classes] = shape;
  const source = here(ctx, logits);
  const { shifted, total } = emitSoftmax(ctx, shape, 1, source, there(ctx, probabilities));
  const wanted: Strided = { place: ctx.readAny(labels), strides: [1, 0], type: "i32" };
  const iota = float32Tensor(
    [classes],
    Float32Array.from({ length: classes }, (_, i) => i),
  );
  const classNumbers: Strided = {
    place: ctx.readAny({ kind: "constant", name: `${node.name}.classes`, type: { dtype: "float32", shape: [classes] }, data: iota.data }),
    strides: [0, 1],
  };
  const terms = scratch(ctx, `${node.name}.terms`, shape);
  // log Σ exp stands in every column, so each counts as 1/classes.
  const logSum = e.mul(e.add(x1, e.log(x2)), 1 / classes);
  const term = e.sub(logSum, e.select(e.eq(x3, x4), x0, 0));
  mapStrided(ctx, shape, term, [source, shifted, total, wanted, classNumbers], terms);
  reduceStrided(ctx, shape, [0, 1], { ...sum, after: e.mul(x0, 1 / n) }, [terms], { place: ctx.write(loss), strides: [0, 0] });
}
