import { nestSize } from "../kernels/nest.ts";
import { type Region, type Tile, tilesOf } from "../kernels/region.ts";
import type { GemmChoice, GemmProblem } from "../kernels/wasm/f32-gemm.ts";
import type { SpmmChoice, SpmmProblem } from "../kernels/wasm/f32-spmm.ts";
import type { WindowChoice, WindowProblem } from "../kernels/wasm/f32-window.ts";
import type { WinogradChoice, WinogradProblem } from "../kernels/wasm/f32-winograd.ts";
import { packedSize } from "../kernels/wasm/spmm-packing.ts";
import type { CopyProblem } from "../kernels/wasm/x32-copy.ts";
import type { FillProblem } from "../kernels/wasm/x32-fill.ts";
import type { KernelCall } from "./kernel-graph.ts";

/** Bytes that a call moves, by its plan: what it must at least read and write, how often it walks its weights, and what its innermost loops come back to. */
export interface Traffic {
  /** Bytes of weights as the kernel reads them, and how often it walks all of them. */
  readonly weights: number;
  readonly walks: number;
  /** Bytes of activations, each element once. */
  readonly read: number;
  readonly written: number;
  /** Bytes that stay in the first-level cache if it is large enough: the inputs of a tile, of all channels of a pass, and the weights of a block. */
  readonly tile: number;
}

const line = 64;

/** Elements of one input plane that a tile reads, in whole cache lines: rows that touch share lines. */
function tileBytes(region: Region, { rows, vectors }: Tile, taps: readonly number[]): number {
  const lines = new Set<number>();
  for (let row = 0; row < rows; row++)
    for (const tap of taps) {
      const first = 4 * (tap + row * region.inPitch);
      for (let at = Math.floor(first / line); at <= Math.floor((first + 16 * vectors - 1) / line); at++) lines.add(at);
    }
  return lines.size * line;
}

type Reuse = Pick<Traffic, "walks" | "tile">;

/** What is known of each kernel's loops; kernels that are not here read everything once and come back to nothing. */
const reuses: Readonly<Record<string, (problem: never, choice: never) => Reuse>> = {
  "f32-gemm": (p: GemmProblem, { tile, chunk, filters, split }: GemmChoice) => {
    const tiles = split === "tiles" ? chunk : 1;
    const depth = p.channels * p.taps.length;
    return { walks: Math.ceil(tilesOf(p.region, tile).count / tiles), tile: tiles * p.channels * tileBytes(p.region, tile, p.taps) + 4 * filters * depth };
  },
  "f32-spmm": (p: SpmmProblem, choice: SpmmChoice) => ({
    walks: tilesOf(p.region, choice.tile).count,
    tile: choice.packed ? 4 * packedSize(p, choice) : Math.min(choice.channels, p.channels) * tileBytes(p.region, choice.tile, p.taps),
  }),
  "f32-window": (p: WindowProblem, { tile }: WindowChoice) => {
    const rows = (Math.max(...p.taps) - Math.min(...p.taps)) / Math.max(1, p.region.inPitch) + tile.rows;
    return { walks: 1, tile: 4 * Math.ceil(rows) * Math.max(p.region.inPitch, p.region.w) };
  },
  "f32-winograd": (p: WinogradProblem, { tiles, product }: WinogradChoice) => {
    const all = Math.ceil(p.region.h / 4) * Math.ceil(p.region.w / 4);
    const width = 4 * product.tile.rows * product.tile.vectors;
    return { walks: Math.ceil(all / tiles), tile: 4 * p.channels * (width * product.chunk + product.filters) };
  },
  "f32-matvec": ({ k }: { readonly k: number }) => ({ walks: 1, tile: 4 * k }),
};

/** Bytes of a call, repetitions included. */
export function trafficOf(call: KernelCall): Traffic {
  const count = call.repeat?.count ?? 1;
  const places = call.operands.filter((place) => place !== call.scratch);
  const inputs = places.slice(0, -1).filter(({ buffer }) => buffer.region === "arena");
  const weights = places.filter(({ buffer }) => buffer.region === "resident").reduce((sum, { buffer }) => sum + buffer.bytes, 0);
  const reuse = reuses[call.template.name]?.(call.problem as never, call.choice as never) ?? { walks: 1, tile: 0 };
  const sizes = sizesOf(call.problem as AnyProblem);
  if (sizes !== undefined) return { ...reuse, weights, read: count * (sizes.read + Math.max(0, inputs.length - 1) * sizes.written), written: count * sizes.written };
  return { ...reuse, weights, read: inputs.reduce((sum, { buffer }) => sum + buffer.bytes, 0), written: places.at(-1)?.buffer.bytes ?? 0 };
}

type AnyProblem = Partial<GemmProblem & WindowProblem & CopyProblem & FillProblem>;

/**
 * Bytes of the first input and of the output: the planes of convolution and pooling (other inputs are residuals, of the output's size), and what copies, maps and
 * fills walk. Undefined for kernels that read and write whole buffers.
 */
function sizesOf(problem: AnyProblem): { readonly read: number; readonly written: number } | undefined {
  const { region, channels, channelStride, inStride, m, multiplier = 1, dims, runs, planes } = problem;
  if (region !== undefined && channels !== undefined) {
    const stride = inStride ?? channelStride ?? 0;
    const plane = stride === 0 ? region.h * Math.max(region.w, region.inPitch) : stride;
    return { read: (4 * channels * plane) / multiplier, written: 4 * (m ?? channels) * region.h * region.w };
  }
  if (dims !== undefined) return { read: 4 * nestSize(dims), written: 4 * nestSize(dims) };
  if (runs !== undefined && planes !== undefined) return { read: 0, written: 4 * planes * runs.reduce((sum, { count, length }) => sum + count * length, 0) };
  return undefined;
}
