import { f32Spmm, type SpmmChoice, type SpmmProblem } from "../kernels/wasm/f32-spmm.ts";
import { packedTile } from "../kernels/wasm/spmm-packing.ts";
import { alikeFilters } from "../kernels/wasm/spmm-space.ts";
import type { StreamShape } from "../kernels/weight-stream.ts";

/** The form of the weight's stream that the kernel walks, and how far its channels are apart. */
export function streamOf(p: SpmmProblem, choice: SpmmChoice): { readonly shape: StreamShape; readonly channelStride: number } {
  const { group, filters, channels: pass, tile, packed: relative } = choice;
  const whole = relative ? packedTile(p, tile) : undefined;
  const shape = { m: p.m, channels: p.channels, taps: whole?.taps ?? p.taps, group, filters, alike: alikeFilters(p, choice), pass, relative };
  return { shape, channelStride: whole?.stride ?? p.channelStride };
}

/**
 * f32-spmm with the batch innermost: rows are long, and the planes that a tile writes far apart. So tiles are of one row and whole cache lines, where the batch allows
 * it, since a line of which a part is written leaves the cache before the rest comes (measured on x64: up to 40 % slower); and no larger than registers hold.
 */
export const spmmOfLines: typeof f32Spmm = {
  ...f32Spmm,
  choices(problem, target) {
    const all = f32Spmm.choices(problem, target);
    const inLines = all.filter(({ tile: { rows, vectors } }) => rows === 1 && vectors % 4 === 0 && (!target.loadsFirst || 2 * vectors < target.vectorRegisters));
    return problem.region.w % 16 === 0 && inLines.length > 0 ? inLines : all;
  },
};
