import { type I32, i32, i32x4 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { entryBytes, headWords, ownBytes, ownGroupBytes } from "../kernels/weight-stream.ts";

type Word = Local<"i32">;

/** Bytes of a row in the header. */
const headBytes = 4 * headWords({ alike: false });
const sharedBytes = entryBytes({ filters: 2 });

interface Walk {
  readonly indices: Word;
  readonly to: Word;
  readonly rows: Word;
  readonly depth: Word;
  readonly width: Word;
}

/** The non-zeros of two filters in one pass. */
interface Place {
  /** Where the next index of each filter is read. */
  readonly at: readonly [Word, Word];
  /** Index of each filter's first element. */
  readonly base: readonly [Word, Word];
  /** The pass has the elements below. */
  readonly limit: Word;
  /** Address of the row's place in the header. */
  readonly head: Word;
  /** Whether the second filter comes first, because it has more non-zeros. */
  readonly swapped: Word;
}

/** What is found at the next place, in ascending order, at which one of two filters is non-zero: 0 or 1 each. */
interface Found {
  readonly element: Word;
  readonly first: Word;
  readonly second: Word;
}

/**
 * rows(values, indices, table, to, rows, passes, depth, width) as of `emitRows`, for rows of two filters that are not alike: their indices are merged,
 * once to count and once to write, without branches that depend on them.
 */
export function emitPairRows(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(8), (fn, ...params) => {
    const [values, indices, table, to, rows, passes, depth, width] = params as [Word, Word, Word, Word, Word, Word, Word, Word];
    const end = i32.add(to, i32.mul(i32.mul(rows, i32.const(headBytes)), passes));
    const walk = { indices, to, rows, depth, width };
    fn.if(rows, () => {
      const heads = fn.let(end);
      const body = fn.let(i32.add(to, i32.and(i32.add(i32.sub(heads, to), i32.const(4 + 15)), i32.const(-16))));
      fn.store(i32.sub(body, i32.const(16)), i32x4.splat(i32.const(0)));
      forEachPlace(fn, walk, (place) => countLists(fn, place));
      emitListOffsets(fn, to, heads, fn.let(i32.sub(body, to)));
      const delta = fn.let(i32.sub(values, indices));
      forEachPlace(fn, walk, (place) => emitLists(fn, place, to, table, delta));
    });
  });
}

const advance = (fn: FunctionBuilder, local: Word, bytes: I32) => fn.set(local, i32.add(local, bytes));

/** Calls `body` for each pass of each row, row by row; it moves the filters' places to the end of the pass. */
function forEachPlace(fn: FunctionBuilder, { indices, to, rows, depth, width }: Walk, body: (place: Place) => void): void {
  const at = [fn.let(indices), fn.local("i32")] as const;
  const base = [fn.let(i32.const(0)), fn.local("i32")] as const;
  const [limit, head, swapped, end, nextBase] = fn.locals("i32", 5) as [Word, Word, Word, Word, Word];
  const row = fn.let(to);
  const lastRow = fn.let(i32.add(to, i32.mul(rows, i32.const(headBytes))));
  fn.doWhile(
    () => {
      fn.set(base[1], i32.add(base[0], depth));
      fn.set(at[1], at[0]);
      fn.while(i32.ltU(i32.load(at[1]), base[1]), () => advance(fn, at[1], i32.const(4)));
      fn.set(end, at[1]);
      fn.set(nextBase, i32.add(base[1], depth));
      fn.while(i32.ltU(i32.load(end), nextBase), () => advance(fn, end, i32.const(4)));
      fn.set(swapped, i32.gtU(i32.sub(end, at[1]), i32.sub(at[1], at[0])));
      for (const [a, b] of [at, base]) {
        const first = fn.let(a);
        fn.set(a, i32.select(b, first, swapped));
        fn.set(b, i32.select(first, b, swapped));
      }
      fn.set(limit, i32.const(0));
      fn.set(head, row);
      fn.doWhile(
        () => {
          advance(fn, limit, width);
          fn.set(limit, i32.select(limit, depth, i32.ltU(limit, depth)));
          body({ at, base, limit, head, swapped });
          advance(fn, head, i32.mul(rows, i32.const(headBytes)));
        },
        () => i32.ltU(limit, depth),
      );
      fn.set(at[0], end);
      fn.set(base[0], nextBase);
      advance(fn, row, i32.const(headBytes));
    },
    () => i32.ltU(row, lastRow),
  );
}

