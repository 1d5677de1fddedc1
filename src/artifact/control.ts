/**
 * The first bytes of every module's memory, by byte offset. Generated code and the thread pool agree on them. What different threads write
 * lies in different cache lines.
 */
export const control = {
  /** The pool adds 1 to start a run or a step; workers wait on it. */
  generation: 0,
  /** What a generation does: 0 the whole `run`, i + 1 `runStep(i)` alone. Written by the pool while no worker can read it. */
  step: 4,
  /** 1 once a worker's share has trapped: the module is not to be run again. Owned by the pool. */
  failed: 8,
  /** 1 asks all workers to end when they see the next generation. */
  stop: 12,
  /** Units of work that are done in this run. The pool sets it to 0 before a run; `abandoned` lets all go on that wait for more. */
  done: 64,
  /** Threads that sleep until `done` rises. Owned by generated code. */
  sleepers: 128,
  /** A record of each thread begins here. */
  records: 256,
  recordBytes: 128,
  /** Of a record, 8 bytes: which call (high half) has given away how much of this thread's share (low half). Owned by generated code. */
  queue: 0,
  /** Of a record: whose share the thread takes from, and the range that it took last. Owned by generated code. */
  victim: 64,
  begin: 68,
  end: 72,
  /** Of a record: the last generation that this worker is through with. Owned by the pool. */
  through: 76,
  /** Above any number of units. */
  abandoned: 2 ** 30,
  /** Bytes set aside, for 64 threads; weights and values start here. */
  bytes: 256 + 64 * 128,
} as const;

/** Names of what a generated module imports and exports. */
export const abi = {
  /** import: the memory, `pages` large, shared or not (see `ModuleRecord.sharedFlagOffset`). */
  memory: ["env", "memory"],
  /** `warm()`: changes nothing, but lets the engine optimize what the net will need most. For one thread to call once, before anything else. */
  warm: "warm",
  /** `prepare(index)`: makes the weight stream of prepare record `index` from the bytes at its staging offset. */
  prepare: "prepare",
  /**
   * `run(thread, threads)`: works on the current generation's inference until nothing is left to take. For thread 0 it returns when all is
   * done, so a thread that comes late, or never, costs only time.
   */
  run: "run",
  /** `runStep(step, thread, threads)`: one kernel call alone, for profiling; the caller waits for all threads. */
  runStep: "runStep",
} as const;
