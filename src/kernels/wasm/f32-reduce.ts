import { type F32, f32, f32x4, type I32, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import { type Expr, e } from "../../ir/expr.ts";
import { emitIntegerExpr } from "../integer-math.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { collapseDims, type NestDim, nestSize, setAddresses, walkNest } from "../nest.ts";
import { emitExpr } from "../vector-math.ts";

/**
 * y[k…] = after(reduce over r… of before(x0[k…, r…], x1[k…, r…], …)) with any strides: reductions, and by before = x0 · x1 every
 * product or window that no faster kernel takes. Strides of a dimension: those of the inputs, then the output's (0 where reduced).
 */
export interface ReduceProblem {
  readonly kept: readonly NestDim[];
  readonly reduced: readonly NestDim[];
  readonly kind: "sum" | "max" | "min" | "prod";
  readonly inputs: number;
  readonly before: Expr;
  /** Of input 0, the reduced value. */
  readonly after: Expr;
  /** Whether elements are 32-bit integers, and both expressions of such. */
  readonly integer?: boolean;
}

export interface ReduceChoice {
  /** Vectors run along the innermost reduced dimension, across the innermost kept one, or nowhere. */
  readonly direction: "along" | "across" | "scalar";
}

export const f32Reduce = defineKernel<ReduceProblem, ReduceChoice>({
  name: "f32-reduce",
  backend: "wasm",
  operands: (p) => [...Array.from({ length: p.inputs }, (_, i) => `x${i}`), "y"],
  choices(p) {
    if (p.integer === true) return [{ direction: "scalar" }];
    const { kept, reduced } = normalized(p);
    const out: ReduceChoice[] = [];
    const innerKept = kept.at(-1) as NestDim;
    const innerReduced = reduced.at(-1) as NestDim;
    const flat = (d: NestDim) => d.strides.slice(0, p.inputs).every((s) => s === 0 || s === 1);
    if (flat(innerReduced) && innerReduced.size >= 4) out.push({ direction: "along" });
    if (flat(innerKept) && innerKept.strides[p.inputs] === 1 && innerKept.size >= 4) out.push({ direction: "across" });
    return [...out, { direction: "scalar" }];
  },
  cost(p, { direction }) {
    const size = nestSize(p.kept) * nestSize(p.reduced);
    const { kept, reduced } = normalized(p);
    if (direction === "scalar") return size * (p.inputs + 3);
    const along = direction === "along";
    const inner = (along ? reduced.at(-1) : kept.at(-1)) as NestDim;
    return (size / 4) * (p.inputs + 2) * (1 + 8 / inner.size) + (along ? nestSize(kept) * 30 : 0);
  },
  items(p, choice) {
    const { kept } = normalized(p);
    return choice.direction === "across" ? nestSize(kept.slice(0, -1)) * acrossBlocks(kept.at(-1) as NestDim) : nestSize(kept);
  },
  emit(context, p, choice) {
    const { fn, operand, begin, end } = context;
    const { kept, reduced } = normalized(p);
    const bases = f32Reduce.operands(p).map(operand);
    const addresses = bases.map(() => fn.local("i32"));
    const index = fn.let(begin);
    if (choice.direction === "across") {
      const inner = kept.at(-1) as NestDim;
      const blocks = acrossBlocks(inner);
      fn.for(index, end, 1, () => {
        const outer = blocks === 1 ? index : fn.let(i32.divU(index, i32.const(blocks)));
        setAddresses(fn, kept.slice(0, -1), outer, bases, addresses);
        const start = fn.let(blocks === 1 ? i32.const(0) : i32.mul(i32.remU(index, i32.const(blocks)), i32.const(acrossBlock)));
        const stop = fn.let(i32.add(start, i32.const(blocks === 1 ? inner.size : acrossBlock)));
        if (blocks > 1) fn.set(stop, i32.select(stop, i32.const(inner.size), i32.ltS(stop, i32.const(inner.size))));
        const column = fn.let(start);
        const vectorAt = (): Local<"v128"> => {
          const at = addresses.map((a, i) => fn.let(inner.strides[i] === 0 ? a : i32.add(a, i32.shl(column, i32.const(2)))));
          return emitAcross(context, p, reduced, inner, at);
        };
        const target = i32.add(addresses.at(-1) as I32, i32.shl(column, i32.const(2)));
        fn.while(i32.leS(column, i32.sub(stop, i32.const(4))), () => {
          fn.store(target, vectorAt());
          fn.set(column, i32.add(column, i32.const(4)));
        });
        const rest = inner.size % 4;
        if (rest > 0) fn.if(i32.ltS(column, stop), () => fn.storeLanes(target, vectorAt(), rest));
      });
      return;
    }
    fn.for(index, end, 1, () => {
      setAddresses(fn, kept, index, bases, addresses);
      if (p.integer === true) {
        fn.storeI32(addresses.at(-1) as I32, emitInteger(context, p, reduced, addresses));
        return;
      }
      const value = choice.direction === "along" ? emitAlong(context, p, reduced, addresses) : emitScalar(context, p, reduced, addresses);
      const result = fn.let(emitExpr(fn, context.target, p.after, [value]));
      fn.storeLanes(addresses.at(-1) as I32, result, 1);
    });
  },
});

const acrossBlock = 64;
const acrossBlocks = (inner: NestDim) => Math.ceil(inner.size / acrossBlock);

function normalized(p: ReduceProblem): { readonly kept: NestDim[]; readonly reduced: NestDim[] } {
  return { kept: collapseDims(p.kept, p.inputs + 1), reduced: collapseDims(p.reduced, p.inputs + 1) };
}

const integerStart: Readonly<Record<ReduceProblem["kind"], number>> = { sum: 0, max: -(2 ** 31), min: 2 ** 31 - 1, prod: 1 };
const combineExpr = { sum: e.add, max: e.max, min: e.min, prod: e.mul } as const;
const start: Readonly<Record<ReduceProblem["kind"], number>> = { sum: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY, prod: 1 };
const vectorCombine = { sum: f32x4.add, max: f32x4.max, min: f32x4.min, prod: f32x4.mul } as const;
const scalarCombine = { sum: f32.add, max: f32.max, min: f32.min, prod: f32.mul } as const;

function emitAcross(context: EmitContext, p: ReduceProblem, reduced: readonly NestDim[], inner: NestDim, addresses: readonly Local<"i32">[]): Local<"v128"> {
  const { fn, target } = context;
  const acc = fn.let(f32x4.const(start[p.kind]) as V128);
  walkNest(fn, reduced, addresses.slice(0, p.inputs), (at) => {
    const inputs = at.map((a, i) => fn.let(inner.strides[i] === 0 ? v128.load32Splat(a) : v128.load(a)));
    fn.set(acc, vectorCombine[p.kind](acc, emitExpr(fn, target, p.before, inputs)));
  });
  return fn.let(emitExpr(fn, target, p.after, [acc]));
}

function emitAlong(context: EmitContext, p: ReduceProblem, reduced: readonly NestDim[], addresses: readonly Local<"i32">[]): V128 {
  const { fn, target } = context;
  const inner = reduced.at(-1) as NestDim;
  const unroll = inner.size >= 16 ? 4 : 1;
  const acc = Array.from({ length: unroll }, () => fn.let(f32x4.const(start[p.kind]) as V128));
  const scalar = fn.let(f32.const(start[p.kind]));
  walkNest(fn, reduced.slice(0, -1), addresses.slice(0, p.inputs), (outer) => {
    const at = outer.map((a) => fn.let(a));
    const left = fn.let(i32.const(Math.floor(inner.size / (4 * unroll))));
    fn.doWhile(
      () => {
        acc.forEach((a, u) => {
          const inputs = at.map((address, i) => fn.let(inner.strides[i] === 0 ? v128.load32Splat(address) : v128.load(address, 16 * u)));
          fn.set(a, vectorCombine[p.kind](a, emitExpr(fn, target, p.before, inputs)));
        });
        at.forEach((a, i) => {
          if (inner.strides[i] !== 0) fn.set(a, i32.add(a, i32.const(16 * unroll)));
        });
        fn.set(left, i32.sub(left, i32.const(1)));
      },
      () => left,
    );
    for (let r = 0; r < inner.size % (4 * unroll); r++) {
      const inputs = at.map((address, i) => fn.let(v128.load32Splat(address, inner.strides[i] === 0 ? 0 : 4 * r)));
      fn.set(scalar, scalarCombine[p.kind](scalar, f32x4.extract(emitExpr(fn, target, p.before, inputs), 0)));
    }
  });
  const total = acc.slice(1).reduce((a: V128, b) => vectorCombine[p.kind](a, b), acc[0] as V128);
  const sum = fn.let(total);
  const lanes = [0, 1, 2, 3].map((l) => f32x4.extract(sum, l));
  const combine = scalarCombine[p.kind];
  return f32x4.splat(combine(scalar, combine(combine(lanes[0] as F32, lanes[1] as F32), combine(lanes[2] as F32, lanes[3] as F32))));
}

function emitScalar(context: EmitContext, p: ReduceProblem, reduced: readonly NestDim[], addresses: readonly Local<"i32">[]): V128 {
  const { fn, target } = context;
  const acc = fn.let(f32.const(start[p.kind]));
  walkNest(fn, reduced, addresses.slice(0, p.inputs), (at) => {
    const inputs = at.map((a) => fn.let(v128.load32Splat(a)));
    fn.set(acc, scalarCombine[p.kind](acc, f32x4.extract(emitExpr(fn, target, p.before, inputs), 0)));
  });
  return f32x4.splat(acc);
}

function emitInteger({ fn }: EmitContext, p: ReduceProblem, reduced: readonly NestDim[], addresses: readonly Local<"i32">[]): I32 {
  const acc = fn.let(i32.const(integerStart[p.kind]));
  walkNest(fn, reduced, addresses.slice(0, p.inputs), (at) => {
    const value = emitIntegerExpr(
      fn,
      p.before,
      at.map((a) => fn.let(i32.load(a))),
    );
    fn.set(acc, emitIntegerExpr(fn, combineExpr[p.kind](e.input(0), e.input(1)), [acc, fn.let(value)]));
  });
  return fn.let(emitIntegerExpr(fn, p.after, [acc]));
}
