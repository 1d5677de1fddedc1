import type { Target } from "../codegen/target.ts";
import type { Region, Tile } from "./region.ts";

/** What a choice's loops come back to, by its plan. */
export interface Reuse {
  /** How often it walks all its weights. */
  readonly walks: number;
  /** Bytes that stay in the first-level cache if it is large enough: the inputs of a tile, of all channels of a pass, and the weights of a block. */
  readonly tile: number;
  /** Cache lines that the loops read of these in an order that no processor foresees, repetitions included. */
  readonly scattered: number;
}

export const lineBytes = 64;

/** Cache lines that a tile reads of one plane, wherever in a line it begins. */
export function tileLines(region: Region, tile: Tile, taps: readonly number[]): number {
  const spans: { from: number; to: number }[] = [];
  for (let row = 0; row < tile.rows; row++) for (const tap of taps) spans.push({ from: tap + row * region.inPitch, to: tap + row * region.inPitch + 4 * tile.vectors });
  spans.sort((a, b) => a.from - b.from);
  let lines = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { from, to } of spans) {
    // Rows closer than a line share it.
    if (from > end + 16) lines += (to - from - 1) / 16 + 1;
    else if (to > end) lines += (to - end) / 16;
    end = Math.max(end, to);
  }
  return lines;
}

/** Bytes of the cache lines that a tile reads of each of some planes that lie `stride` elements apart; planes smaller than a line share it. */
export function inputBytes(planes: number, stride: number, region: Region, tile: Tile, taps: readonly number[]): number {
  const lines = tileLines(region, tile, taps);
  return planes * lineBytes * (stride > 0 ? Math.min(lines, stride / 16) : lines);
}

/**
 * Cycles that lines take which the first-level cache no longer has when the loops come back: of a working set that is larger than the cache, the part that is too much,
 * in the mean of the cores' caches.
 */
export function farCycles({ tile, scattered }: Reuse, { farLineCycles, l1Sizes }: Target): number {
  const missing = l1Sizes.reduce((sum, bytes) => sum + Math.max(0, 1 - bytes / tile), 0) / l1Sizes.length;
  return farLineCycles * scattered * missing;
}
