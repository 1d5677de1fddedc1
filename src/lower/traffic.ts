import { nestSize } from "../kernels/nest.ts";
import type { Reuse } from "../kernels/reuse.ts";
import type { GemmProblem } from "../kernels/wasm/f32-gemm.ts";
import type { WindowProblem } from "../kernels/wasm/f32-window.ts";
import type { CopyProblem } from "../kernels/wasm/x32-copy.ts";
import type { FillProblem } from "../kernels/wasm/x32-fill.ts";
import type { KernelCall } from "./kernel-graph.ts";

/** Bytes that a call moves, by its plan: what it must at least read and write, how often it walks its weights, and what its innermost loops come back to. */
export interface Traffic extends Pick<Reuse, "walks" | "tile"> {
  /** Bytes of weights as the kernel reads them. */
  readonly weights: number;
  /** Bytes of activations, each element once. */
  readonly read: number;
  readonly written: number;
}

/** Bytes of a call, repetitions included. */
export function trafficOf(call: KernelCall): Traffic {
  const count = call.repeat?.count ?? 1;
  const places = call.operands.filter((place) => place !== call.scratch);
  const inputs = places.slice(0, -1).filter(({ buffer }) => buffer.region === "arena");
  const weights = places.filter(({ buffer }) => buffer.region === "resident").reduce((sum, { buffer }) => sum + buffer.bytes, 0);
  const { walks, tile } = call.template.reuse?.(call.problem, call.choice) ?? { walks: 1, tile: 0 };
  const reuse = { walks, tile };
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
