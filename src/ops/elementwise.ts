import { CadnnError } from "../errors.ts";
import { type Expr, e, evaluateExpr } from "../ir/expr.ts";
import type { Attrs } from "../ir/graph.ts";
import { broadcastShapes, type DType, elementCount, sameShape, type Tensor, type TensorType } from "../ir/types.ts";
import { type Elementwise, elementwise, geluExpr, type NumberAttrs } from "./elementwise-table.ts";
import { allTypes, bigintsOf, floatTypes, fromBigints, fromNumbers, integerTypes, numbersOf, numericTypes } from "./numbers.ts";
import { defineOp, expectDType, type OpDef, type OpTensors, type OpTypes, required } from "./op.ts";
import { broadcastOffsets } from "./strided.ts";

export type MapAttrs = { readonly expr: Expr; readonly dtype?: DType };
export type CastAttrs = { readonly to: DType };
export type GeluAttrs = { readonly approximate: string };

/** `expr` of the broadcast inputs, element by element in double precision. */
export function evaluateElementwise(expr: Expr, inputs: readonly Tensor[], type: TensorType): Tensor {
  const sources = inputs.map((t) => ({ data: numbersOf(t), offsets: sameShape(t.shape, type.shape) ? undefined : broadcastOffsets(t.shape, type.shape) }));
  const values = new Float64Array(elementCount(type.shape));
  const args = new Array<number>(inputs.length);
  for (let i = 0; i < values.length; i++) {
    for (let j = 0; j < sources.length; j++) {
      const source = sources[j] as (typeof sources)[number];
      args[j] = source.data[source.offsets === undefined ? i : (source.offsets[i] as number)] as number;
    }
    values[i] = evaluateExpr(expr, args);
  }
  return fromNumbers(type, values);
}

function evaluateIntegers(f: (a: bigint, b: bigint) => bigint, inputs: readonly Tensor[], type: TensorType): Tensor {
  const [a, b] = inputs.map((t) => ({ data: bigintsOf(t), offsets: broadcastOffsets(t.shape, type.shape) }));
  const values = new BigInt64Array(elementCount(type.shape));
  for (let i = 0; i < values.length; i++) values[i] = f(a?.data[a.offsets[i] as number] as bigint, b?.data[b.offsets[i] as number] ?? 0n);
  return fromBigints(type, values);
}

function defineElementwise(name: string, def: Elementwise): OpDef {
  return defineOp<NumberAttrs>({
    name,
    infer(inputs) {
      const types = Array.from({ length: def.inputs }, (_, i) => required(inputs, i, name));
      const first = types[0] as TensorType;
      for (const type of types) {
        expectDType(type, def.dtypes, name, "input");
        if (type.dtype !== first.dtype) throw new CadnnError("E_DTYPE_MISMATCH", `${name}: inputs are ${first.dtype} and ${type.dtype}`);
      }
      const shape = broadcastShapes(...types.map((t) => t.shape));
      if (name === "PRelu" && !sameShape(shape, first.shape)) throw new CadnnError("E_SHAPE_MISMATCH", `PRelu: slope does not broadcast to [${first.shape.join(", ")}]`);
      return [{ dtype: def.test === true ? "bool" : first.dtype, shape }];
    },
    evaluate(inputs, attrs, [type]) {
      const tensors = inputs.slice(0, def.inputs) as Tensor[];
      const exact = tensors[0]?.dtype === "float32" ? undefined : def.integer;
      return [exact === undefined ? evaluateElementwise(def.expr(attrs), tensors, type as TensorType) : evaluateIntegers(exact(attrs), tensors, type as TensorType)];
    },
  }) as OpDef;
}

/** x^y. The result has the type of x; the exponent may have another. */
export const Pow = defineOp({
  name: "Pow",
  infer(inputs) {
    const x = required(inputs, 0, "Pow");
    const y = required(inputs, 1, "Pow");
    expectDType(x, numericTypes, "Pow", "base");
    expectDType(y, numericTypes, "Pow", "exponent");
    return [{ dtype: x.dtype, shape: broadcastShapes(x.shape, y.shape) }];
  },
  evaluate(inputs, _, [type]) {
    const tensors = inputs.slice(0, 2) as Tensor[];
    const exact = tensors.every((t) => integerTypes.includes(t.dtype)) && bigintsOf(tensors[1] as Tensor).every((v) => v >= 0n);
    return [exact ? evaluateIntegers((a, b) => a ** b, tensors, type as TensorType) : evaluateElementwise(powExpr, tensors, type as TensorType)];
  },
});
const powExpr = e.pow(e.input(0), e.input(1));

export const Gelu = defineOp<GeluAttrs>({
  name: "Gelu",
  infer: (inputs) => sameAsInput("Gelu", inputs, floatTypes),
  evaluate: (inputs, attrs, [type]) => [evaluateElementwise(geluExpr(attrs.approximate), inputs.slice(0, 1) as Tensor[], type as TensorType)],
});

