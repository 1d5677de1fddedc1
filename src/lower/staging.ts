import { elementCount } from "../ir/types.ts";
import type { PrepareSpec, StoredConstant } from "./kernel-graph.ts";

/** What lies in free memory while a constant is prepared: its bytes, and behind them what the work needs. Offsets in bytes from there. */
export interface Staging {
  /** For a stream: the byte offset into the input of every element of a filter. */
  readonly table: number;
  /** For a stream: the indices of the non-zeros, and `indexPadding` words behind them. */
  readonly indices: number;
  /** For a stream: the non-zeros; with sparse constants these begin the bytes as they are stored. */
  readonly values: number;
  /** Size of all. */
  readonly bytes: number;
}

/** Words behind the indices of the non-zeros that are above any index, so that who looks for the end of a row finds it there at the latest. */
export const indexPadding = 4;

export function stagingOf(constant: StoredConstant, spec: PrepareSpec): Staging {
  const stored = Math.ceil(constant.bytes.byteLength / 16) * 16;
  if (spec.kind !== "stream") return { table: 0, indices: 0, values: 0, bytes: stored };
  const { encoding } = constant;
  const indices = stored + 4 * spec.channels * spec.taps.length;
  const nonZeros = encoding.kind === "sparse" ? encoding.count : elementCount(constant.shape);
  const behind = indices + 4 * (nonZeros + indexPadding);
  return encoding.kind === "sparse" ? { table: stored, indices, values: 0, bytes: behind } : { table: stored, indices, values: behind, bytes: behind + 4 * nonZeros };
}
