import { CadnnError } from "../errors.ts";
import type { Node, Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { type NestDim, sortDims } from "../kernels/nest.ts";
import { x32Copy } from "../kernels/wasm/x32-copy.ts";
import { x32Gather } from "../kernels/wasm/x32-gather.ts";
import type { LoweringContext, Placed } from "./context.ts";
import { linear, samePlaces } from "./layout.ts";
import { broadcast } from "./strided.ts";

/** Copies `shape` elements from strides at one place to strides at another. */
function copy(
  ctx: LoweringContext,
  shape: readonly number[],
  from: Placed,
  fromStrides: readonly number[],
  fromOffset: number,
  to: Placed,
  toStrides: readonly number[],
  toOffset: number,
  joins = false,
): void {
  if (elementCount(shape) === 0) return;
  const dims = shape.map((size, i): NestDim => ({ size, strides: [fromStrides[i] as number, toStrides[i] as number] }));
  ctx.call(
    x32Copy,
    { dims: sortDims(dims) },
    [
      { buffer: from.buffer, offset: from.offset + fromOffset },
      { buffer: to.buffer, offset: to.offset + toOffset },
    ],
    { joins },
  );
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + v * (b[i] as number), 0);

/** Reshape, and Identity and Dropout as its simplest case: nothing moves if the elements lie in row-major order, or with the batch innermost and kept. */
export function lowerReshape(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const y = node.outputs[0] as Value;
  if (ctx.viewOf(y) === undefined) {
    const source = ctx.readAny(x);
    if (ctx.isBatched(x) && ctx.isBatched(y) && samePlaces(source.layout, ctx.compactLayout(x), x.type.shape)) {
      ctx.place(y, { ...source, layout: ctx.compactLayout(y) });
      return;
    }
    if (!ctx.isBatched(x) && !ctx.isBatched(y)) {
      const plain = ctx.read(x, linear(x.type.shape));
      ctx.place(y, { ...plain, layout: linear(y.type.shape) });
      return;
    }
  }
  const plain = ctx.read(x, linear(x.type.shape));
  const layout = linear(y.type.shape);
  const target = ctx.write(y);
  copy(ctx, y.type.shape, plain, layout.strides, 0, target, target.layout.strides, 0);
}

export function lowerTranspose(ctx: LoweringContext, node: Node): void {
  const x = ctx.readAny(node.inputs[0] as Value);
  const y = node.outputs[0] as Value;
  const target = ctx.write(y);
  const perm = node.attrs.perm as readonly number[];
  copy(
    ctx,
    y.type.shape,
    x,
    perm.map((p) => x.layout.strides[p] as number),
    0,
    target,
    target.layout.strides,
    0,
  );
}

export function lowerConcat(ctx: LoweringContext, node: Node): void {
  const y = node.outputs[0] as Value;
  const axis = node.attrs.axis as number;
  const target = ctx.has(y) ? ctx.readAny(y) : ctx.write(y);
  let at = 0;
  for (const [i, x] of (node.inputs as readonly Value[]).entries()) {
    const source = ctx.readAny(x);
    const offset = at * (target.layout.strides[axis] as number);
    at += x.type.shape[axis] as number;
    if (source.buffer === target.buffer && source.offset === target.offset + offset) continue;
    copy(ctx, x.type.shape, source, source.layout.strides, 0, target, target.layout.strides, offset, i > 0);
  }
}

export function lowerSplit(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const source = ctx.readAny(x);
  const axis = node.attrs.axis as number;
  let at = 0;
  for (const y of node.outputs) {
    const target = ctx.write(y);
    copy(ctx, y.type.shape, source, source.layout.strides, at * (source.layout.strides[axis] as number), target, target.layout.strides, 0);
    at += y.type.shape[axis] as number;
  }
}

export function lowerSlice(ctx: LoweringContext, node: Node): void {
  const source = ctx.readAny(node.inputs[0] as Value);
  const y = node.outputs[0] as Value;
  const starts = node.attrs.starts as readonly number[];
  const steps = node.attrs.steps as readonly number[];
  const target = ctx.write(y);
  const { strides } = source.layout;
  copy(
    ctx,
    y.type.shape,
    source,
    strides.map((s, i) => s * (steps[i] as number)),
    dot(starts, strides),
    target,
    target.layout.strides,
    0,
  );
}

export function lowerExpand(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const y = node.outputs[0] as Value;
  const source = ctx.readAny(x);
  const target = ctx.write(y);
  copy(ctx, y.type.shape, source, broadcast(source, x.type.shape, y.type.shape).strides, 0, target, target.layout.strides, 0);
}

/** Constant padding; negative pads crop. Other modes are turned into gathers before. */
export function lowerPad(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const y = node.outputs[0] as Value;
  if (node.attrs.mode !== "constant") throw new CadnnError("E_UNSUPPORTED_OP", `Pad with mode ${String(node.attrs.mode)} cannot be compiled`, { at: node.name });
  const pads = node.attrs.pads as readonly number[];
  const source = ctx.readAny(x);
  const target = ctx.write(y);
  fill(ctx, y.type.shape, target, (node.attrs.value as number | undefined) ?? 0, x.type.dtype === "float32" ? "float32" : "int32");
  const rank = x.type.shape.length;
  const begin = pads.slice(0, rank);
  const size = x.type.shape.map((d, i) => d + Math.min(0, begin[i] as number) + Math.min(0, pads[i + rank] as number));
  const from = dot(
    begin.map((p) => Math.max(0, -p)),
    source.layout.strides,
  );
  const to = dot(
    begin.map((p) => Math.max(0, p)),
    target.layout.strides,
  );
  if (size.every((d) => d > 0)) copy(ctx, size, source, source.layout.strides, from, target, target.layout.strides, to);
}

/** The transpose of Slice: zeros with x at strided places. */
export function lowerDilate(ctx: LoweringContext, node: Node): void {
  const x = node.inputs[0] as Value;
  const source = ctx.readAny(x);
  const target = ctx.write(node.outputs[0] as Value);
  const { starts, steps } = node.attrs as { starts: readonly number[]; steps: readonly number[] };
  const { strides } = target.layout;
  fill(ctx, (node.outputs[0] as Value).type.shape, target, 0);
  const scaled = strides.map((s, i) => s * (steps[i] as number));
  copy(ctx, x.type.shape, source, source.layout.strides, 0, target, scaled, dot(starts, strides));
}

/** Sets every element of a shape to one value. */
export function fill(ctx: LoweringContext, shape: readonly number[], target: Placed, value: number, dtype: "float32" | "int32" = "float32"): void {
  const source = { ...ctx.table([value], dtype), layout: linear([1]) };
  const still = shape.map(() => 0);
  copy(ctx, shape, source, still, 0, target, target.layout.strides, 0, true);
}

export function lowerGather(ctx: LoweringContext, node: Node): void {
  const [x, indices] = node.inputs as [Value, Value];
  const y = node.outputs[0] as Value;
  const axis = node.attrs.axis as number;
  const { shape } = x.type;
  const source = ctx.read(x, linear(shape));
  const from = ctx.read(indices, linear(indices.type.shape));
  const target = ctx.write(y, linear(y.type.shape));
  const problem = { outer: elementCount(shape.slice(0, axis)), axis: shape[axis] as number, indices: elementCount(indices.type.shape), inner: elementCount(shape.slice(axis + 1)) };
  ctx.call(x32Gather, problem, [source, from, target]);
}