/** a where the condition holds, else b. */
export const Where = defineOp({
  name: "Where",
  infer(inputs) {
    const [condition, a, b] = [0, 1, 2].map((i) => required(inputs, i, "Where")) as [TensorType, TensorType, TensorType];
    expectDType(condition, ["bool"], "Where", "condition");
    if (a.dtype !== b.dtype) throw new CadnnError("E_DTYPE_MISMATCH", `Where: inputs are ${a.dtype} and ${b.dtype}`);
    return [{ dtype: a.dtype, shape: broadcastShapes(condition.shape, a.shape, b.shape) }];
  },
  evaluate(inputs, _, [type]) {
    const { dtype, shape } = type as TensorType;
    const tensors = inputs as Tensor[];
    if (dtype === "float32") return [evaluateElementwise(whereExpr, tensors, { dtype, shape })];
    const [condition, a, b] = tensors.map((t) => ({ data: bigintsOf(t), offsets: broadcastOffsets(t.shape, shape) })) as [IntegerView, IntegerView, IntegerView];
    const at = (view: IntegerView, i: number) => view.data[view.offsets[i] as number] as bigint;
    const values = BigInt64Array.from({ length: elementCount(shape) }, (_unused, i) => (at(condition, i) !== 0n ? at(a, i) : at(b, i)));
    return [fromBigints({ dtype, shape }, values)];
  },
});
type IntegerView = { readonly data: BigInt64Array; readonly offsets: Int32Array };
const whereExpr = e.select(e.input(0), e.input(1), e.input(2));

/** Conversion between element types. Float to integer rounds towards zero and saturates, integer to integer wraps, to bool is "not 0". */
export const Cast = defineOp<CastAttrs>({
  name: "Cast",
  infer(inputs, attrs) {
    const x = required(inputs, 0, "Cast");
    if (!allTypes.includes(attrs.to)) throw new CadnnError("E_UNSUPPORTED_TYPE", `Cast: to ${attrs.to} is not supported`);
    return [{ dtype: attrs.to, shape: x.shape }];
  },
  evaluate(inputs, _, [type]) {
    const x = inputs[0] as Tensor;
    const { dtype } = type as TensorType;
    return [x.dtype === "float32" || dtype === "float32" ? fromNumbers(type as TensorType, numbersOf(x)) : fromBigints(type as TensorType, bigintsOf(x).slice())];
  },
});

function sameAsInput(op: string, inputs: OpTypes, dtypes = allTypes): TensorType[] {
  const x = required(inputs, 0, op);
  expectDType(x, dtypes, op, "input");
  return [x];
}
const passThrough = (inputs: OpTensors) => [inputs[0] as Tensor];

export const Identity = defineOp({ name: "Identity", infer: (inputs) => sameAsInput("Identity", inputs), evaluate: passThrough });

/** In inference, which is all that a graph holds, nothing is dropped. */
export const Dropout = defineOp({ name: "Dropout", infer: (inputs) => sameAsInput("Dropout", inputs), evaluate: passThrough });

/** Any number of fused elementwise ops: `expr` of the broadcast inputs, in `dtype` (float32 if absent). */
export const FusedMap = defineOp<MapAttrs>({
  name: "Map",
  infer(inputs, attrs) {
    const types = inputs.map((_, i) => required(inputs, i, "Map"));
    const read = highestInput(attrs.expr);
    if (read >= types.length) throw new CadnnError("E_INVALID_ATTRIBUTE", `Map: the expression reads input ${read} of ${types.length}`);
    return [{ dtype: attrs.dtype ?? "float32", shape: broadcastShapes(...types.map((t) => t.shape)) }];
  },
  evaluate: (inputs, attrs, [type]) => [evaluateElementwise(attrs.expr, inputs as Tensor[], type as TensorType)],
});

/** Largest index that the expression reads, or −1. */
function highestInput(expr: Expr): number {
  switch (expr.kind) {
    case "input":
      return expr.index;
    case "number":
      return -1;
    case "unary":
      return highestInput(expr.a);
    case "binary":
      return Math.max(highestInput(expr.a), highestInput(expr.b));
    case "select":
      return Math.max(highestInput(expr.condition), highestInput(expr.a), highestInput(expr.b));
  }
}

const casts: Readonly<Record<DType, Expr>> = {
  float32: e.input(0),
  int32: e.trunc(e.input(0)),
  int64: e.trunc(e.input(0)),
  uint8: e.trunc(e.input(0)),
  int8: e.trunc(e.input(0)),
  bool: e.ne(e.input(0), 0),
};

/**
 * The expression behind an elementwise op on float32 (and on bool as 0 and 1), input i of the op being input i of the expression;
 * `undefined` for ops that are not elementwise.
 */
export function elementwiseExpr(op: string, attrs: Attrs): Expr | undefined {
  switch (op) {
    case "Map":
      return (attrs as MapAttrs).expr;
    case "Identity":
    case "Dropout":
      return e.input(0);
    case "Pow":
      return powExpr;
    case "Where":
      return whereExpr;
    case "Gelu":
      return geluExpr((attrs as GeluAttrs).approximate);
    case "Cast":
      return casts[(attrs as CastAttrs).to];
    default:
      return Object.hasOwn(elementwise, op) ? elementwise[op as keyof typeof elementwise].expr(attrs as NumberAttrs) : undefined;
  }
}

export const elementwiseOps: readonly OpDef[] = [
  ...Object.entries(elementwise).map(([name, def]) => defineElementwise(name, def)),
  ...[Pow, Gelu, Where, Cast, Identity, Dropout, FusedMap].map((op) => op as OpDef),
];
