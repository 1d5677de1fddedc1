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
}
