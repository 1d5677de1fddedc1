import { elementCount } from "../ir/types.ts";
import type { PrepareSpec, StoredConstant } from "./kernel-graph.ts";

/** What lies in free memory while a constant is prepared: its bytes, and behind them what the work needs. Offsets in bytes from there. */
export interface Staging {
  /** For a stream: the byte offset into the input of every element of a filter. */
  readonly table: number;
  /** The indices of the non-zeros, and `indexPadding` words behind them. */
  readonly indices: number;
  /** For a stream of a dense constant: its non-zeros. For a constant that is sparse or of levels and that a dense kernel reads: all its elements. */
  readonly values: number;
  /** For levels: the floats that they stand for, unless they are made where they have to be anyway. */
  readonly floats: number;
  /** Size of all. */
  readonly bytes: number;
}

/** Words behind the indices of the non-zeros that are above any index, so that who looks for the end of a row finds it there at the latest. */
export const indexPadding = 4;

export function stagingOf({ encoding, bytes, shape }: StoredConstant, spec: PrepareSpec): Staging {
  const elements = elementCount(shape);
  const isSparse = encoding.kind === "sparse";
  const stream = spec.kind === "stream";
  const table = Math.ceil(bytes.byteLength / 16) * 16;
  const indices = table + (stream ? 4 * spec.channels * spec.taps.length : 0);
  const listed = isSparse ? encoding.count + indexPadding : stream ? elements + indexPadding : 0;
  const values = indices + 4 * listed;
  const copied = spec.kind !== "expand" && (stream ? !isSparse : isSparse || encoding.levels !== undefined);
  const floats = values + (copied ? 4 * elements : 0);
  const decoded = encoding.levels === undefined || (!isSparse && !stream) ? 0 : isSparse ? encoding.count : elements;
  // Who merges the lists of two filters reads a value behind the last one, and drops it.
  return { table, indices, values, floats, bytes: floats + 4 * decoded + (stream ? 4 : 0) };
}
