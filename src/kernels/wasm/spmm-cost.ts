import { foldsOffset, type Target } from "../../codegen/target.ts";
import { registersOf, tilesOf } from "../region.ts";
import { farCycles, inputBytes, lineBytes, type Reuse } from "../reuse.ts";
import type { SpmmChoice, SpmmProblem } from "./f32-spmm.ts";
import { type PackedTile, packedSize, packedTile } from "./spmm-packing.ts";
import { alikeFilters, linesOf, passesOf } from "./spmm-space.ts";

/** An entry reads a tile of one channel and tap; a pass of channels comes back for each row. */
export function spmmReuse(p: SpmmProblem, choice: SpmmChoice): Reuse {
  const { tile, filters, channels, packed } = choice;
  const walks = tilesOf(p.region, tile).count;
  const input = packed ? 4 * packedSize(p, choice) : inputBytes(Math.min(channels, p.channels), p.channelStride, p.region, tile, p.taps);
  const entry = packed ? tile.rows * tile.vectors * 16 : inputBytes(1, p.channelStride, p.region, tile, [0]);
  return { walks, tile: input, scattered: (walks * entry * p.nonZeros) / (alikeFilters(p, choice) ? filters : 1) / lineBytes };
}

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
 * four instructions.
 */
function costAhead(p: SpmmProblem, choice: SpmmChoice, target: Target): number {
  const { tile, group, filters, ahead } = choice;
  const vectors = tile.rows * tile.vectors;
  const rows = p.m / filters;
  const passes = passesOf(p, choice);
  const entries = p.nonZeros / filters + ((group - 1) / 2) * rows * passes;
  const live = filters * vectors + ahead + 2 + (group === 2 ? 1 : filters) + (target.fma ? filters : 3 * filters);
  const spills = Math.max(0, live - target.vectorRegisters + 1) * 1.2;
  const rowStarts = tile.rows > 1 && !foldsOffset(target, 4 * p.region.inPitch + 256) ? 0.6 * (tile.rows - 1) : 0;
  const waits = ([0.27, 0.1, 0.015, 0][ahead] ?? 0.01) as number;
  const perVector = (filters === 1 ? 0.573 : 0.98) + (target.fma ? 0 : 0.42 * filters) + waits;
  const perEntry = 3.5 + (group === 2 ? 0.8 : group === 1 ? 3 : 0) + vectors * perVector + spills + rowStarts;
  const perRow = 5 + filters * vectors * (2.7 + (p.residual ? 0.6 : 0));
  const perTile = entries * perEntry + rows * (perRow + (passes - 1) * (5 + 3 * filters * vectors));
  return tilesOf(p.region, tile).count * perTile + farCycles(spmmReuse(p, choice), target);
}

/** Filters with non-zeros at different places, two a row. */
function costOfPairs(p: SpmmProblem, choice: SpmmChoice, target: Target): number {
  const vectors = registersOf(choice.tile, target);
  const rows = p.m / 2;
  const passes = passesOf(p, choice);
  const reading = choice.packed ? packedReading(p, choice, target) : scatteredReading(p, choice, target);
  // As of zeros at random places.
  const shared = (p.nonZeros / 2) * (p.nonZeros / (p.m * p.channels * p.taps.length));
  const own = p.nonZeros / 2 - shared;
  const compute = vectors + 0.5;
  const entries = shared * (Math.max(compute, reading.far) + reading.translation + 0.4) + own * (Math.max(compute, 2 * reading.far) + 2 * reading.translation + 0.5);
  return tilesOf(p.region, choice.tile).count * (entries + passes * (rows * (2.2 * vectors + 28) + reading.first) + (passes - 1) * rows * vectors * 3);
}

/** Estimated cycles. */
export function spmmCost(p: SpmmProblem, choice: SpmmChoice, target: Target): number {
  if (target.inOrder) return costAhead(p, choice, target);
  if (!alikeFilters(p, choice)) return costOfPairs(p, choice, target);
  const { tile, group, filters } = choice;
  const vectors = registersOf(tile, target);
  const rows = p.m / filters;
  const passes = passesOf(p, choice);
  const entries = p.nonZeros / filters;
  // Entry by entry the multiplications of one accumulator wait for each other; with all in the first-level cache, measured on x64.
  const live = target.loadsFirst
    ? filters * vectors + vectors * (group === 4 ? 2 : group === 2 ? 1.5 : 1) + filters
    : filters * (vectors + (group === 4 ? 2 : 1)) + (group === 2 ? 2 : 1);
  const spills = Math.max(0, live - target.vectorRegisters + (target.loadsFirst ? 1 : 0)) * (target.loadsFirst ? 1.9 : 0.6);
  const compute = Math.max(3.6, vectors * filters * (target.fma ? 0.52 : 0.56) + { 1: 0.4, 2: 0.3, 4: 0.1 }[group] + (filters === 2 ? 0.6 : 0)) + spills;
  const reading = choice.packed ? packedReading(p, choice, target) : scatteredReading(p, choice, target);
  const padding = ((group - 1) / 2) * rows * passes;
  const sums = passes === 1 ? 0 : (passes - 1) * rows * filters * vectors * 1.6;
  const perTile = (entries + padding) * (Math.max(compute, reading.far) + reading.translation + 0.4) + passes * (rows * (filters * vectors * 1.2 + 18) + reading.first) + sums;
  return tilesOf(p.region, tile).count * perTile;
}
