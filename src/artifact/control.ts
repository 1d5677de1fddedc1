/**
 * The first bytes of every module's memory, by byte offset. Generated code and the thread pool agree on them.
 * Every counter has a cache line of its own.
 */
export const control = {
  /** The pool adds 1 to start a run; workers wait on it. */
  generation: 0,
  /** What a generation does: 0 the whole `run`, i + 1 `runStep(i)` alone. Written by the pool before it adds to `generation`. */
  step: 4,
  /** Workers that have ended the current `runStep`. Owned by the pool. */
  stepDone: 8,
  /** 1 once a worker's share has trapped: the module is not to be run again. Owned by the pool. */
  failed: 12,
  /** 1 asks all workers to end when they see the next generation. */
  stop: 64,
  /** Threads that have arrived at the current barrier; the last one sets it to 0, then raises the phase and wakes the others. Owned by generated code. */
  barrierCount: 128,
  /** Rises by 1 with each barrier passed. Owned by generated code. */
  barrierPhase: 192,
  /** Bytes set aside; weights and values start here. */
  bytes: 256,
} as const;

/** Names of what a generated module imports and exports. */
export const abi = {
  /** import: the memory, `pages` large, shared or not (see `ModuleRecord.sharedFlagOffset`). */
  memory: ["env", "memory"],
  /** `prepare(index)`: makes the weight stream of prepare record `index` from the bytes at its staging offset. */
  prepare: "prepare",
  /** `run(thread, threads)`: this thread's share of one inference; returns when all threads are done. */
  run: "run",
  /** `runStep(step, thread, threads)`: one kernel call alone, for profiling; the caller puts a barrier between steps. */
  runStep: "runStep",
} as const;
