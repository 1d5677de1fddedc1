import { type I32, i32, i32x4, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { entryBytes, type StreamShape } from "../kernels/weight-stream.ts";
import type { PrepareSpec } from "../lower/kernel-graph.ts";

type StreamSpec = PrepareSpec & { kind: "stream" };
type Rows = Pick<StreamShape, "group" | "filters">;

/** Byte offsets into the input of the elements of a filter. */
export function emitTable(fn: FunctionBuilder, { channels, channelStride, taps, pass, relative }: StreamSpec, table: I32): void {
  const slot = fn.let(table);
  const plane = fn.let(i32.const(0));
  const end = fn.let(i32.add(slot, i32.const(4 * channels * taps.length)));
  fn.for(slot, end, 4 * taps.length, () => {
    taps.forEach((tap, t) => fn.storeI32(slot, i32.add(plane, i32.const(4 * tap)), 4 * t));
    fn.set(plane, i32.add(plane, i32.const(4 * channelStride)));
    if (relative) fn.if(i32.eq(plane, i32.const(4 * pass * channelStride)), () => fn.set(plane, i32.const(0)));
  });
}

/** rows(values, indices, table, to, rows, passes, depth, width): the stream's header and rows. A row is filters of `depth` elements, a pass `width` of them. */
export function emitRows(builder: ModuleBuilder, shape: Rows): FunctionRef {
  return builder.function(i32Params(8), (fn, ...params) => {
    const [values, indices, table, to, rows, passes, depth, width] = params as Parameters;
    const end = i32.add(to, i32.mul(i32.shl(rows, i32.const(2)), passes));
    const walk: Walk = { indices, to, rows, depth, width, ...shape };
    fn.if(rows, () => {
      const heads = fn.let(end);
      const body = fn.let(i32.add(to, i32.and(i32.add(i32.sub(heads, to), i32.const(4 + 15)), i32.const(-16))));
      fn.store(i32.sub(body, i32.const(16)), i32x4.splat(i32.const(0)));
      countEntries(fn, walk);
      emitRowOffsets(fn, shape, to, heads, fn.let(i32.sub(body, to)));
      emitEntries(fn, walk, table, fn.let(i32.sub(values, indices)));
    });
  });
}

type Address = Local<"i32">;
type Count = Local<"i32">;
type Parameters = [values: Address, indices: Address, table: Address, to: Address, rows: Count, passes: Count, depth: Count, width: Count];

interface Walk extends Rows {
  readonly indices: Local<"i32">;
  readonly to: Local<"i32">;
  readonly rows: Local<"i32">;
  readonly depth: Local<"i32">;
  readonly width: Local<"i32">;
}

interface Place {
  /** Where the next index is read; the body moves it to the end of the pass. */
  readonly at: Local<"i32">;
  /** Index of the row's first element. */
  readonly base: Local<"i32">;
  /** The pass has the indices below. */
  readonly bound: Local<"i32">;
  /** Address of the row's place in the header. */
  readonly head: Local<"i32">;
}

/** Calls `body` for each pass of each row, row by row. */
function forEachPlace(fn: FunctionBuilder, { indices, to, rows, depth, width, filters }: Walk, body: (place: Place) => void, startRow?: (place: Place, end: I32) => void): void {
  const [at, base, first] = [fn.let(indices), fn.let(i32.const(0)), fn.let(to)];
  const [head, bound, start, end] = fn.locals("i32", 4) as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
  const lastRow = fn.let(i32.add(to, i32.shl(rows, i32.const(2))));
  const place: Place = { at, base, bound, head };
  fn.doWhile(
    () => {
      fn.set(head, first);
      fn.set(bound, base);
      fn.set(start, at);
      fn.set(end, i32.add(base, depth));
      startRow?.(place, end);
      fn.doWhile(
        () => {
          fn.set(bound, i32.add(bound, width));
          fn.set(bound, i32.select(bound, end, i32.ltU(bound, end)));
          body(place);
          fn.set(head, i32.add(head, i32.shl(rows, i32.const(2))));
        },
        () => i32.ltU(bound, end),
      );
      // The second filter of a row has as many.
      if (filters === 2) fn.set(at, i32.add(at, i32.sub(at, start)));
      fn.set(base, i32.add(base, filters === 2 ? i32.shl(depth, i32.const(1)) : depth));
      fn.set(first, i32.add(first, i32.const(4)));
    },
    () => i32.ltU(first, lastRow),
  );
}

const advance = (fn: FunctionBuilder, local: Local<"i32">, bytes: number) => fn.set(local, i32.add(local, i32.const(bytes)));

/** The header counts the entries of each row in each pass. */
function countEntries(fn: FunctionBuilder, walk: Walk): void {
  const start = fn.local("i32");
  forEachPlace(fn, walk, ({ at, bound, head }) => {
    fn.set(start, at);
    fn.while(i32.ltU(i32.load(at), bound), () => advance(fn, at, 4));
    fn.storeI32(head, i32.shrU(i32.sub(at, start), i32.const(2)));
  });
}

/** Counts in the header → byte offsets of the rows. */
function emitRowOffsets(fn: FunctionBuilder, { group, filters }: Rows, to: Local<"i32">, end: Local<"i32">, next: Local<"i32">): void {
  const head = fn.let(to);
  fn.for(head, end, 4, () => {
    const count = fn.let(i32.load(head));
    fn.storeI32(head, next);
    const filled = group === 1 ? count : i32.and(i32.add(count, i32.const(group - 1)), i32.const(-group));
    fn.set(next, i32.add(next, i32.mul(filled, i32.const(entryBytes({ filters })))));
  });
  fn.storeI32(end, next);
  // A last group of zeros, which kernels that load ahead read.
  fn.fill(i32.add(to, next), i32.const(0), i32.const(group * entryBytes({ filters })));
}

/** The groups of all rows. `delta`: from an index to its value. */
function emitEntries(fn: FunctionBuilder, walk: Walk, table: Local<"i32">, delta: Local<"i32">): void {
  const { group, filters } = walk;
  const [target, offsets, last] = fn.locals("i32", 3) as [Local<"i32">, Local<"i32">, Local<"i32">];
  const second = fn.local("i32");
  /** Byte offset into the input of the entry whose index is `lane` words further. */
  const offset = (at: I32, lane: number): I32 => i32.load(i32.add(offsets, i32.shl(i32.load(at, 4 * lane), i32.const(2))));
  const weight = (at: I32, f: number): I32 => i32.add(at, f === 0 ? delta : second);
  const lanes = Array.from({ length: group }, (_, lane) => lane);
  const eachFilter = (body: (f: number, place: number) => void) => {
    for (let f = 0; f < filters; f++) body(f, 4 * group * (1 + f));
  };
  const startRow = ({ at, base }: Place, end: I32) => {
    fn.set(offsets, i32.sub(table, i32.shl(base, i32.const(2))));
    if (filters === 1) return;
    fn.set(second, at);
    fn.while(i32.ltU(i32.load(second), end), () => advance(fn, second, 4));
    fn.set(second, i32.add(delta, i32.sub(second, at)));
  };
  const groups = ({ at, bound, head }: Place) => {
    fn.set(target, i32.add(walk.to, i32.load(head)));
    // Indices ascend: if the last one of a group is in the pass, all are.
    fn.while(i32.ltU(i32.load(at, 4 * (group - 1)), bound), () => {
      for (const lane of lanes) fn.storeI32(target, offset(at, lane), 4 * lane);
      eachFilter((f, place) => {
        const from = fn.let(weight(at, f));
        if (group === 4) fn.store(target, v128.load(from), place);
        else for (const lane of lanes) fn.storeI32(target, i32.load(from, 4 * lane), place + 4 * lane);
      });
      advance(fn, at, 4 * group);
      advance(fn, target, group * entryBytes(walk));
    });
    if (group === 1) return;
    // Unused places repeat the last offset with weight 0.
    fn.if(i32.ltU(i32.load(at), bound), () => {
      for (const lane of lanes) {
        const used = () => {
          fn.set(last, offset(at, 0));
          eachFilter((f, place) => fn.storeI32(target, i32.load(weight(at, f)), place + 4 * lane));
          advance(fn, at, 4);
        };
        const unused = () => eachFilter((_, place) => fn.storeI32(target, i32.const(0), place + 4 * lane));
        fn.if(i32.ltU(i32.load(at), bound), used, unused);
        fn.storeI32(target, last, 4 * lane);
      }
    });
  };
  forEachPlace(fn, walk, groups, startRow);
}
