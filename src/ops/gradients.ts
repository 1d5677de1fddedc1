import { CadnnError } from "../errors.ts";
import { differentiateExpr, type Expr, e } from "../ir/expr.ts";
import type { Attrs, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, sameShape } from "../ir/types.ts";
import { elementwiseExpr } from "./elementwise.ts";
import { addMap, allButChannel, perChannel, reshape, sumTo } from "./gradient-helpers.ts";
import { movementGradients } from "./gradients-movement.ts";
import type { GradientContext } from "./op.ts";
import { opNamed } from "./registry.ts";

/** Adds the nodes that compute ∂loss/∂input for each wanted input; `undefined` where none flows. */
export type Gradient = (context: GradientContext) => (Value | undefined)[];

/** The gradient of the op of this name: its definition's own, else that of the tables here, else of its scalar expression. */
export function gradientOf(op: string, attrs: Attrs): Gradient | undefined {
  const own = opNamed(op).gradient ?? table[op] ?? movementGradients[op];
  if (own !== undefined) return own;
  const expr = op === "Map" ? (attrs.expr as Expr) : elementwiseExpr(op, attrs);
  return expr === undefined ? undefined : elementwiseGradient(expr);
}

/** With y = f(x₀, x₁, …) per element: dxᵢ = Σ over broadcast positions of dy · ∂f/∂xᵢ. */
function elementwiseGradient(expr: Expr): Gradient {
  return ({ builder, inputs, gradients, wanted }) => {
    const values = inputs.map((_, i) => valueAt(inputs, i));
    const dy = valueAt(gradients, 0);
    return values.map((x, i) => {
      if (!wanted[i]) return undefined;
      const dx = addMap(builder, e.mul(e.input(values.length), differentiateExpr(expr, i)), [...values, dy]);
      return dx === undefined ? undefined : sumTo(builder, dx, x.type.shape);
    });
  };
}

export function valueAt(values: readonly (Value | undefined)[], index: number): Value {
  const value = values[index];
  if (value === undefined) throw new CadnnError("E_INTERNAL", `gradient: value ${index} is missing`);
  return value;
}

const x0 = e.input(0);
const x1 = e.input(1);
const x2 = e.input(2);

function map(context: GradientContext, expr: Expr, inputs: readonly Value[]): Value {
  const value = addMap(context.builder, expr, inputs);
  if (value === undefined) throw new CadnnError("E_INTERNAL", "gradient: expression is 0");
  return value;
}

/** f′ as a function of y = f(x), so that x need not be kept: y′ = g(y). */
const fromOutput = (derivative: (y: Expr, attrs: Attrs) => Expr): Gradient => {
  return (context) => [map(context, e.mul(x1, derivative(x0, context.attrs)), [valueAt(context.outputs, 0), valueAt(context.gradients, 0)])];
};

