import type { Target } from "../../codegen/target.ts";
import { type Region, registersOf, type Tile, tilesOf } from "../region.ts";
import { lineBytes, tileLines } from "../reuse.ts";
import { tileShapes } from "./f32-gemm.ts";
import type { SpmmChoice, SpmmProblem } from "./f32-spmm.ts";
import { ofTile, packedTile } from "./spmm-packing.ts";

export const passesOf = (p: SpmmProblem, choice: Pick<SpmmChoice, "channels">): number => Math.ceil(p.channels / choice.channels);

/** Whether the filters of a row of the stream are non-zero at the same places. */
export const alikeFilters = (p: Pick<SpmmProblem, "block">, { filters }: Pick<SpmmChoice, "filters">): boolean => filters <= p.block;

/** Cache lines of 64 bytes that a tile reads of one channel, wherever it begins. */
export const linesOf = (p: SpmmProblem, tile: Tile): number => ofTile(lines, p, tile, () => tileLines(p.region, tile, p.taps));

const lines = new WeakMap<readonly number[], Map<string, number>>();

const usualTiles = (region: Region, filters: 1 | 2): Tile[] =>
  (filters === 1 ? [8, 7, 12, 6, 10, 14, 13, 4, 2, 1, 16, 20, 24] : [4, 5, 6, 7, 2, 1, 8, 10]).flatMap((vectors) => tileShapes(region, vectors));

/** Vectors of the largest tile that leaves registers for what is loaded ahead. */
const largestTile = (filters: 1 | 2, target: Target): number => Math.floor((target.vectorRegisters - 5) / filters);

/**
 * Tiles that waste little: of those that cover the region in equally many columns and rows the smallest, and of these the few with which all tiles
 * together take the fewest steps, if an entry takes as long as four vectors and a row as long as one.
 */
function tilesThatFill(region: Region, largest: number): Tile[] {
  const tiles: { readonly tile: Tile; readonly steps: number }[] = [];
  const across = Math.floor(region.w / 4);
  for (let vectors = Math.min(largest, across); vectors >= 1; vectors--)
    for (let rows = Math.min(region.h, Math.floor(largest / vectors)); rows >= 1; rows--) {
      const tile = { rows, vectors };
      const { x, y, count } = tilesOf(region, tile);
      const smallest = (vectors === 1 || Math.ceil(region.w / (4 * vectors - 4)) > x) && (rows === 1 || Math.ceil(region.h / (rows - 1)) > y);
      if (smallest) tiles.push({ tile, steps: count * (rows * (vectors + 1) + 4) });
    }
  return tiles
    .sort((a, b) => a.steps - b.steps)
    .slice(0, 5)
    .map(({ tile }) => tile);
}

type Passes = Pick<SpmmChoice, "channels" | "packed">;

/** Lengths of passes, by how much of the first-level cache a pass may fill. */
function passesFor(p: SpmmProblem, tile: Tile, target: Target, split: SpmmChoice["split"]): Passes[] {
  const fitting = Math.max(1, Math.floor(target.l1Bytes / lineBytes / linesOf(p, tile)));
  const evenly = (share: number) => Math.ceil(p.channels / Math.ceil(p.channels / Math.max(1, Math.floor(fitting * share))));
  const lengths = new Set(target.inOrder ? [p.channels, evenly(1), evenly(0.8)] : [0.55, 0.35, 1].map(evenly));
  const passes: Passes[] = [...lengths].map((channels) => ({ channels, packed: false }));
  const whole = packedTile(p, tile);
  // Threads that share out filters would each put together the same. Where each store is checked, putting together costs more than it brings.
  if (whole === undefined || split === "filters" || target.inOrder) return passes;
  const packs = (share: number) => Math.ceil(p.channels / Math.ceil((p.channels * whole.stride * 4) / (share * target.l1Bytes)));
  for (const channels of new Set([0.75, 0.5].map(packs))) passes.push({ channels, packed: true });
  return passes;
}

type Groups = Pick<SpmmChoice, "group" | "ahead">;

const groupsNow: readonly Groups[] = [
  { group: 4, ahead: 0 },
  { group: 2, ahead: 0 },
  { group: 1, ahead: 0 },
];

/** Groups of vectors that are loaded ahead; pairs where rows are so short that filling up groups of four would cost more. */
function groupsAhead(p: SpmmProblem, tile: Tile, filters: 1 | 2): Groups[] {
  const vectors = tile.rows * tile.vectors;
  const perRow = p.nonZeros / p.m;
  const groups: Groups[] = [];
  for (const group of perRow < 24 ? ([4, 2] as const) : ([4] as const))
    for (const ahead of filters === 1 ? [2, 3, 4] : [1, 2, 3]) if (ahead <= vectors) groups.push({ group, ahead });
  return groups.length > 0 ? groups : [{ group: 4, ahead: 0 }];
}

/** Lists of filters that are not alike have no groups. */
const listsOfPairs: readonly Groups[] = [{ group: 1, ahead: 0 }];

/** Bytes of output above which parts of cache lines that a tile writes leave the second-level cache before its neighbour writes the rest. */
const nearOutput = 1_000_000;

/**
 * Whether two filters with non-zeros at different places may make a row. Their own places are multiplied in turn, in one block of code, for all of whose loads
 * there must be no need of registers at once. Their tiles are half as wide as those of single filters: that costs where rows are short or outputs far away.
 */
function pairsFilters(p: SpmmProblem, target: Target): boolean {
  const near = 4 * p.m * p.outStride * (p.residual ? 0.5 : 1) <= nearOutput;
  return p.m % 2 === 0 && !target.inOrder && !target.loadsFirst && p.region.h === 1 && p.region.w >= 160 && near;
}

const pairTiles: readonly Tile[] = [4, 5, 6].map((vectors) => ({ rows: 1, vectors }));

export function spmmChoices(p: SpmmProblem, target: Target): SpmmChoice[] {
  const choices: SpmmChoice[] = [];
  for (const filters of [1, 2] as const) {
    const alike = alikeFilters(p, { filters });
    if (!alike && !pairsFilters(p, target)) continue;
    for (const tile of !alike ? pairTiles : target.inOrder ? tilesThatFill(p.region, largestTile(filters, target)) : usualTiles(p.region, filters)) {
      if ((registersOf(tile, target) + 1) * filters + 1 > target.vectorRegisters) continue;
      const split = tilesOf(p.region, tile).count >= 8 ? "tiles" : "filters";
      for (const passes of passesFor(p, tile, target, split))
        for (const groups of !alike ? listsOfPairs : target.inOrder ? groupsAhead(p, tile, filters) : groupsNow) choices.push({ tile, ...groups, filters, ...passes, split });
    }
  }
  return choices;
}
