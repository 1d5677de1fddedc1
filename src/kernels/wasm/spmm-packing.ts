import { type I32, i32, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { EmitContext } from "../kernel.ts";
import type { Tile } from "../region.ts";
import type { SpmmChoice, SpmmProblem } from "./f32-spmm.ts";

/*
 * What a tile reads of a pass's channels, put together before its rows are computed. In the planes it lies scattered over cache lines that are used in part, sets that
 * collide and more pages than the processor has translations at hand for; put together it is dense, and each copied vector serves all filters.
 */

/** What a tile reads of one channel, put together: rows of `width` elements, one behind the other. */
export interface PackedTile {
  /** Where in the plane each row begins. */
  readonly rows: readonly number[];
  readonly width: number;
  /** Offset of each tap. */
  readonly taps: readonly number[];
  /** Elements of a channel. */
  readonly stride: number;
}

/** What is computed of taps and a tile, once for each pitch: choosing asks for it again and again. */
export function ofTile<T>(
  known: WeakMap<readonly number[], Map<string, T>>,
  p: Pick<SpmmProblem, "taps" | "region">,
  tile: Tile,
  compute: (p: Pick<SpmmProblem, "taps" | "region">, tile: Tile) => T,
): T {
  const of = known.get(p.taps) ?? new Map<string, T>();
  known.set(p.taps, of);
  const key = `${tile.rows} ${tile.vectors} ${p.region.inPitch}`;
  if (!of.has(key)) of.set(key, compute(p, tile));
  return of.get(key) as T;
}

const tiles = new WeakMap<readonly number[], Map<string, PackedTile | undefined>>();

/** Undefined where the rows that some tap reads would not lie evenly. */
export const packedTile = (p: Pick<SpmmProblem, "taps" | "region">, tile: Tile): PackedTile | undefined => ofTile(tiles, p, tile, putTogether);

function putTogether({ taps, region }: Pick<SpmmProblem, "taps" | "region">, tile: Tile): PackedTile | undefined {
  // Taps of one row of the window are less than a tile apart.
  const starts: number[] = [];
  let reach = 0;
  for (const tap of [...taps].sort((a, b) => a - b)) {
    const start = starts.at(-1);
    if (start === undefined || tap - start > 4 * tile.vectors) starts.push(tap);
    else reach = Math.max(reach, tap - start);
  }
  const rowAt = (start: number, r: number) => start + r * region.inPitch;
  const rows = [...new Set(starts.flatMap((start) => Array.from({ length: tile.rows }, (_, r) => rowAt(start, r))))].sort((a, b) => a - b);
  const width = 4 * Math.ceil((4 * tile.vectors + reach) / 4);
  const places: number[] = [];
  for (const tap of taps) {
    const start = starts.findLast((s) => s <= tap) as number;
    const row = rows.indexOf(start);
    for (let r = 0; r < tile.rows; r++) if (rows[row + r] !== rowAt(start, r)) return undefined;
    places.push(row * width + tap - start);
  }
  return { rows, width, taps: places, stride: rows.length * width };
}

/** Elements of a packed pass. */
export function packedSize(p: SpmmProblem, { packed, tile, channels }: Pick<SpmmChoice, "packed" | "tile" | "channels">): number {
  return packed ? (packedTile(p, tile)?.stride ?? 0) * channels : 0;
}

/** Puts together, at `to`, what the tile whose input begins at `from` reads of the channels of a pass. */
export function emitPacking({ fn }: EmitContext, p: SpmmProblem, { tile, channels }: SpmmChoice, from: I32, to: I32, pass: I32): void {
  const whole = packedTile(p, tile);
  if (whole === undefined) return;
  const first = fn.let(i32.mul(pass, i32.const(channels)));
  const last = fn.let(i32.add(first, i32.const(channels)));
  if (p.channels % channels !== 0) fn.set(last, i32.select(last, i32.const(p.channels), i32.ltS(last, i32.const(p.channels))));
  const source = fn.let(i32.add(from, i32.mul(first, i32.const(4 * p.channelStride))));
  const place: Local<"i32"> = fn.let(to);
  fn.for(first, last, 1, () => {
    whole.rows.forEach((row, r) => {
      for (let v = 0; v < whole.width; v += 4) fn.store(place, v128.load(source, 4 * (row + v)), 4 * (r * whole.width + v));
    });
    fn.set(source, i32.add(source, i32.const(4 * p.channelStride)));
    fn.set(place, i32.add(place, i32.const(4 * whole.stride)));
  });
}