const table: Readonly<Record<string, Gradient>> = {
  Relu: fromOutput((y) => e.select(e.gt(y, 0), 1, 0)),
  Sigmoid: fromOutput((y) => e.mul(y, e.sub(1, y))),
  Tanh: fromOutput((y) => e.sub(1, e.mul(y, y))),
  Exp: fromOutput((y) => y),
  Sqrt: fromOutput((y) => e.div(0.5, y)),
  Clip: fromOutput((y, attrs) => {
    const high = e.select(e.lt(y, attrs.max as number), 1, 0);
    const max = attrs.max === Number.POSITIVE_INFINITY ? e.number(1) : high;
    return attrs.min === Number.NEGATIVE_INFINITY ? max : e.select(e.gt(y, attrs.min as number), max, 0);
  }),

  /** dx = w ⋆ᵀ dy, dw = x ⋆ dy, db = Σ over batch and space of dy. */
  Conv(context) {
    const { builder, attrs, inputs, wanted } = context;
    const [x, w, dy] = [valueAt(inputs, 0), valueAt(inputs, 1), valueAt(context.gradients, 0)];
    return [
      wanted[0] ? builder.add("ConvGradInput", [dy, w], { ...attrs, inputShape: x.type.shape }) : undefined,
      wanted[1] ? builder.add("ConvGradWeight", [x, dy], { ...attrs, weightShape: w.type.shape }) : undefined,
      wanted[2] ? builder.add("ReduceSum", [dy], { axes: allButChannel(dy.type.shape.length), keepdims: false }) : undefined,
    ];
  },

  /** y = α A B + β C, with A and B perhaps transposed: dA = α dy Bᵀ, dB = α Aᵀ dy, dC = β dy. */
  Gemm({ builder, attrs, inputs, gradients, wanted }) {
    const [a, b, dy] = [valueAt(inputs, 0), valueAt(inputs, 1), valueAt(gradients, 0)];
    const { alpha, transA, transB } = attrs as { alpha: number; transA: boolean; transB: boolean };
    const gemm = (p: Value, q: Value, tp: boolean, tq: boolean) => builder.add("Gemm", [p, q], { alpha, beta: 1, transA: tp, transB: tq });
    const c = inputs[2];
    const dc = wanted[2] && c !== undefined ? addMap(builder, e.mul(attrs.beta as number, x0), [dy]) : undefined;
    return [
      wanted[0] ? (transA ? gemm(b, dy, transB, true) : gemm(dy, b, false, !transB)) : undefined,
      wanted[1] ? (transB ? gemm(dy, a, true, transA) : gemm(a, dy, !transA, false)) : undefined,
      dc === undefined || c === undefined ? undefined : sumTo(builder, dc, c.type.shape),
    ];
  },

  /** dA = dy Bᵀ and dB = Aᵀ dy, summed over broadcast batch dimensions. */
  MatMul({ builder, inputs, gradients, wanted }) {
    const [a, b, dy] = [valueAt(inputs, 0), valueAt(inputs, 1), valueAt(gradients, 0)];
    const ranks = [a.type.shape.length, b.type.shape.length];
    if (ranks.includes(1))
      throw new CadnnError("E_UNSUPPORTED_OP", "the gradient of MatMul with a one-dimensional operand is not supported", { hint: "Reshape the vector to a matrix." });
    if (ranks[1] === 2) {
      // All rows of A share B: one matrix product over the flattened rows.
      const rows = (v: Value) => reshape(builder, v, [elementCount(v.type.shape.slice(0, -1)), v.type.shape.at(-1) as number]);
      const gemm = (p: Value, q: Value, transA: boolean, transB: boolean) => builder.add("Gemm", [p, q], { alpha: 1, beta: 1, transA, transB });
      return [wanted[0] ? reshape(builder, gemm(rows(dy), b, false, true), a.type.shape) : undefined, wanted[1] ? gemm(rows(a), rows(dy), true, false) : undefined];
    }
    const transposed = (v: Value) => {
      const rank = v.type.shape.length;
      return builder.add("Transpose", [v], { perm: [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2] });
    };
    return [
      wanted[0] ? sumTo(builder, builder.add("MatMul", [dy, transposed(b)]), a.type.shape) : undefined,
      wanted[1] ? sumTo(builder, builder.add("MatMul", [transposed(a), dy]), b.type.shape) : undefined,
    ];
  },

  /** The inference form is affine a channel: y = (x − mean) · scale / √(var + ε) + bias, with frozen mean and var. */
  BatchNormalization(context) {
    const { builder, attrs, inputs, wanted } = context;
    const [x, scale, mean, variance, dy] = [valueAt(inputs, 0), valueAt(inputs, 1), valueAt(inputs, 3), valueAt(inputs, 4), valueAt(context.gradients, 0)];
    if (wanted[3] || wanted[4]) throw new CadnnError("E_UNSUPPORTED_OP", "BatchNormalization's running statistics have no gradient", { hint: "Leave them out of `wrt`." });
    const rank = x.type.shape.length;
    const channel = (v: Value) => perChannel(builder, v, rank);
    const axes = allButChannel(rank);
    const sum = (v: Value) => builder.add("ReduceSum", [v], { axes, keepdims: false });
    const deviation = (v: Expr) => e.sqrt(e.add(v, attrs.epsilon as number));
    return [
      wanted[0] ? map(context, e.mul(x0, e.div(x1, deviation(x2))), [dy, channel(scale), channel(variance)]) : undefined,
      wanted[1] ? sum(map(context, e.div(e.mul(x0, e.sub(x1, x2)), deviation(e.input(3))), [dy, x, channel(mean), channel(variance)])) : undefined,
      wanted[2] ? sum(dy) : undefined,
      undefined,
      undefined,
    ];
  },

  /** y = (x − μ) · scale / √(σ² + ε) + bias with μ and σ² of the batch itself; they are outputs that no loss may depend on. */
  BatchNormTraining({ builder, attrs, inputs, outputs, gradients }) {
    if (gradients[1] !== undefined || gradients[2] !== undefined) throw new CadnnError("E_UNSUPPORTED_OP", "the loss depends on the batch statistics of BatchNormTraining");
    const parts = [valueAt(inputs, 0), valueAt(gradients, 0), valueAt(inputs, 1), valueAt(outputs, 1), valueAt(outputs, 2)];
    return [...builder.addMany("BatchNormGrad", parts, attrs)];
  },

  /** With s = Softmax(x): dx = s · (dy − Σ dy · s). */
  Softmax(context) {
    const [y, dy] = [valueAt(context.outputs, 0), valueAt(context.gradients, 0)];
    const sum = sumAxis(context, map(context, e.mul(x0, x1), [y, dy]));
    return [map(context, e.mul(x0, e.sub(x1, x2)), [y, dy, sum])];
  },
  /** dx = dy − Softmax(x) · Σ dy. */
  LogSoftmax(context) {
    const [y, dy] = [valueAt(context.outputs, 0), valueAt(context.gradients, 0)];
    return [map(context, e.sub(x1, e.mul(e.exp(x0), x2)), [y, dy, sumAxis(context, dy)])];
  },
  /** loss = −mean over n of log p[n, label n]: dlogits = (p − onehot(labels)) · dloss / N. */
  SoftmaxCrossEntropy(context) {
    const { builder } = context;
    if (context.gradients[1] !== undefined)
      throw new CadnnError("E_UNSUPPORTED_OP", "the loss depends on the probabilities that SoftmaxCrossEntropy gives", { hint: "Use Softmax beside it." });
    const [probabilities, labels, dloss] = [valueAt(context.outputs, 1), valueAt(context.inputs, 1), valueAt(context.gradients, 0)];
    const [n = 1, classes = 1] = probabilities.type.shape;
    const { label, index } = oneHotOperands(builder, labels, classes);
    return [map(context, e.mul(e.sub(x0, e.eq(x1, x2)), e.mul(1 / n, e.input(3))), [probabilities, label, index, dloss]), undefined];
  },

  MaxPool({ builder, attrs, inputs, outputs, gradients }) {
    return [builder.add("MaxPoolGrad", [valueAt(inputs, 0), valueAt(outputs, 0), valueAt(gradients, 0)], attrs)];
  },
  AveragePool({ builder, attrs, inputs, gradients }) {
    return [builder.add("AveragePoolGrad", [valueAt(gradients, 0)], { ...attrs, inputShape: valueAt(inputs, 0).type.shape })];
  },
  /** One average over the whole plane. */
  GlobalAveragePool({ builder, inputs, gradients }) {
    const inputShape = valueAt(inputs, 0).type.shape;
    const kernel = inputShape.slice(2);
    const ones = kernel.map(() => 1);
    const attrs = { kernel, strides: ones, pads: [...kernel, ...kernel].fill(0), dilations: ones, ceilMode: false, countIncludePad: false, inputShape };
    return [builder.add("AveragePoolGrad", [valueAt(gradients, 0)], attrs)];
  },
  /** The gradient goes to each position that holds the maximum. */
  GlobalMaxPool(context) {
    const [x, y, dy] = [valueAt(context.inputs, 0), valueAt(context.outputs, 0), valueAt(context.gradients, 0)];
    return [map(context, e.select(e.eq(x0, x1), x2, 0), [x, y, dy])];
  },

  /** With s[c] = bias + α/size · Σ_{k near c} x[k]² and y = x · s^−β: dx = dy · s^−β − 2αβ/size · x · Σ_{c near k} dy · x · s^−(β+1). */
  LRN(context) {
    const { builder, attrs } = context;
    const [x, dy] = [valueAt(context.inputs, 0), valueAt(context.gradients, 0)];
    const { alpha, beta, bias, size } = attrs as { alpha: number; beta: number; bias: number; size: number };
    const channels = x.type.shape[1] as number;
    const spatial = x.type.shape.slice(2);
    const before = Math.floor((size - 1) / 2);
    // Sums over neighbouring channels are a 1×1 convolution with a band matrix.
    const near = (c: number, k: number) => Number(k >= c - before && k < c - before + size);
    const band = (name: string, entry: (row: number, column: number) => number) =>
      builder.constant(
        name,
        float32Tensor(
          [channels, channels, ...spatial.map(() => 1)],
          Float32Array.from({ length: channels * channels }, (_, i) => entry(Math.floor(i / channels), i % channels)),
        ),
      );
    const convAttrs = { strides: spatial.map(() => 1), pads: [...spatial, ...spatial].fill(0), dilations: spatial.map(() => 1), group: 1 };
    const sum = builder.add("Conv", [map(context, e.mul(x0, x0), [x]), band("lrn_band", near)], convAttrs);
    const s = (input: Expr) => e.add(bias, e.mul(alpha / size, input));
    const weighted = map(context, e.mul(e.mul(x0, x1), e.pow(s(x2), -beta - 1)), [dy, x, sum]);
    const spread = builder.add("Conv", [weighted, band("lrn_band_transposed", (k, c) => near(c, k))], convAttrs);
    const direct = e.mul(x0, e.pow(s(x2), -beta));
    return [map(context, e.sub(direct, e.mul((2 * alpha * beta) / size, e.mul(x1, e.input(3)))), [dy, x, sum, spread])];
  },

  ReduceSum(context) {
    return [expandReduced(context, valueAt(context.gradients, 0))];
  },
  ReduceMean(context) {
    const [x, dy] = [valueAt(context.inputs, 0), valueAt(context.gradients, 0)];
    const count = elementCount(x.type.shape) / elementCount(dy.type.shape);
    return [expandReduced(context, map(context, e.mul(x0, 1 / count), [dy]))];
  },
  ReduceSumSquare(context) {
    const x = valueAt(context.inputs, 0);
    return [map(context, e.mul(e.mul(2, x0), x1), [x, keptShape(context, valueAt(context.gradients, 0))])];
  },
  ReduceMax: extremumGradient,
  ReduceMin: extremumGradient,
};

