import { f32x4, type I32, i32, i32x4, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import { CadnnError } from "../../errors.ts";
import type { BinaryOp, Expr } from "../../ir/expr.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { collapseDims, type NestDim, nestSize, setAddresses } from "../nest.ts";
import { emitExpr } from "../vector-math.ts";

export type ElementType = "f32" | "i32";

/** y[i…] = expr(x0[i…], x1[i…], …) with any strides. Strides of a dimension: those of the inputs, then the output's. */
export interface MapProblem {
  readonly dims: readonly NestDim[];
  readonly expr: Expr;
  readonly inputs: readonly ElementType[];
  readonly output: ElementType;
  /** Arithmetic: `f32` converts integers on the way, `i32` takes only integers and wraps. */
  readonly domain: ElementType;
}

/** Elements that one work item covers where the whole is one contiguous run. */
const block = 256;

export type MapChoice = Record<string, never>;

export const f32Map = defineKernel<MapProblem, MapChoice>({
  name: "f32-map",
  backend: "wasm",
  operands: (p) => [...p.inputs.map((_, i) => `x${i}`), "y"],
  choices: () => [{}],
  cost: (p) => (nestSize(p.dims) / 4) * (p.inputs.length + 3),
  items(p) {
    const dims = normalized(p);
    return dims.length === 1 ? Math.ceil((dims[0] as NestDim).size / block) : nestSize(dims.slice(0, -1));
  },
  emit(context, p) {
    const { fn, operand, begin, end } = context;
    const dims = normalized(p);
    const names = f32Map.operands(p);
    const bases = names.map(operand);
    const inner = dims.at(-1) as NestDim;
    const addresses = names.map(() => fn.local("i32"));
    if (dims.length === 1) {
      const first = fn.let(i32.mul(begin, i32.const(block)));
      const last = fn.let(i32.mul(end, i32.const(block)));
      fn.set(last, i32.select(last, i32.const(inner.size), i32.ltS(last, i32.const(inner.size))));
      addresses.forEach((a, i) => fn.set(a, i32.add(bases[i] as I32, i32.mul(first, i32.const(4 * (inner.strides[i] as number))))));
      emitRow(context, p, inner, addresses, fn.let(i32.sub(last, first)), undefined);
      return;
    }
    const index = fn.let(begin);
    fn.for(index, end, 1, () => {
      setAddresses(fn, dims.slice(0, -1), index, bases, addresses);
      emitRow(context, p, inner, addresses, i32.const(inner.size), inner.size);
    });
  },
});

const normalized = (p: MapProblem) => collapseDims(p.dims, p.inputs.length + 1);

/** One run along the innermost dimension: vectors if every operand is contiguous or broadcast, else one element at a time. */
function emitRow(context: EmitContext, p: MapProblem, inner: NestDim, addresses: readonly Local<"i32">[], count: I32, size: number | undefined): void {
  const { fn } = context;
  const output = addresses.at(-1) as Local<"i32">;
  const contiguous = inner.strides.at(-1) === 1 && inner.strides.every((s) => s === 0 || s === 1);
  if (p.domain === "i32") return emitScalarRow(context, p, inner, addresses, count);
  const shared = inner.strides.slice(0, -1).map((s, i) => (s === 0 ? fn.let(splat(p.inputs[i] as ElementType, addresses[i] as I32)) : undefined));
  const vector = (): Local<"v128"> => {
    const inputs = p.inputs.map((type, i) => shared[i] ?? fn.let(contiguous ? load(type, addresses[i] as I32) : splat(type, addresses[i] as I32)));
    const value = emitExpr(fn, context.target, p.expr, inputs);
    return fn.let(p.output === "i32" ? i32x4.truncSatF32x4(value) : value);
  };
  const advance = (elements: number) =>
    addresses.forEach((a, i) => {
      const step = 4 * elements * (inner.strides[i] as number);
      if (step !== 0) fn.set(a, i32.add(a, i32.const(step)));
    });
  const left = fn.let(count);
  if (!contiguous) {
    fn.while(i32.gtS(left, i32.const(0)), () => {
      fn.storeLanes(output, vector(), 1);
      advance(1);
      fn.set(left, i32.sub(left, i32.const(1)));
    });
    return;
  }
  if (size === undefined || size >= 4)
    fn.while(i32.geS(left, i32.const(4)), () => {
      fn.store(output, vector());
      advance(4);
      fn.set(left, i32.sub(left, i32.const(4)));
    });
  const tail = (lanes: number) => fn.storeLanes(output, vector(), lanes);
  if (size === undefined) for (const lanes of [1, 2, 3]) fn.if(i32.eq(left, i32.const(lanes)), () => tail(lanes));
  else if (size % 4 > 0) tail(size % 4);
}

const load = (type: ElementType, address: I32): V128 => (type === "i32" ? f32x4.convertI32x4(v128.load(address)) : v128.load(address));
const splat = (type: ElementType, address: I32): V128 => (type === "i32" ? f32x4.convertI32x4(v128.load32Splat(address)) : v128.load32Splat(address));

function emitScalarRow(context: EmitContext, p: MapProblem, inner: NestDim, addresses: readonly Local<"i32">[], count: I32): void {
  const { fn } = context;
  const left = fn.let(count);
  fn.while(i32.gtS(left, i32.const(0)), () => {
    const inputs = p.inputs.map((_, i) => fn.let(i32.load(addresses[i] as I32)));
    fn.storeI32(addresses.at(-1) as I32, emitIntegerExpr(p.expr, inputs));
    addresses.forEach((a, i) => {
      const step = 4 * (inner.strides[i] as number);
      if (step !== 0) fn.set(a, i32.add(a, i32.const(step)));
    });
    fn.set(left, i32.sub(left, i32.const(1)));
  });
}

const integerOps: Partial<Record<BinaryOp, (a: I32, b: I32) => I32>> = {
  add: i32.add,
  sub: i32.sub,
  mul: i32.mul,
  // Division by zero would trap: it gives 0.
  div: (a, b) => i32.select(i32.const(0), i32.divS(a, i32.or(b, i32.eqz(b))), i32.eqz(b)),
  min: (a, b) => i32.select(a, b, i32.ltS(a, b)),
  max: (a, b) => i32.select(a, b, i32.gtS(a, b)),
  lt: i32.ltS,
  le: i32.leS,
  gt: i32.gtS,
  ge: i32.geS,
  eq: i32.eq,
  ne: i32.ne,
};

function emitIntegerExpr(expr: Expr, inputs: readonly I32[]): I32 {
  const go = (x: Expr) => emitIntegerExpr(x, inputs);
  switch (expr.kind) {
    case "number":
      return i32.const(expr.value);
    case "input":
      return inputs[expr.index] as I32;
    case "select":
      return i32.select(go(expr.a), go(expr.b), i32.ne(go(expr.condition), i32.const(0)));
    case "binary": {
      const op = integerOps[expr.op];
      if (op === undefined) throw new CadnnError("E_UNSUPPORTED_TYPE", `${expr.op} of integers cannot be compiled`);
      return op(go(expr.a), go(expr.b));
    }
    case "unary": {
      const a = go(expr.a);
      if (expr.op === "neg") return i32.sub(i32.const(0), a);
      if (expr.op === "abs") return i32.select(i32.sub(i32.const(0), a), a, i32.ltS(a, i32.const(0)));
      if (expr.op === "sign") return i32.sub(i32.gtS(a, i32.const(0)), i32.ltS(a, i32.const(0)));
      if (["floor", "ceil", "round", "trunc"].includes(expr.op)) return a;
      throw new CadnnError("E_UNSUPPORTED_TYPE", `${expr.op} of integers cannot be compiled`);
    }
  }
}
