import { i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { EmitContext } from "../kernel.ts";
import { madd } from "../vector-math.ts";
import { entryBytes, ownBytes, ownGroupBytes } from "../weight-stream.ts";
import { type EntryCode, type EntryWalk, entryParts } from "./spmm-entries.ts";

/**
 * Two filters whose non-zeros lie at different places: where both are non-zero, a loaded vector serves both. Of the other places one of each filter
 * is taken in turn, so that neighbouring multiplications add to different sums and need not wait for each other.
 */
export function walkPairs(context: EmitContext, walk: EntryWalk): EntryCode {
  const { fn, target } = context;
  const { entry, addressOf, load, segments, segmentAddress, multiply } = entryParts(context, walk);
  const address = fn.local("i32");
  const weights = fn.locals("v128", 2) as [Local<"v128">, Local<"v128">];
  /** Calls `use` with each vector of the tile, `behind` the entry the offset of its place. */
  const eachVector = (behind: number, use: (i: number, vector: V128) => void) => {
    fn.set(address, addressOf(i32.load(entry, behind)));
    segments.forEach((segment, s) => {
      const from = s === 0 ? address : fn.let(segmentAddress(address, s));
      segment.offsets.forEach((_, i) => {
        use(segment.first + i, load(from, s, segment.first + i));
      });
    });
  };
  const addTo = (f: number, weight: V128, behind: number) =>
    eachVector(behind, (i, vector) => {
      const a = (walk.acc[f] as readonly Local<"v128">[])[i] as Local<"v128">;
      fn.set(a, madd(target, weight, vector, a));
    });
  const next = (bytes: number) => fn.set(entry, i32.add(entry, i32.const(bytes)));
  const shared = () => {
    weights.forEach((w, f) => {
      fn.set(w, v128.load32Splat(entry, 4 * (f + 1)));
    });
    eachVector(0, (i, vector) => multiply(i, weights, fn.let(vector)));
    next(entryBytes({ filters: 2 }));
  };
  const own = () => {
    const held = fn.let(v128.load(entry, ownGroupBytes / 2));
    for (let g = 0; g < 2; g++)
      weights.forEach((w, f) => {
        const lane = 2 * f + g;
        fn.set(w, v128.shuffle(held, held, [lane, lane, lane, lane]));
        addTo(f, w, 4 * lane);
      });
    next(ownGroupBytes);
  };
  const more = () => {
    fn.set(weights[0], v128.load32Splat(entry, 4));
    addTo(0, weights[0], 0);
    next(ownBytes);
  };
  return { entry, lists: [shared, own, more] };
}
