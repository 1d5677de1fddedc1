import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { elementCount } from "../ir/types.ts";
import { spmmHeaderBytes } from "../kernels/wasm/f32-spmm.ts";
import type { PrepareSpec, StoredConstant } from "../lower/kernel-graph.ts";
import { forEachNonZero } from "./non-zeros.ts";
import { emitWinograd } from "./prepare-winograd.ts";

/**
 * Body of one prepare function: walks a stored constant, dense or sparse, element by element, and writes what the kernel reads.
 * Runs once while loading; row-major order is kept, so streams come out sorted.
 */
export function emitPrepare(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec, from: Local<"i32">, to: Local<"i32">): void {
  const elements = elementCount(constant.shape);
  switch (spec.kind) {
    case "expand":
      if (constant.encoding.kind === "dense") return fn.copy(to, from, i32.const(elements * 4));
      fn.fill(to, i32.const(0), i32.const(elements * 4));
      return forEachNonZero(fn, constant, from, (index, value) => fn.storeI32(i32.add(to, i32.shl(index, i32.const(2))), value));
    case "pack":
      return emitPack(fn, constant, spec, from, to);
    case "stream":
      return emitStream(fn, constant, spec, from, to);
    case "winograd":
      return emitWinograd(fn, constant, spec, from, to);
  }
}

/** [m][depth] → blocks of `filters` rows, within a block [depth][filters]; the last block has the rows that are left. */
function emitPack(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec & { kind: "pack" }, from: Local<"i32">, to: Local<"i32">): void {
  const { m, depth, filters } = spec;
  const rest = m % filters;
  const place = (row: I32, k: I32): I32 => {
    const block = fn.let(i32.divU(row, i32.const(filters)));
    const first = fn.let(i32.mul(block, i32.const(filters)));
    const width = rest === 0 ? i32.const(filters) : i32.select(i32.const(filters), i32.const(rest), i32.ltU(block, i32.const(Math.floor(m / filters))));
    return i32.add(to, i32.shl(i32.add(i32.add(i32.mul(first, i32.const(depth)), i32.mul(k, width)), i32.sub(row, first)), i32.const(2)));
  };
  if (constant.encoding.kind === "dense") {
    const row = fn.let(i32.const(0));
    const source = fn.let(from);
    fn.for(row, i32.const(m), 1, () => {
      const target = fn.let(place(row, i32.const(0)));
      const step = rest === 0 ? i32.const(4 * filters) : fn.let(i32.sub(place(row, i32.const(1)), place(row, i32.const(0))));
      const left = fn.let(i32.const(depth));
      fn.doWhile(
        () => {
          fn.storeI32(target, i32.load(source));
          fn.set(source, i32.add(source, i32.const(4)));
          fn.set(target, i32.add(target, step));
          fn.set(left, i32.sub(left, i32.const(1)));
        },
        () => left,
      );
    });
    return;
  }
  fn.fill(to, i32.const(0), i32.const(m * depth * 4));
  forEachNonZero(fn, constant, from, (index, value) => {
    const row = fn.let(i32.divU(index, i32.const(depth)));
    fn.storeI32(place(row, i32.sub(index, i32.mul(row, i32.const(depth)))), value);
  });
}

/** The stream that f32-spmm describes. */
function emitStream(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec & { kind: "stream" }, from: Local<"i32">, to: Local<"i32">): void {
  const { m, depth, group } = spec;
  const row = fn.let(i32.const(0));
  const rowEnd = fn.let(i32.const(depth));
  const next = fn.let(i32.add(to, i32.const(spmmHeaderBytes(m))));
  const lane = fn.let(i32.const(0));
  const last = fn.let(i32.const(0));
  const head = fn.let(to);
  const push = (offset: I32, bits: I32) => {
    const at = group === 1 ? next : i32.add(next, i32.shl(lane, i32.const(2)));
    fn.storeI32(at, offset);
    fn.storeI32(at, bits, group * 4);
    if (group === 1) fn.set(next, i32.add(next, i32.const(8)));
    else {
      fn.set(lane, i32.and(i32.add(lane, i32.const(1)), i32.const(3)));
      fn.if(i32.eqz(lane), () => fn.set(next, i32.add(next, i32.const(32))));
    }
  };
  const finishRow = () => {
    // Unused places repeat the last offset with weight 0.
    if (group > 1) fn.while(lane, () => push(last, i32.const(0)));
    fn.set(row, i32.add(row, i32.const(1)));
    fn.set(rowEnd, i32.add(rowEnd, i32.const(depth)));
    fn.set(head, i32.add(head, i32.const(4)));
    fn.storeI32(head, i32.sub(next, to));
  };
  fn.storeI32(to, i32.sub(next, to));
  forEachNonZero(fn, constant, from, (index, value) => {
    fn.while(i32.geU(index, rowEnd), finishRow);
    const k = fn.let(i32.sub(index, i32.sub(rowEnd, i32.const(depth))));
    fn.set(last, streamOffset(fn, spec, k));
    push(last, value);
  });
  fn.while(i32.ltU(row, i32.const(m)), finishRow);
}

/** Byte offset of element k = channel · taps + tap. */
function streamOffset(fn: FunctionBuilder, { channelStride, taps }: PrepareSpec & { kind: "stream" }, k: Local<"i32">): I32 {
  if (taps.length === 1) return i32.add(i32.mul(k, i32.const(4 * channelStride)), i32.const(4 * (taps[0] as number)));
  const channel = fn.let(i32.divU(k, i32.const(taps.length)));
  const tap = fn.let(i32.sub(k, i32.mul(channel, i32.const(taps.length))));
  const offset = fn.local("i32");
  fn.switch(
    tap,
    taps.map((t) => () => fn.set(offset, i32.const(4 * t))),
  );
  return i32.add(offset, i32.mul(channel, i32.const(4 * channelStride)));
}
