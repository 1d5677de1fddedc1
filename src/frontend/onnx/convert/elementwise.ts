import { TensorProto_DataType } from "onnx-buf";
import { type Expr, e } from "../../../ir/expr.ts";
import type { Attrs, Value } from "../../../ir/graph.ts";
import { type Tensor, tensorType } from "../../../ir/types.ts";
import { dtypeOf } from "../read-tensor.ts";
import type { Converter, Converters, OnnxNode } from "./converter.ts";

/** One output, the inputs as they are. */
const plain =
  (attrs?: (n: OnnxNode) => Attrs): Converter =>
  (n) =>
    n.emit(n.op, [n.input(0)], attrs?.(n) ?? {});

const mapped =
  (expr: (n: OnnxNode) => Expr): Converter =>
  (n) =>
    n.emit("Map", [n.input(0)], { expr: expr(n) });

/** Before opset 7, the second input was broadcast only on request, its first dimension aligned with `axis` of the first input. */
function alignLegacy(n: OnnxNode, a: Value, b: Value): Value {
  if (n.opset >= 7 || n.int("broadcast", 0) === 0) return b;
  const rank = a.type.shape.length;
  const axis = n.int("axis", rank - b.type.shape.length);
  const trailing = rank - (axis < 0 ? axis + rank : axis) - b.type.shape.length;
  return trailing <= 0 ? b : n.step("Reshape", [b], { shape: [...b.type.shape, ...new Array<number>(trailing).fill(1)] });
}

const binary: Converter = (n) => n.emit(n.op, [n.input(0), alignLegacy(n, n.input(0), n.input(1))]);

/** op(op(a, b), c) …; one input alone is the result itself. */
function chain(n: OnnxNode, op: string, last = true): Value {
  const [first, ...rest] = n.inputs.map((_, i) => n.input(i));
  if (first === undefined) throw n.error("E_INVALID_GRAPH", `${n.op} has no inputs`, "Export the net again.");
  if (rest.length === 0) return last ? n.emit("Identity", [first]) : first;
  return rest.reduce((a, b, i) => (last && i === rest.length - 1 ? n.emit(op, [a, b]) : n.step(op, [a, b])), first);
}

/** min and max are attributes up to opset 10, inputs later. Bounds known only at run time become Max and Min. */
const clip: Converter = (n) => {
  const x = n.input(0);
  if (n.opset < 11) return n.emit("Clip", [x], { min: n.float("min", Number.NEGATIVE_INFINITY), max: n.float("max", Number.POSITIVE_INFINITY) });
  if (n.isKnown(1) && n.isKnown(2)) {
    const bound = (i: number, fallback: number) => n.numbers(i)?.[0] ?? fallback;
    return n.emit("Clip", [x], { min: bound(1, Number.NEGATIVE_INFINITY), max: bound(2, Number.POSITIVE_INFINITY) });
  }
  const [low, high] = [n.inputs[1], n.inputs[2]];
  const raised = low === undefined ? x : high === undefined ? n.emit("Max", [x, low]) : n.step("Max", [x, low]);
  return high === undefined ? raised : n.emit("Min", [raised, high]);
};

/** The slope broadcasts to x from the right; before opset 7 it is one number a channel. */
const prelu: Converter = (n) => {
  const x = n.input(0);
  const slope = n.input(1);
  const channels = slope.type.shape.length === 1 && x.type.shape.length > 2 && n.opset < 7 && slope.type.shape[0] !== 1;
  const aligned = channels ? n.step("Reshape", [slope], { shape: [slope.type.shape[0] as number, ...x.type.shape.slice(2).map(() => 1)] }) : slope;
  return n.emit("PRelu", [x, aligned]);
};

const cast: Converter = (n) => {
  // Up to opset 5 the type is given by name.
  const to = n.opset < 6 ? TensorProto_DataType[n.string("to", "FLOAT") as keyof typeof TensorProto_DataType] : n.int("to", TensorProto_DataType.FLOAT);
  return n.emit("Cast", [n.input(0)], { to: dtypeOf(to, n.name) });
};

const castLike: Converter = (n) => n.emit("Cast", [n.input(0)], { to: n.typeOf(1).dtype });

