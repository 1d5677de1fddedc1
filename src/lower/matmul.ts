import { type Activation, activationExpr, noActivation } from "../ir/activation.ts";
import { type Expr, e, substitute } from "../ir/expr.ts";
import { type ConstantValue, isConstant, type Node, type Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { f32Correlate } from "../kernels/wasm/f32-correlate.ts";
import { f32Gemm, type GemmProblem } from "../kernels/wasm/f32-gemm.ts";
import { f32Matvec } from "../kernels/wasm/f32-matvec.ts";
import { f32Spmv } from "../kernels/wasm/f32-spmv.ts";
import { streamBytes } from "../kernels/weight-stream.ts";
import type { LoweringContext, Placed } from "./context.ts";
import { zerosOf } from "./filters.ts";
import { linear } from "./layout.ts";
import { broadcast, mapStrided, reduceStrided, type Strided } from "./strided.ts";

/** Gemm and FusedGemm: y = act(α · A′ · B′ + β · c). */
export function lowerGemm(ctx: LoweringContext, node: Node): void {
  const [a, b, c] = node.inputs as [Value, Value, Value | undefined];
  const y = node.outputs[0] as Value;
  const { alpha = 1, beta = 1 } = node.attrs as { alpha?: number; beta?: number };
  const transA = node.attrs.transA === true;
  const transB = node.attrs.transB === true;
  const activation = (node.attrs.activation as Activation | undefined) ?? noActivation;
  const [rows, m] = y.type.shape as [number, number];
  const k = a.type.shape[transA ? 0 : 1] as number;
  const bias = c !== undefined && beta !== 0 ? c : undefined;
  const perColumn = bias === undefined || (elementCount(bias.type.shape) === m && bias.type.shape.at(-1) === m);
  const batched = ctx.lanesOf(y) > 1;
  if (!batched && !transA && isConstant(b) && perColumn && alpha === 1 && beta === 1 && rows <= 16) {
    lowerRows(ctx, a, transB ? b : transposed(b), bias, y, rows, m, k, activation);
    return;
  }
  const from = (placed: Placed, swap: boolean): Operand => ({ placed, outer: placed.layout.strides[swap ? 1 : 0] as number, inner: placed.layout.strides[swap ? 0 : 1] as number });
  const left = from(ctx.readAny(a), transA);
  const right = from(ctx.readAny(b), transB);
  const simple = alpha === 1 && bias === undefined && activation.kind === "none";
  const vectorBias = batched && alpha === 1 && beta === 1 && bias !== undefined && perColumn ? bias : undefined;
  const direct = simple || vectorBias !== undefined;
  const product = direct ? ctx.write(y) : temporary(ctx, y);
  emitProduct(
    ctx,
    left,
    right,
    { placed: product, outer: product.layout.strides[0] as number, inner: product.layout.strides[1] as number },
    rows,
    m,
    k,
    direct ? activation : noActivation,
    vectorBias,
  );
  if (direct) return;
  const scaled: Expr = alpha === 1 ? e.input(0) : e.mul(e.input(0), alpha);
  const added = bias === undefined ? scaled : e.add(scaled, beta === 1 ? e.input(1) : e.mul(e.input(1), beta));
  const { shape } = y.type;
  const inputs = [broadcast(product, shape, shape), ...(bias === undefined ? [] : [broadcast(ctx.readAny(bias), bias.type.shape, shape)])];
  mapStrided(ctx, shape, substitute(activationExpr(activation), [added]), inputs, broadcast(ctx.write(y), shape, shape));
}

/** Fully connected layers of few rows: the weights are walked once, dense or sparse. */
function lowerRows(ctx: LoweringContext, x: Value, w: ConstantValue, bias: Value | undefined, y: Value, rows: number, m: number, k: number, activation: Activation): void {
  const { nonZeros } = zerosOf(w);
  const dense = { m, k, rows, bias: bias !== undefined, activation };
  const sparse = { ...dense, nonZeros };
  const source = ctx.read(x, linear(x.type.shape));
  const rest = [...(bias === undefined ? [] : [ctx.readAny(bias)]), ctx.write(y, linear(y.type.shape))];
  const denseCost = ctx.best(f32Matvec, dense)?.cost ?? Number.POSITIVE_INFINITY;
  const sparseCost = ctx.best(f32Spmv, sparse)?.cost ?? Number.POSITIVE_INFINITY;
  const macs = rows * m * k;
  if (sparseCost < denseCost) {
    const stream = { m, channels: k, taps: [0], group: 4, filters: 1, alike: true, pass: k, relative: false } as const;
    const weights = ctx.weights(w, { kind: "stream", channelStride: 1, ...stream }, streamBytes(stream, w.data as Float32Array));
    ctx.call(f32Spmv, sparse, [source, { buffer: weights, offset: 0 }, ...rest], { macs });
  } else ctx.call(f32Matvec, dense, [source, ctx.readAny(w), ...rest], { macs });
}

const transposes = new WeakMap<ConstantValue, ConstantValue>();

function transposed(b: ConstantValue): ConstantValue {
  const known = transposes.get(b);
  if (known !== undefined) return known;
  const [k, m] = b.type.shape as [number, number];
  const data = new Float32Array(k * m);
  for (let i = 0; i < k; i++) for (let j = 0; j < m; j++) data[j * k + i] = b.data[i * m + j] as number;
  const result: ConstantValue = { ...b, name: `${b.name}ᵀ`, type: { dtype: "float32", shape: [m, k] }, data };
  transposes.set(b, result);
  return result;
}

function temporary(ctx: LoweringContext, y: Value): Placed {
  const layout = ctx.compactLayout(y);
  return { buffer: ctx.buffer(`${y.name}~`, layout.size), offset: 0, layout };
}

interface Operand {
  readonly placed: Placed;
  readonly outer: number;
  readonly inner: number;
}

/**
 * y[i, j] = Σ_k a[i, k] · b[k, j] for any strides. The fast kernel spreads scalars of one side over vectors along the other's contiguous
 * dimension, which must be the output's too; the sides may be exchanged.
 */
function emitProduct(ctx: LoweringContext, a: Operand, b: Operand, y: Operand, rows: number, columns: number, k: number, activation: Activation, bias: Value | undefined): void {
  const gemm = (m: number, w: Operand, wRow: number, wK: number, x: Operand, xK: number, outStride: number, width: number) => {
    const problem: GemmProblem = {
      m,
      channels: k,
      channelStride: xK,
      taps: [0],
      region: { h: 1, w: width, inPitch: 0, outPitch: 0 },
      outStride,
      weights: { kind: "strided", row: wRow, channel: wK, taps: [0] },
      bias: bias !== undefined,
      residual: false,
      activation,
    };
    ctx.call(f32Gemm, problem, [x.placed, w.placed, ...(bias === undefined ? [] : [ctx.readAny(bias)]), y.placed], { macs: rows * columns * k });
  };
  if (y.inner === 1 && b.inner === 1 && columns >= 4 && bias === undefined) return gemm(rows, a, a.outer, a.inner, b, b.outer, y.outer, columns);
  if (y.outer === 1 && a.outer === 1 && rows >= 4) return gemm(columns, b, b.inner, b.outer, a, a.inner, y.inner, rows);
  if (a.inner === 1 && b.outer === 1 && k % 4 === 0 && y.inner === 1 && y.outer === columns && bias === undefined && activation.kind === "none") {
    const problem = { m: rows, channels: columns, taps: [0], h: 1, w: k, xPitch: 0, dyPitch: 0, xStride: b.inner, dyStride: a.outer };
    ctx.call(f32Correlate, problem, [b.placed, a.placed, y.placed], { macs: rows * columns * k });
    return;
  }
  const shape = [rows, columns, k];
  const output: Strided = { place: y.placed, strides: [y.outer, y.inner, 0] };
  const left: Strided = { place: a.placed, strides: [a.outer, 0, a.inner] };
  const right: Strided = { place: b.placed, strides: [0, b.inner, b.outer] };
  const after = activationExpr(bias === undefined ? activation : noActivation);
  reduceStrided(ctx, shape, [2], { kind: "sum", before: e.mul(e.input(0), e.input(1)), after }, [left, right], output, rows * columns * k);
  if (bias === undefined) return;
  const result: Strided = { place: y.placed, strides: [y.outer, y.inner] };
  const expr = substitute(activationExpr(activation), [e.add(e.input(0), e.input(1))]);
  mapStrided(ctx, [rows, columns], expr, [result, { place: ctx.readAny(bias), strides: [0, 1] }], result);
}

/** MatMul with numpy's rules for batches; vectors count as matrices of one row or column. */
export function lowerMatMul(ctx: LoweringContext, node: Node): void {
  const [a, b] = node.inputs as [Value, Value];
  const y = node.outputs[0] as Value;
  const aShape = a.type.shape.length === 1 ? [1, ...a.type.shape] : a.type.shape;
  const bShape = b.type.shape.length === 1 ? [...b.type.shape, 1] : b.type.shape;
  const [rows, k] = aShape.slice(-2) as [number, number];
  const columns = bShape.at(-1) as number;
  const batch = y.type.shape.slice(0, Math.max(aShape.length, bShape.length) - 2);
  if (isConstant(b) && bShape.length === 2 && b.type.shape.length === 2 && ctx.lanesOf(y) === 1 && (elementCount(aShape) / k <= 16 || columns < 4)) {
    lowerRows(ctx, a, transposed(b), undefined, y, elementCount(aShape) / k, columns, k, noActivation);
    return;
  }
  const pa = ctx.read(a, linear(a.type.shape));
  const pb = ctx.read(b, linear(b.type.shape));
  const output = ctx.write(y, linear(y.type.shape));
  const sa = broadcast({ ...pa, layout: linear(aShape) }, aShape, [...batch, rows, k]).strides;
  const sb = broadcast({ ...pb, layout: linear(bShape) }, bShape, [...batch, k, columns]).strides;
  const sy = linear([...batch, rows, columns]).strides;
  const count = elementCount(batch);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let [oa, ob] = [0, 0];
    for (let d = batch.length - 1; d >= 0; d--) {
      const at = rest % (batch[d] as number);
      rest = Math.floor(rest / (batch[d] as number));
      oa += at * (sa[d] as number);
      ob += at * (sb[d] as number);
    }
    const [aOuter, aInner] = sa.slice(-2) as [number, number];
    const [bOuter, bInner] = sb.slice(-2) as [number, number];
    const [yOuter, yInner] = sy.slice(-2) as [number, number];
    emitProduct(
      ctx,
      { placed: { ...pa, offset: pa.offset + oa }, outer: rows === 1 ? 0 : aOuter, inner: k === 1 ? 0 : aInner },
      { placed: { ...pb, offset: pb.offset + ob }, outer: k === 1 ? 0 : bOuter, inner: columns === 1 ? 0 : bInner },
      { placed: { ...output, offset: output.offset + i * rows * columns }, outer: yOuter, inner: yInner },
      rows,
      columns,
      k,
      noActivation,
      undefined,
    );
  }
}
