import { foldsOffset, type Target } from "../../codegen/target.ts";
import { registersOf, tilesOf } from "../region.ts";
import type { SpmmChoice, SpmmProblem } from "./f32-spmm.ts";
import { type PackedTile, packedTile } from "./spmm-packing.ts";
import { alikeFilters, linesOf, passesOf } from "./spmm-space.ts";

/** Cycles that reading costs beside the multiplications, all measured on x64. */
interface Reading {
  /** For the vectors of an entry from the second-level cache, about 20 bytes a cycle. */
  readonly far: number;
  /** For an entry, where it lies in more pages than the processor has translations at hand for. */
  readonly translation: number;
  /** For what a pass reads first. */
  readonly first: number;
}

function scatteredReading(p: SpmmProblem, { tile, channels }: SpmmChoice, target: Target): Reading {
  const lines = linesOf(p, tile);
  const resident = Math.min(1, (0.55 * target.l1Bytes) / (channels * lines * 64));
  const pages = channels * Math.min(1, p.channelStride / 1024);
  return {
    far: (1 - resident) * ((tile.rows * (16 * tile.vectors + 48)) / 20),
    translation: pages > 60 ? 1.5 * (1 - 60 / pages) : 0,
    first: (channels * lines * 64) / 20,
  };
}

function packedReading(p: SpmmProblem, { tile, channels }: SpmmChoice, target: Target): Reading {
  const { rows, stride } = packedTile(p, tile) as PackedTile;
  const resident = Math.min(1, (0.55 * target.l1Bytes) / (channels * stride * 4));
  return { far: (1 - resident) * ((tile.rows * tile.vectors * 16) / 20), translation: 0, first: channels * (1.3 * (stride / 4) + 2 * rows.length) };
}

/**
 * The geometric mean of the cycles that models of ARM's cores, in-order and out-of-order ones, give; fitted to counts of what V8 compiles, where each store takes
 * four instructions. What does not fit the first-level cache takes 0.8 cycles a line more, which is a guess: large cores load ahead by themselves.
 */
function costAhead(p: SpmmProblem, choice: SpmmChoice, target: Target): number {
  const { tile, group, filters, ahead, channels } = choice;
  const vectors = tile.rows * tile.vectors;
  const rows = p.m / filters;
  const passes = passesOf(p, choice);
  const entries = p.nonZeros / filters + ((group - 1) / 2) * rows * passes;
  const live = filters * vectors + ahead + 2 + (group === 2 ? 1 : filters) + (target.fma ? filters : 3 * filters);
  const spills = Math.max(0, live - target.vectorRegisters + 1) * 1.2;
  const lines = linesOf(p, tile);
  const resident = Math.min(1, target.l1Bytes / (channels * lines * 64));
  const rowStarts = tile.rows > 1 && !foldsOffset(target, 4 * p.region.inPitch + 256) ? 0.6 * (tile.rows - 1) : 0;
  const waits = ([0.27, 0.1, 0.015, 0][ahead] ?? 0.01) as number;
  const perVector = (filters === 1 ? 0.573 : 0.98) + (target.fma ? 0 : 0.42 * filters) + waits;
  const perEntry = 3.5 + (group === 2 ? 0.8 : group === 1 ? 3 : 0) + vectors * perVector + spills + rowStarts + (1 - resident) * lines * 0.8;
  const perRow = 5 + filters * vectors * (2.7 + (p.residual ? 0.6 : 0));
  return tilesOf(p.region, tile).count * (entries * perEntry + rows * (perRow + (passes - 1) * (5 + 3 * filters * vectors)));
}

/** What fits the second-level cache beside weights, bytes. */
const nearBytes = 850_000;

/** Cycles in which planes of all `count` channels are read or written by tiles, one plane after the other, in so far as they come from farther away than the second-level cache. */
function farPlanes(p: SpmmProblem, { tile }: SpmmChoice, count: number, stride: number, lines: number | undefined, perLine: number): number {
  const share = Math.max(0, 1 - nearBytes / (4 * count * stride));
  // Tiles that begin and end with a line share none with their neighbours.
  const whole = p.region.h === 1 && stride % 16 === 0 && tile.vectors % 4 === 0;
  return share * perLine * count * (whole ? tile.vectors / 4 : (lines ?? tile.rows * (tile.vectors / 4 + 0.75)));
}

/** Filters with non-zeros at different places, two a row: cycles of all entries of a tile, and of a row without its sums. */
function pairsCost(p: SpmmProblem, vectors: number, reading: Reading): { readonly entries: number; readonly row: number } {
  // As of zeros at random places.
  const shared = (p.nonZeros / 2) * (p.nonZeros / (p.m * p.channels * p.taps.length));
  const own = p.nonZeros / 2 - shared;
  const compute = 1.16 * vectors + 0.6;
  const entries = shared * (Math.max(compute, reading.far) + reading.translation + 0.4) + own * (Math.max(compute, 2 * reading.far) + 2 * reading.translation);
  return { entries, row: 1.6 * vectors + 14 };
}

/** Filters one by one, or two that are alike. */
function alikeCost(
  p: SpmmProblem,
  { group, filters, ...choice }: SpmmChoice,
  vectors: number,
  reading: Reading,
  target: Target,
): { readonly entries: number; readonly row: number } {
  // Entry by entry the multiplications of one accumulator wait for each other; with all in the first-level cache, measured on x64.
  const live = target.loadsFirst
    ? filters * vectors + vectors * (group === 4 ? 2 : group === 2 ? 1.5 : 1) + filters
    : filters * (vectors + (group === 4 ? 2 : 1)) + (group === 2 ? 2 : 1);
  const spills = Math.max(0, live - target.vectorRegisters + (target.loadsFirst ? 1 : 0)) * (target.loadsFirst ? 1.9 : 0.6);
  const compute = Math.max(3.6, vectors * filters * (target.fma ? 0.52 : 0.56) + { 1: 0.55, 2: 0.5, 4: 0.45 }[group] + (filters === 2 ? 0.6 : 0)) + spills;
  const padding = ((group - 1) / 2) * (p.m / filters) * passesOf(p, choice);
  return { entries: (p.nonZeros / filters + padding) * (Math.max(compute, reading.far) + reading.translation + 0.4), row: 0.8 * filters * vectors + 9 };
}

/** Estimated cycles. */
export function spmmCost(p: SpmmProblem, choice: SpmmChoice, target: Target): number {
  if (target.inOrder) return costAhead(p, choice, target);
  const vectors = registersOf(choice.tile, target);
  const rows = p.m / choice.filters;
  const passes = passesOf(p, choice);
  const reading = choice.packed ? packedReading(p, choice, target) : scatteredReading(p, choice, target);
  const { entries, row } = alikeFilters(p, choice) ? alikeCost(p, choice, vectors, reading, target) : pairsCost(p, vectors, reading);
  const sums = (passes - 1) * p.m * vectors * 2.3;
  const input = farPlanes(p, choice, p.channels, p.channelStride, p.taps.length === 1 && choice.tile.rows === 1 ? undefined : linesOf(p, choice.tile), 12);
  const output = farPlanes(p, choice, p.residual ? 2 * p.m : p.m, p.outStride, undefined, 10);
  return tilesOf(p.region, choice.tile).count * (entries + passes * (rows * row + reading.first) + sums + input + output);
}
