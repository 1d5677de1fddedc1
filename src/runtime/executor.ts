import type { control } from "../artifact/control.ts";
import type { Pool } from "./thread-pool.ts";

/** Bytes of the module's memory. */
export interface Region {
  readonly offset: number;
  readonly bytes: number;
}

export interface Write {
  readonly offset: number;
  readonly data: ArrayBufferView;
}

export interface LoadRequest {
  /** The module, its shared flag set for `threads`. */
  readonly code: Uint8Array<ArrayBuffer>;
  readonly pages: number;
  readonly threads: number;
  /** The weights section, and for each call of `prepare` which bytes of it go where. */
  readonly weights: Uint8Array;
  readonly prepare: readonly (Region & { readonly staging: number })[];
}

export interface InvokeRequest {
  readonly writes: readonly Write[];
  /** 1 for an inference, 0 to only write and read. */
  readonly runs: number;
  readonly reads: readonly Region[];
}

export interface WarmupRequest {
  /** Zeroed before. */
  readonly inputs: readonly Region[];
  /** Given their old bytes back afterwards. */
  readonly keep: readonly Region[];
}

export interface ProfileRequest extends WarmupRequest {
  readonly writes: readonly Write[];
  readonly steps: number;
  readonly runs: number;
}

/** Owns one instantiated module, its memory and its pool. All but `load` is synchronous, so calls cannot overlap. */
export interface Executor {
  load(request: LoadRequest): Promise<void>;
  /** Copies of the regions of `reads`, after the writes and runs. */
  invoke(request: InvokeRequest): ArrayBuffer[];
  warmup(request: WarmupRequest): void;
  /** Milliseconds of each step in each run, run by run. */
  profile(request: ProfileRequest): Float64Array;
  dispose(): void;
}

/**
 * Self-contained, as its text also starts the host worker of a page: refers to nothing outside but globals, and uses no syntax that
 * bundlers replace by helper functions.
 * Throws errors with `code` and `hint` as own properties, which survive being posted.
 */
export function createExecutor(layout: typeof control, startPool: (threads: number, memory: WebAssembly.Memory, layout: typeof control) => Pool): Executor {
  type Exports = { warm(): void; prepare(index: number): void; run(thread: number, threads: number): void; runStep(step: number, thread: number, threads: number): void };
  let exports: Exports | undefined;
  let bytes = new Uint8Array(0);
  let pool: Pool | undefined;
  let threads = 1;

  function failure(code: string, message: string, hint: string, cause?: unknown): Error {
    return Object.assign(new Error(message), { code: code, hint: hint, cause: cause });
  }

  function outOfMemory(pages: number, cause: unknown): Error {
    return failure("E_OUT_OF_MEMORY", `the engine gives no ${pages / 16} MiB of memory`, "Dispose of other sessions, or use a smaller net or batch.", cause);
  }

  function live(): Exports {
    if (exports === undefined) throw failure("E_INTERNAL", "the module was stopped by an earlier failure", "Create a new session.");
    return exports;
  }

  function dispose(): void {
    if (pool !== undefined) pool.stop();
    exports = undefined;
    pool = undefined;
    bytes = new Uint8Array(0);
  }

  /** A trap, here or in a worker, leaves memory and barriers in no state to go on from. */
  function guarded(job: () => void): void {
    try {
      job();
      if (pool?.failed()) throw new Error("on a worker");
    } catch (cause) {
      dispose();
      throw failure("E_INTERNAL", `the generated code trapped: ${String(cause)}`, "This is a bug of cadnn: please report it with the net.", cause);
    }
  }

  function run(): void {
    const code = live();
    guarded(() => {
      if (pool !== undefined) pool.wake(0);
      code.run(0, threads);
    });
  }

  function load(request: LoadRequest): Promise<void> {
    threads = request.threads;
    let memory: WebAssembly.Memory;
    try {
      memory = new WebAssembly.Memory({ initial: request.pages, maximum: request.pages, shared: threads > 1 });
    } catch (cause) {
      return Promise.reject(outOfMemory(request.pages, cause));
    }
    bytes = new Uint8Array(memory.buffer);
    const workers = threads > 1 ? startPool(threads, memory, layout) : undefined;
    pool = workers;
    const compiled = WebAssembly.compile(request.code).catch((cause: unknown) => {
      throw failure("E_NO_BACKEND", `this engine does not accept the generated module: ${String(cause)}`, "Compile the net for this engine's target.", cause);
    });
    const started = compiled.then((module) => (workers === undefined ? undefined : workers.start(module)));
    const prepared = compiled
      .then((module) => WebAssembly.instantiate(module, { env: { memory: memory } }))
      .then((instance) => {
        exports = instance.exports as unknown as Exports;
        const code = exports;
        guarded(() => {
          code.warm();
          request.prepare.forEach((record, index) => {
            bytes.set(request.weights.subarray(record.offset, record.offset + record.bytes), record.staging);
            code.prepare(index);
          });
        });
      });
    return Promise.all([prepared, started]).then(
      () => {},
      (cause: unknown) => {
        dispose();
        throw cause instanceof RangeError ? outOfMemory(request.pages, cause) : cause;
      },
    );
  }

  function write(writes: readonly Write[]): void {
    for (const item of writes) bytes.set(new Uint8Array(item.data.buffer, item.data.byteOffset, item.data.byteLength), item.offset);
  }

  function read(regions: readonly Region[]): ArrayBuffer[] {
    return regions.map((region) => bytes.slice(region.offset, region.offset + region.bytes).buffer);
  }

  function zeroInputs(request: WarmupRequest): void {
    for (const input of request.inputs) bytes.fill(0, input.offset, input.offset + input.bytes);
  }

  function restoring(request: WarmupRequest, job: () => void): void {
    const kept = read(request.keep);
    job();
    write(request.keep.map((region, i) => ({ offset: region.offset, data: new Uint8Array(kept[i] as ArrayBuffer) })));
  }

  return {
    load: load,
    invoke(request) {
      live();
      write(request.writes);
      for (let i = 0; i < request.runs; i++) run();
      return read(request.reads);
    },
    /** Until the engine has replaced its baseline code: the last three runs within 10 % of the best one, and 0.25 s; 2.5 s at most. */
    warmup(request) {
      live();
      restoring(request, () => {
        const times: number[] = [];
        const start = performance.now();
        for (let end = start, stable = false; times.length < 3 || (end - start < 2500 && !(stable && end - start > 250)); ) {
          const before = performance.now();
          zeroInputs(request);
          run();
          end = performance.now();
          times.push(end - before);
          stable = times.length > 3 && Math.max.apply(null, times.slice(-3)) < 1.1 * Math.min.apply(null, times) + 0.05;
        }
      });
    },
    profile(request) {
      const code = live();
      const times = new Float64Array(request.steps * request.runs);
      restoring(request, () => {
        if (pool !== undefined) pool.awaitWorkers();
        for (let i = 0; i < times.length; i++) {
          const step = i % request.steps;
          if (step === 0) {
            zeroInputs(request);
            write(request.writes);
          }
          const before = performance.now();
          guarded(() => {
            if (pool !== undefined) pool.wake(step + 1);
            code.runStep(step, 0, threads);
            if (pool !== undefined) pool.awaitWorkers();
          });
          times[i] = performance.now() - before;
        }
      });
      return times;
    },
    dispose: dispose,
  };
}
