import type { Target } from "../codegen/target.ts";
import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";

/**
 * The pixels of one plane that a kernel computes: h rows of w elements. Input and output rows may have different pitches. A compact plane
 * is one long row. Tiles of `rows` × 4·`vectors` cover it; the last tile of each direction moves back to end with the region, so that
 * nothing outside is ever written (its overlap is computed twice, to the same values).
 */
export interface Region {
  readonly h: number;
  readonly w: number;
  readonly inPitch: number;
  readonly outPitch: number;
}

export interface Tile {
  /** Rows and vectors (of 4 elements) a row. */
  readonly rows: number;
  readonly vectors: number;
}

export function tileFits(region: Region, tile: Tile): boolean {
  return tile.rows <= region.h && 4 * tile.vectors <= region.w;
}

/** Registers that a tile's vectors take: one each or, where the engine merges pairs, one for two neighbours of a row. */
export function registersOf({ rows, vectors }: Tile, target: Target): number {
  return rows * (target.pairs && vectors % 2 === 0 ? vectors / 2 : vectors);
}

export function tilesOf(region: Region, tile: Tile): { readonly x: number; readonly y: number; readonly count: number } {
  const x = Math.ceil(region.w / (4 * tile.vectors));
  const y = Math.ceil(region.h / tile.rows);
  return { x, y, count: x * y };
}

/** Sets the byte offsets of tile `index` in the input and output plane. Neighbours in a row of output read `columnStep` elements apart. */
export function setTileOffsets(fn: FunctionBuilder, region: Region, tile: Tile, index: I32, inOffset: Local<"i32">, outOffset: Local<"i32">, columnStep = 1): void {
  const tiles = tilesOf(region, tile);
  const clamped = (value: I32, step: number, limit: number, exact: boolean): I32 => {
    const scaled = i32.mul(value, i32.const(step));
    if (exact) return scaled;
    const l = fn.let(scaled);
    return i32.select(l, i32.const(limit), i32.ltS(l, i32.const(limit)));
  };
  const column = tiles.y === 1 ? index : i32.remU(index, i32.const(tiles.x));
  const x = tiles.x === 1 ? i32.const(0) : clamped(column, 4 * tile.vectors, region.w - 4 * tile.vectors, region.w % (4 * tile.vectors) === 0);
  const row = tiles.x === 1 ? index : i32.divU(index, i32.const(tiles.x));
  const spread = (column: I32): I32 => (columnStep === 1 ? column : i32.mul(column, i32.const(columnStep)));
  const xs = fn.let(x);
  if (tiles.y === 1) {
    fn.set(inOffset, i32.shl(spread(xs), i32.const(2)));
    fn.set(outOffset, i32.shl(xs, i32.const(2)));
    return;
  }
  const y = fn.let(clamped(row, tile.rows, region.h - tile.rows, region.h % tile.rows === 0));
  fn.set(inOffset, i32.shl(i32.add(i32.mul(y, i32.const(region.inPitch)), spread(xs)), i32.const(2)));
  fn.set(outOffset, i32.shl(i32.add(i32.mul(y, i32.const(region.outPitch)), xs), i32.const(2)));
}

/** Byte offsets of a tile's vectors relative to its first one. */
export function vectorOffsets(tile: Tile, pitch: number, columnStep = 1): number[] {
  return Array.from({ length: tile.rows * tile.vectors }, (_, i) => 4 * (Math.floor(i / tile.vectors) * pitch + 4 * columnStep * (i % tile.vectors)));
}
