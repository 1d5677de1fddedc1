import { foldsOffset } from "../../codegen/target.ts";
import { f32x4, type I32, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { EmitContext } from "../kernel.ts";
import { type Tile, vectorOffsets } from "../region.ts";
import { madd } from "../vector-math.ts";

/** How the entries of a weight stream are walked. */
export interface EntryWalk {
  readonly tile: Tile;
  /** Elements between the rows of a tile in the input. */
  readonly inPitch: number;
  readonly group: 1 | 2 | 4;
  readonly filters: 1 | 2;
  /** Vectors that are loaded before the first of them is multiplied; at most those of a tile. */
  readonly ahead: number;
  /** Address of the tile in the first plane. */
  readonly x: I32;
  /** Address of the first group. */
  readonly first: I32;
  /** Sums of each filter. */
  readonly acc: readonly (readonly Local<"v128">[])[];
}

export interface EntryCode {
  /** Address of the next group. */
  readonly entry: Local<"i32">;
  /** For each list of a row: acc[f] += weight[f] · x[offset …] for the entries of a group, and on to the next one. */
  readonly lists: readonly (() => void)[];
}

/** Vectors of a tile whose loads share an address, `delta` bytes from the tile's: the first of them, and their offsets from the address. */
interface Segment {
  readonly first: number;
  readonly delta: number;
  readonly offsets: readonly number[];
}

/** Splits the vectors of a tile so that the static offset of each load folds into the instruction. */
function segmentsOf(offsets: readonly number[], folds: (offset: number) => boolean): Segment[] {
  const segments: { first: number; delta: number; offsets: number[] }[] = [];
  offsets.forEach((offset, i) => {
    const last = segments.at(-1);
    const from = last === undefined ? 0 : offset - last.delta;
    if (last !== undefined && folds(from)) last.offsets.push(from);
    else segments.push({ first: i, delta: offset, offsets: [0] });
  });
  return segments;
}

/** What both ways of walking share: addresses, loads, weights and multiplications. */
export function entryParts({ fn, target }: EmitContext, walk: EntryWalk) {
  const { group, filters, acc } = walk;
  // Where not all offsets fold, one of 0 makes the load add base and index itself, at a cost: the base lies before the tile.
  const before = target.maxUnalignedOffset < target.maxFoldedOffset ? 16 : 0;
  const base = fn.let(before === 0 ? walk.x : i32.sub(walk.x, i32.const(before)));
  const entry = fn.let(walk.first);
  const bytes = 4 * (1 + filters) * group;
  const segments = segmentsOf(vectorOffsets(walk.tile, walk.inPitch), (offset) => foldsOffset(target, offset + before));
  return {
    entry,
    bytes,
    segments,
    vectors: walk.tile.rows * walk.tile.vectors,
    segmentOf: (i: number): number => segments.findLastIndex((s) => s.first <= i),
    offset: (behind: number): I32 => i32.load(entry, behind),
    addressOf: (offset: I32): I32 => i32.add(base, offset),
    segmentAddress: (address: I32, s: number): I32 => i32.add(address, i32.const((segments[s] as Segment).delta)),
    load(address: I32, s: number, i: number): V128 {
      const { first, offsets } = segments[s] as Segment;
      return v128.load(address, (offsets[i - first] as number) + before);
    },
    /** The weights of the group that begins `behind` bytes behind the entry, as few vectors as hold them. */
    weights(behind: number): V128[] {
      if (group === 2) return [v128.load(entry, behind + (filters === 1 ? 0 : 8))];
      return acc.map((_, f) => (group === 1 ? v128.load32Splat(entry, behind + 4 * (f + 1)) : v128.load(entry, behind + 16 * (f + 1))));
    },
    /** Weight of entry g and filter f in all lanes. */
    spread(held: readonly Local<"v128">[], g: number, f: number): V128 {
      if (group === 1) return held[f] as Local<"v128">;
      const lane = group === 4 ? g : filters === 1 ? 2 + g : 2 * f + g;
      const vector = held[group === 2 ? 0 : f] as Local<"v128">;
      return v128.shuffle(vector, vector, [lane, lane, lane, lane]);
    },
    multiply(i: number, weights: readonly Local<"v128">[], vector: V128): void {
      acc.forEach((part, f) => {
        const a = part[i] as Local<"v128">;
        fn.set(a, madd(target, weights[f] as Local<"v128">, vector, a));
      });
    },
    /** Multiplies now, and gives what adds the products. */
    multiplyOnly(i: number, weights: readonly Local<"v128">[], vector: V128): () => void {
      const products = acc.map((_, f) => fn.let(f32x4.mul(vector, weights[f] as Local<"v128">)));
      return () =>
        acc.forEach((part, f) => {
          const a = part[i] as Local<"v128">;
          fn.set(a, f32x4.add(a, products[f] as Local<"v128">));
        });
    },
    next: () => fn.set(entry, i32.add(entry, i32.const(bytes))),
  };
}

/** Each vector is loaded where it is multiplied. */
function walkNow(context: EmitContext, walk: EntryWalk): EntryCode {
  const { fn } = context;
  const { group, filters, acc } = walk;
  const parts = entryParts(context, walk);
  const address = fn.local("i32");
  const weights = acc.map(() => fn.local("v128"));
  const emit = () => {
    const held = parts.weights(0).map((w) => fn.let(w));
    for (let g = 0; g < group; g++) {
      fn.set(address, parts.addressOf(parts.offset(4 * g)));
      weights.forEach((w, f) => {
        fn.set(w, parts.spread(held, g, f));
      });
      parts.segments.forEach(({ first, offsets }, s) => {
        const from = s === 0 ? address : fn.let(parts.segmentAddress(address, s));
        offsets.forEach((_, i) => {
          const loaded = parts.load(from, s, first + i);
          parts.multiply(first + i, weights, filters === 1 ? loaded : fn.let(loaded));
        });
      });
    }
    parts.next();
  };
  return { entry: parts.entry, lists: [emit] };
}

/** Turns before its first load in which an entry's offset is loaded, and in which its address is computed; one turn is one load and its multiplications. */
const offsetLead = 8;
const addressLead = 4;
const weightLead = 2;
/** Turns between a product and its sum, where they are two instructions. */
const sumLag = 2;

/**
 * Each vector is loaded `ahead` turns before it is multiplied, also over the ends of groups and rows: cores that issue in order wait for a load that is used
 * at once. The first vectors of the next group are in registers between two groups; the stream ends with a group for the last one to load.
 */
function walkAhead(context: EmitContext, walk: EntryWalk): EntryCode {
  const { fn, target } = context;
  const { group, ahead, acc } = walk;
  const parts = entryParts(context, walk);
  const { segments, vectors, bytes } = parts;
  const turns = group * vectors;
  const carried = fn.locals("v128", ahead);
  const held = parts.weights(0).map((w) => fn.let(w));
  // Addresses of each entry's segments; the last ones are the next group's first.
  const addresses = Array.from({ length: group + 1 }, () => fn.locals("i32", segments.length));
  const addressAt = (e: number, s: number): Local<"i32"> => (addresses[e] as Local<"i32">[])[s] as Local<"i32">;
  const carriedSegments = segments.flatMap((segment, s) => (segment.first < ahead ? [s] : []));
  for (const s of carriedSegments) fn.set(addressAt(0, s), s === 0 ? parts.addressOf(parts.offset(0)) : parts.segmentAddress(addressAt(0, 0), s));
  carried.forEach((vector, i) => {
    fn.set(vector, parts.load(addressAt(0, parts.segmentOf(i)), parts.segmentOf(i), i));
  });

  const emit = () => {
    const steps: { readonly turn: number; readonly run: () => void }[] = [];
    const plan = (turn: number, run: () => void) => steps.push({ turn: Math.min(Math.max(0, turn), turns - 1), run });
    const weights: Local<"v128">[][] = [];
    for (let e = 0; e <= group; e++) {
      const firstLoad = e * vectors - ahead;
      if (e > 0) {
        const offset = fn.local("i32");
        plan(firstLoad - offsetLead, () => fn.set(offset, parts.offset(e < group ? 4 * e : bytes)));
        plan(firstLoad - addressLead, () => fn.set(addressAt(e, 0), parts.addressOf(offset)));
      }
      segments.forEach(({ first }, s) => {
        const inThisGroup = e === 0 ? first >= ahead : e < group || first < ahead;
        if (s > 0 && inThisGroup) plan(firstLoad + first - addressLead, () => fn.set(addressAt(e, s), parts.segmentAddress(addressAt(e, 0), s)));
      });
      if (e < group)
        plan(e * vectors - weightLead, () => {
          weights[e] = acc.map((_, f) => fn.let(parts.spread(held, e, f)));
        });
    }
    plan((group - 1) * vectors + 1, () =>
      parts.weights(bytes).forEach((w, i) => {
        fn.set(held[i] as Local<"v128">, w);
      }),
    );
    steps.sort((a, b) => a.turn - b.turn);
    const loaded: Local<"v128">[] = [...carried];
    const waiting: (() => void)[] = [];
    let done = 0;
    for (let turn = 0; turn < turns; turn++) {
      for (; done < steps.length && (steps[done] as (typeof steps)[0]).turn <= turn; done++) steps[done]?.run();
      const load = turn + ahead;
      const i = load % vectors;
      const s = parts.segmentOf(i);
      const vector = parts.load(addressAt(Math.floor(load / vectors), s), s, i);
      if (load < turns) loaded[load] = fn.let(vector);
      // A tile of `ahead` vectors in a group of one: what the next group begins with takes the place of what is multiplied now.
      const current = loaded[turn] as Local<"v128">;
      const now = load < turns || load - turns !== turn ? current : fn.let(current);
      if (load >= turns) fn.set(carried[load - turns] as Local<"v128">, vector);
      const spread = weights[Math.floor(turn / vectors)] as Local<"v128">[];
      if (target.fma) parts.multiply(turn % vectors, spread, now);
      else waiting.push(parts.multiplyOnly(turn % vectors, spread, now));
      if (waiting.length > sumLag) waiting.shift()?.();
    }
    for (const add of waiting) add();
    for (const s of carriedSegments) fn.set(addressAt(0, s), addressAt(group, s));
    parts.next();
  };
  return { entry: parts.entry, lists: [emit] };
}

/** Starts a walk over groups of entries, of one list a row. */
export const walkEntries = (context: EmitContext, walk: EntryWalk): EntryCode => (walk.ahead === 0 ? walkNow(context, walk) : walkAhead(context, walk));
