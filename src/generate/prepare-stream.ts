import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { entryBytes, streamHeaderBytes, streamPasses, streamRows } from "../kernels/weight-stream.ts";
import type { PrepareSpec, StoredConstant } from "../lower/kernel-graph.ts";
import { forEachNonZero } from "./non-zeros.ts";

type StreamSpec = PrepareSpec & { kind: "stream" };

/** Writes a weight stream in two walks over the non-zeros: the first counts those of each row and pass, the second puts them into their places. */
export function emitStream(fn: FunctionBuilder, constant: StoredConstant, spec: StreamSpec, from: Local<"i32">, to: Local<"i32">): void {
  fn.fill(to, i32.const(0), i32.const(streamHeaderBytes(spec)));
  forEachPlace(fn, constant, spec, from, ({ head, filter }) => {
    const slot = fn.let(i32.add(to, head));
    const count = () => fn.storeI32(slot, i32.add(i32.load(slot), i32.const(1)));
    if (spec.filters === 1) count();
    else fn.if(i32.eqz(filter), count);
  });
  emitRowOffsets(fn, spec, to);
  emitEntries(fn, constant, spec, from, to);
}

interface Entry {
  /** Byte offset of the row's place in the header. */
  readonly head: I32;
  /** Number of the filter within its row. */
  readonly filter: Local<"i32">;
  /** Different for each filter and pass. */
  readonly key: I32;
  readonly channel: Local<"i32">;
  readonly tap: I32;
  readonly bits: I32;
}

function forEachPlace(fn: FunctionBuilder, constant: StoredConstant, spec: StreamSpec, from: Local<"i32">, body: (entry: Entry) => void): void {
  const { channels, taps, filters, pass: perPass } = spec;
  const depth = channels * taps.length;
  const row = fn.let(i32.const(0));
  const filter = fn.let(i32.const(0));
  const first = fn.let(i32.const(0));
  forEachNonZero(fn, constant, from, (index, bits) => {
    fn.while(i32.geU(i32.sub(index, first), i32.const(depth)), () => {
      fn.set(first, i32.add(first, i32.const(depth)));
      if (filters === 1) fn.set(row, i32.add(row, i32.const(1)));
      else {
        fn.set(row, i32.add(row, filter));
        fn.set(filter, i32.xor(filter, i32.const(1)));
      }
    });
    const k = fn.let(i32.sub(index, first));
    const channel = taps.length === 1 ? k : fn.let(i32.divU(k, i32.const(taps.length)));
    const pass = streamPasses(spec) === 1 ? i32.const(0) : fn.let(i32.divU(channel, i32.const(perPass)));
    const place = i32.add(i32.mul(pass, i32.const(streamRows(spec))), row);
    const key = filters === 1 ? place : i32.add(i32.shl(place, i32.const(1)), filter);
    body({ head: i32.shl(place, i32.const(2)), filter, key, channel, tap: taps.length === 1 ? i32.const(0) : i32.sub(k, i32.mul(channel, i32.const(taps.length))), bits });
  });
}

/** Counts in the header → byte offsets of the rows. */
function emitRowOffsets(fn: FunctionBuilder, spec: StreamSpec, to: Local<"i32">): void {
  const next = fn.let(i32.const(streamHeaderBytes(spec)));
  const head = fn.let(to);
  const end = fn.let(i32.add(to, i32.const(4 * streamPasses(spec) * streamRows(spec))));
  fn.for(head, end, 4, () => {
    const count = fn.let(i32.load(head));
    fn.storeI32(head, next);
    const filled = spec.group === 1 ? count : i32.and(i32.add(count, i32.const(3)), i32.const(-4));
    fn.set(next, i32.add(next, i32.mul(filled, i32.const(entryBytes(spec)))));
  });
  fn.storeI32(end, next);
}

function emitEntries(fn: FunctionBuilder, constant: StoredConstant, spec: StreamSpec, from: Local<"i32">, to: Local<"i32">): void {
  const { group, filters } = spec;
  const current = fn.let(i32.const(-1));
  const next = fn.let(to);
  const lane = fn.let(i32.const(0));
  const last = fn.let(i32.const(0));
  const weights = fn.let(i32.const(4 * group));
  const push = (offset: I32, bits: I32) => {
    const at = group === 1 ? next : fn.let(i32.add(next, i32.shl(lane, i32.const(2))));
    fn.storeI32(at, offset);
    fn.storeI32(filters === 1 ? at : i32.add(at, weights), bits, filters === 1 ? 4 * group : 0);
    if (group === 1) fn.set(next, i32.add(next, i32.const(entryBytes(spec))));
    else {
      fn.set(lane, i32.and(i32.add(lane, i32.const(1)), i32.const(3)));
      fn.if(i32.eqz(lane), () => fn.set(next, i32.add(next, i32.const(4 * entryBytes(spec)))));
    }
  };
  // Unused places repeat the last offset with weight 0.
  const fillUp = () => {
    if (group > 1) fn.while(lane, () => push(last, i32.const(0)));
  };
  forEachPlace(fn, constant, spec, from, ({ head, key, filter, channel, tap, bits }) => {
    const place = fn.let(key);
    fn.if(i32.ne(place, current), () => {
      fillUp();
      fn.set(current, place);
      fn.set(next, i32.add(to, i32.load(i32.add(to, head))));
      if (filters > 1) fn.set(weights, i32.mul(i32.add(filter, i32.const(1)), i32.const(4 * group)));
    });
    fn.set(last, inputOffset(fn, spec, channel, tap));
    push(last, bits);
  });
  fillUp();
}

/** Byte offset of a channel's tap. */
function inputOffset(fn: FunctionBuilder, { channelStride, taps }: StreamSpec, channel: Local<"i32">, tap: I32): I32 {
  const plane = i32.mul(channel, i32.const(4 * channelStride));
  if (taps.length === 1) return i32.add(plane, i32.const(4 * (taps[0] as number)));
  const offset = fn.local("i32");
  fn.switch(
    tap,
    taps.map((t) => () => fn.set(offset, i32.const(4 * t))),
  );
  return i32.add(offset, plane);
}
