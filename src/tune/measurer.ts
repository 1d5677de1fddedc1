import type { Candidate } from "./candidates.ts";

/** Tells how long candidates take, by running or by counting. */
export interface Measurer {
  /** What the times hold for: engine, architecture, processor. Part of a record's key. */
  readonly engine: string;
  /** Whether a measurement gives the same numbers each time, so that one will do. */
  readonly exact?: boolean;
  /**
   * Nanoseconds of one call on one thread for each candidate, infinite for one that fails. Times of one measurement are comparable; `rounds` says how
   * often each is measured.
   */
  measure(candidates: readonly Candidate[], rounds: number): Promise<readonly number[]>;
  /**
   * Milliseconds of each kernel call of a net that is compiled in several ways, which take turns: the least ones, on one thread and on two, in the geometric mean. Undefined if it was stopped.
   * Missing where nets cannot be run, or where clocks do not tell single calls.
   */
  readonly profile?:
    | ((files: readonly Uint8Array[], stopped: () => boolean, onProgress?: (done: number, total: number) => void) => Promise<readonly (readonly number[])[] | undefined>)
    | undefined;
}
