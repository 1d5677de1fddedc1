import { f32x4, type I32, i32, i32x4, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Expr } from "../../ir/expr.ts";
import { emitIntegerExpr } from "../integer-math.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { collapseDims, type NestDim, nestSize, setAddresses } from "../nest.ts";
import { emitExpr } from "../vector-math.ts";

export type ElementType = "f32" | "i32";

/** y[i…] = expr(x0[i…], x1[i…], …) with any strides. Strides of a dimension: those of the inputs, then the output's. */
export interface MapProblem {
  readonly dims: readonly NestDim[];
  readonly expr: Expr;
  readonly inputs: readonly ElementType[];
  /** Bytes (`u8`, `i8`) take an i32 each. */
  readonly output: ElementType | "u8" | "i8";
  /** Arithmetic: `f32` converts integers on the way, results saturate and NaN gives 0; `i32` takes integer expressions of integers and wraps. */
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
    return fn.let(p.output === "f32" ? value : i32x4.truncSatF32x4(p.output === "i32" ? value : saturate(value, byteRanges[p.output])));
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

const byteRanges = { u8: [0, 255], i8: [-128, 127] } as const;
const saturate = (value: V128, [low, high]: readonly [number, number]): V128 => f32x4.min(f32x4.max(value, f32x4.const(low)), f32x4.const(high));

/** The low byte, zero- or sign-extended. */
function wrap(value: I32, type: MapProblem["output"]): I32 {
  if (type === "u8") return i32.and(value, i32.const(255));
  return type === "i8" ? i32.shrS(i32.shl(value, i32.const(24)), i32.const(24)) : value;
}

const load = (type: ElementType, address: I32): V128 => (type === "i32" ? f32x4.convertI32x4(v128.load(address)) : v128.load(address));
const splat = (type: ElementType, address: I32): V128 => (type === "i32" ? f32x4.convertI32x4(v128.load32Splat(address)) : v128.load32Splat(address));

function emitScalarRow(context: EmitContext, p: MapProblem, inner: NestDim, addresses: readonly Local<"i32">[], count: I32): void {
  const { fn } = context;
  const left = fn.let(count);
  fn.while(i32.gtS(left, i32.const(0)), () => {
    const inputs = p.inputs.map((_, i) => fn.let(i32.load(addresses[i] as I32)));
    const value = fn.let(emitIntegerExpr(fn, p.expr, inputs));
    fn.storeI32(addresses.at(-1) as I32, wrap(value, p.output));
    addresses.forEach((a, i) => {
      const step = 4 * (inner.strides[i] as number);
      if (step !== 0) fn.set(a, i32.add(a, i32.const(step)));
    });
    fn.set(left, i32.sub(left, i32.const(1)));
  });
}