/** Identity in inference; a mask, where something reads it, is all ones. */
const dropout: Converter = (n) => {
  const training = n.opset >= 12 && n.inputs[2] !== undefined && (!n.isKnown(2) || n.numbers(2)?.[0] !== 0);
  const ratio = n.opset >= 12 && n.isKnown(1) ? (n.numbers(1)?.[0] ?? 0.5) : n.float("ratio", 0.5);
  if (training && ratio !== 0) throw n.error("E_UNSUPPORTED_OP", "Dropout in training mode is not supported", "Export the net in evaluation mode (model.eval() in PyTorch).");
  const y = n.emit("Dropout", [n.input(0)], { ratio });
  if (!n.wants(1)) return y;
  const shape = n.typeOf(0).shape;
  const count = shape.reduce((a, b) => a * b, 1);
  const mask: Tensor =
    n.opset >= 10 ? { ...tensorType("bool", shape), data: new Uint8Array(count).fill(1) } : { ...tensorType("float32", shape), data: new Float32Array(count).fill(1) };
  return [y, n.literal(mask, "mask")];
};

/** Sign of the divisor as in Python, or with fmod = 1 sign of the dividend as in C. */
const mod: Converter = (n) => {
  const [a, b] = [e.input(0), e.input(1)];
  const quotient = e.div(a, b);
  return n.emit("Map", [n.input(0), n.input(1)], { expr: e.sub(a, e.mul(b, n.int("fmod", 0) === 1 ? e.trunc(quotient) : e.floor(quotient))), dtype: n.typeOf(0).dtype });
};

const x = e.input(0);

export const elementwise: Converters = {
  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: binary,
  Pow: binary,
  Equal: binary,
  Less: binary,
  LessOrEqual: binary,
  Greater: binary,
  GreaterOrEqual: binary,
  And: binary,
  Or: binary,
  Xor: (n) => n.emit("Map", [n.input(0), alignLegacy(n, n.input(0), n.input(1))], { expr: e.ne(e.input(0), e.input(1)), dtype: "bool" }),
  Mod: mod,
  Where: (n) => n.emit("Where", [n.input(0), n.input(1), n.input(2)]),
  Min: (n) => chain(n, "Min"),
  Max: (n) => chain(n, "Max"),
  Sum: (n) => chain(n, "Add"),
  Mean: (n) => n.emit("Mul", [chain(n, "Add", false), n.scalar(1 / n.inputs.length, n.typeOf(0))]),
  Neg: plain(),
  Abs: plain(),
  Sqrt: plain(),
  Exp: plain(),
  Log: plain(),
  Erf: plain(),
  Floor: plain(),
  Ceil: plain(),
  Round: plain(),
  Sign: plain(),
  Reciprocal: plain(),
  Not: plain(),
  Relu: plain(),
  Tanh: plain(),
  Sigmoid: plain(),
  HardSwish: plain(),
  Softplus: plain(),
  Softsign: plain(),
  Mish: plain(),
  LeakyRelu: plain((n) => ({ alpha: n.float("alpha", 0.01) })),
  HardSigmoid: plain((n) => ({ alpha: n.float("alpha", 0.2), beta: n.float("beta", 0.5) })),
  Elu: plain((n) => ({ alpha: n.float("alpha", 1) })),
  Selu: plain((n) => ({ alpha: n.float("alpha", n.opset < 6 ? 1.6732 : 1.6732632423543772), gamma: n.float("gamma", n.opset < 6 ? 1.0507 : 1.0507009873554805) })),
  Gelu: plain((n) => ({ approximate: n.string("approximate", "none") })),
  /** max(0, x) + min(0, α · (exp(x / α) − 1)) */
  Celu: mapped((n) => {
    const alpha = n.float("alpha", 1);
    return e.add(e.max(x, 0), e.min(e.mul(alpha, e.sub(e.exp(e.div(x, alpha)), 1)), 0));
  }),
  ThresholdedRelu: mapped((n) => e.select(e.gt(x, n.float("alpha", 1)), x, 0)),
  Shrink: mapped((n) => {
    const lambda = n.float("lambd", 0.5);
    const bias = n.float("bias", 0);
    return e.select(e.lt(x, -lambda), e.add(x, bias), e.select(e.gt(x, lambda), e.sub(x, bias), 0));
  }),
  IsNaN: (n) => n.emit("Map", [n.input(0)], { expr: e.ne(x, x), dtype: "bool" }),
  IsInf: (n) => {
    const positive = e.eq(x, Number.POSITIVE_INFINITY);
    const negative = e.eq(x, Number.NEGATIVE_INFINITY);
    const [p, m] = [n.int("detect_positive", 1), n.int("detect_negative", 1)];
    return n.emit("Map", [n.input(0)], { expr: p && m ? e.max(positive, negative) : p ? positive : m ? negative : e.number(0), dtype: "bool" });
  },
  PRelu: prelu,
  Clip: clip,
  Cast: cast,
  CastLike: castLike,
  Identity: plain(),
  Dropout: dropout,
};