function extremumGradient(context: GradientContext): (Value | undefined)[] {
  const [x, y, dy] = [valueAt(context.inputs, 0), valueAt(context.outputs, 0), valueAt(context.gradients, 0)];
  return [map(context, e.select(e.eq(x0, x1), x2, 0), [x, keptShape(context, y), keptShape(context, dy)])];
}

/** Σ along the op's own axis, that dimension kept as 1. */
function sumAxis(context: GradientContext, value: Value): Value {
  return context.builder.add("ReduceSum", [value], { axes: [context.attrs.axis as number], keepdims: true });
}

/** A reduction's output with the reduced dimensions as 1, so that it broadcasts against its input. */
function keptShape({ builder, attrs, inputs }: GradientContext, value: Value): Value {
  const axes = attrs.axes as readonly number[];
  return reshape(
    builder,
    value,
    valueAt(inputs, 0).type.shape.map((d, i) => (axes.includes(i) ? 1 : d)),
  );
}

function expandReduced(context: GradientContext, value: Value): Value {
  const shape = valueAt(context.inputs, 0).type.shape;
  const kept = keptShape(context, value);
  return sameShape(kept.type.shape, shape) ? kept : context.builder.add("Expand", [kept], { shape });
}

/** Labels as float32[N, 1] and class numbers as [1, classes]: `eq` of both is the one-hot matrix. */
export function oneHotOperands(builder: GradientContext["builder"], labels: Value, classes: number): { readonly label: Value; readonly index: Value } {
  const n = elementCount(labels.type.shape);
  const known = builder.nodes.find((node) => node.op === "Cast" && node.inputs[0] === labels)?.outputs[0];
  const cast = known ?? builder.add("Cast", [labels], { to: "float32" });
  const column = builder.nodes.find((node) => node.op === "Reshape" && node.inputs[0] === cast)?.outputs[0] ?? reshape(builder, cast, [n, 1]);
  const range = Float32Array.from({ length: classes }, (_, i) => i);
  return { label: column, index: builder.constant("class_index", float32Tensor([1, classes], range)) };
}