/** Calls `body` at each place of the pass where a filter is non-zero, and moves on. */
function merge(fn: FunctionBuilder, { at, base, limit }: Place, body: (found: Found) => void): void {
  const [a, b, element, first, second] = fn.locals("i32", 5) as [Word, Word, Word, Word, Word];
  const look = () => {
    // Elements of later passes and filters are beyond the limit, so never less than one that is in the pass.
    fn.set(a, i32.sub(i32.load(at[0]), base[0]));
    fn.set(b, i32.sub(i32.load(at[1]), base[1]));
    fn.set(element, i32.select(a, b, i32.ltU(a, b)));
  };
  look();
  fn.while(i32.ltU(element, limit), () => {
    fn.set(first, i32.eq(a, element));
    fn.set(second, i32.eq(b, element));
    body({ element, first, second });
    advance(fn, at[0], i32.shl(first, i32.const(2)));
    advance(fn, at[1], i32.shl(second, i32.const(2)));
    look();
  });
}

/** The header counts: shared places, places of the first filter alone, places of the second alone. */
function countLists(fn: FunctionBuilder, place: Place): void {
  const { at, head, swapped } = place;
  const places = fn.let(i32.const(0));
  const from = at.map((a) => fn.let(a)) as [Word, Word];
  merge(fn, place, () => advance(fn, places, i32.const(1)));
  const [first, second] = at.map((a, f) => fn.let(i32.shrU(i32.sub(a, from[f] as Word), i32.const(2)))) as [Word, Word];
  fn.storeI32(head, i32.sub(i32.add(first, second), places));
  fn.storeI32(head, i32.sub(places, second), 4);
  fn.storeI32(head, i32.sub(places, first), 8);
  fn.storeI32(head, swapped, 12);
}

/** Counts in the header → byte offsets of the lists. */
function emitListOffsets(fn: FunctionBuilder, to: Word, end: Word, next: Word): void {
  const head = fn.let(to);
  const body = fn.let(next);
  const [shared, first, second] = fn.locals("i32", 3) as [Word, Word, Word];
  fn.for(head, end, headBytes, () => {
    fn.set(shared, i32.load(head));
    fn.set(first, i32.load(head, 4));
    // As many places of the first filter are in its groups.
    fn.set(second, i32.and(i32.add(i32.load(head, 8), i32.const(1)), i32.const(-2)));
    fn.storeI32(head, next);
    advance(fn, next, i32.mul(shared, i32.const(sharedBytes)));
    fn.storeI32(head, next, 4);
    advance(fn, next, i32.mul(second, i32.const(ownGroupBytes / 2)));
    fn.storeI32(head, next, 8);
    advance(fn, next, i32.select(i32.mul(i32.sub(first, second), i32.const(ownBytes)), i32.const(0), i32.gtS(first, second)));
  });
  fn.fill(i32.add(to, body), i32.const(0), i32.sub(next, body));
  fn.storeI32(end, next);
}

/** The lists of a row. `delta`: from an index to its value. */
function emitLists(fn: FunctionBuilder, place: Place, to: Word, table: Word, delta: Word): void {
  const { at, head } = place;
  const shared = fn.let(i32.add(to, i32.load(head)));
  const groups = fn.let(i32.add(to, i32.load(head, 4)));
  const more = fn.let(i32.add(to, i32.load(head, 8)));
  const own = [fn.let(groups), fn.let(i32.add(groups, i32.const(8)))] as const;
  const [both, target, weight, other, grouped] = fn.locals("i32", 5) as [Word, Word, Word, Word, Word];
  merge(fn, place, ({ element, first, second }) => {
    fn.set(both, i32.and(first, second));
    fn.set(target, i32.select(own[0], own[1], first));
    fn.set(grouped, i32.sub(i32.ltU(target, more), both));
    fn.set(target, i32.select(shared, target, both));
    fn.set(other, i32.load(i32.add(at[1], delta)));
    fn.set(weight, i32.select(i32.load(i32.add(at[0], delta)), other, first));
    fn.storeI32(target, i32.load(i32.add(table, i32.shl(element, i32.const(2)))));
    fn.storeI32(i32.add(target, i32.select(i32.const(ownGroupBytes / 2), i32.const(4), i32.eq(grouped, i32.const(1)))), weight);
    // A shared place has a second weight; to any other its offset is written once more.
    fn.storeI32(i32.add(target, i32.shl(both, i32.const(3))), i32.select(other, i32.load(i32.add(table, i32.shl(element, i32.const(2)))), both));
    advance(fn, shared, i32.select(i32.const(sharedBytes), i32.const(0), both));
    [first, second].forEach((taken, f) => {
      const next = own[f] as Word;
      // Every second one is the last of its group.
      const odd = i32.and(i32.sub(next, groups), i32.const(4));
      const step = i32.select(i32.select(i32.const(ownGroupBytes - 4), i32.const(4), odd), i32.const(ownBytes), i32.ltU(next, more));
      advance(fn, next, i32.select(step, i32.const(0), i32.sub(taken, both)));
    });
  });
}
