import { readField, writeField } from "./fields.ts";
import { gridOf } from "./grid.ts";
import type { LevelsRecord } from "./manifest.ts";
import { valuesBytes } from "./validate.ts";

/** Values that come from few levels; see `LevelsRecord`. */
export interface LevelsForm {
  readonly levels: LevelsRecord;
  readonly bytes: Uint8Array;
}

/** The values of each group, of which zeros may be left out. */
interface Groups {
  readonly runs: readonly Float32Array[];
  readonly withoutZeros: boolean;
  /** Values that are stored. */
  readonly count: number;
}

/** What is common to groups: their scales, and where their part of the palette begins. */
interface Table {
  readonly scales: Float32Array;
  readonly starts: Uint32Array;
  readonly palette: Float32Array;
  readonly bits: number;
  /** Place in the palette of a value of group g. */
  place(g: number, value: number): number;
}

const mostLevels = 256;

/** The smallest form of values that is below `limit` bytes, if one is; the scale of all groups, and their palettes, are their own. */
export function encodeLevels(groups: Groups, limit: number): LevelsForm | undefined {
  const distinct = distinctOf(groups, limit);
  if (distinct === undefined) return undefined;
  const sizeOf = (table: Table) => valuesBytes(recordOf(groups, table), groups.count);
  const tables = [gridTable(distinct), paletteTable(distinct)].filter((t) => t !== undefined).filter((t) => t.bits <= 8 && sizeOf(t) < limit);
  const [best] = tables.sort((a, b) => sizeOf(a) - sizeOf(b));
  return best && { levels: recordOf(groups, best), bytes: write(groups, best, sizeOf(best)) };
}

const recordOf = (groups: Groups, { bits, palette }: Table): LevelsRecord => ({ bits, groups: groups.runs.length, palette: palette.length });

/** The different values of each group, or nothing where there are too many for either kind of table. */
function distinctOf({ runs, withoutZeros }: Groups, limit: number): Set<number>[] | undefined {
  const result: Set<number>[] = [];
  let [total, seen, onGrids] = [0, 0, true];
  for (const values of runs) {
    const distinct = new Set<number>();
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (withoutZeros && value === 0) continue;
      if (!distinct.has(value) && (distinct.size === mostLevels || !Number.isFinite(value))) return undefined;
      distinct.add(value);
    }
    total += distinct.size;
    seen += values.length;
    onGrids = onGrids && gridOf(distinct) !== undefined;
    // As soon as so many values were seen, what most of them are like is known.
    if (!onGrids && (4 * total >= limit || (seen > 1000 && total > seen / 2))) return undefined;
    result.push(distinct);
  }
  return result;
}

/** Each group has a scale, all have the multiples of it in common, and each uses a window of those. */
function gridTable(distinct: readonly Set<number>[]): Table | undefined {
  const grids = distinct.map((values) => gridOf(values));
  const all = new Set<number>();
  for (const grid of grids) {
    if (grid === undefined) return undefined;
    for (const multiple of grid.multiples.values()) all.add(multiple);
  }
  const palette = Float32Array.from([...all].sort((a, b) => a - b));
  const places = new Map([...palette].map((multiple, i) => [multiple, i]));
  const used = grids.map((grid) => [...(grid?.multiples.values() ?? [])].map((m) => places.get(m) as number));
  const starts = Uint32Array.from(used, (list) => list.reduce((a, b) => Math.min(a, b), list[0] ?? 0));
  const widest = used.reduce((most, list, g) => list.reduce((a, b) => Math.max(a, b - (starts[g] as number)), most), 0);
  return {
    ...{ scales: Float32Array.from(grids, (grid) => grid?.scale ?? 1), starts, palette, bits: bitsFor(widest + 1) },
    place: (g, value) => places.get(grids[g]?.multiples.get(value) as number) as number,
  };
}

/** Each group has its own values in the palette. */
function paletteTable(distinct: readonly Set<number>[]): Table {
  const lists = distinct.map((values) => [...values].sort((a, b) => a - b));
  const starts = new Uint32Array(lists.length);
  for (let g = 1; g < lists.length; g++) starts[g] = (starts[g - 1] as number) + (lists[g - 1] as number[]).length;
  const places = lists.map((list, g) => new Map(list.map((value, i) => [value, (starts[g] as number) + i])));
  return {
    ...{ scales: new Float32Array(lists.length).fill(1), starts, palette: Float32Array.from(lists.flat(), (v) => v + 0) },
    bits: bitsFor(lists.reduce((most, list) => Math.max(most, list.length), 1)),
    place: (g, value) => places[g]?.get(value) as number,
  };
}

const bitsFor = (count: number): number => Math.max(1, Math.ceil(Math.log2(count)));

function write({ runs, withoutZeros }: Groups, { scales, starts, palette, bits, place }: Table, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of [scales, starts, palette]) {
    bytes.set(new Uint8Array(part.buffer), offset);
    offset += part.byteLength;
  }
  const fields = bytes.subarray(offset);
  let bit = 0;
  runs.forEach((values, g) => {
    const start = starts[g] as number;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (withoutZeros && value === 0) continue;
      writeField(fields, bit, place(g, value) - start);
      bit += bits;
    }
  });
  return bytes;
}

/** The value of each field; `groupOf` tells whose it is. Missing where the palette ends before. */
export function decodeLevels({ bits, groups, palette }: LevelsRecord, bytes: Uint8Array, count: number, groupOf: (i: number) => number): Float32Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = bytes.subarray(8 * groups + 4 * palette);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const g = groupOf(i);
    const place = view.getUint32(4 * (groups + g), true) + readField(fields, i * bits, bits);
    if (place >= palette) return undefined;
    values[i] = view.getFloat32(4 * g, true) * view.getFloat32(4 * (2 * groups + place), true);
  }
  return values;
}
