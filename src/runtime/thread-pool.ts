import type { control } from "../artifact/control.ts";
import type { Spawn } from "./spawn.ts";

/** The threads 1 … threads − 1 of one module; the caller is thread 0. How they share a run is in the generated code. */
export interface Pool {
  /** Instantiates the module in every worker. Rejects with E_WORKER. */
  start(module: WebAssembly.Module): Promise<void>;
  /** Starts the workers' share of a run (0) or of step − 1 alone. The caller then does its own. */
  wake(step: number): void;
  /** Returns when no worker is at work. To be called before and after steps, but not needed between runs. */
  awaitWorkers(): void;
  /** Whether a worker's share has trapped. */
  failed(): boolean;
  stop(): void;
}

type Layout = typeof control;

export interface ComputeInit {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly thread: number;
  readonly threads: number;
}

/**
 * What a compute worker runs: instantiate, then wait for generations for ever. It looks for a millisecond before it sleeps, so that
 * inferences in a row find it awake and an idle session costs nothing. Self-contained (see `createExecutor`).
 */
export function computeMain(layout: Layout): void {
  interface Port {
    onmessage: ((event: { data: ComputeInit }) => void) | null;
    postMessage(message: unknown): void;
    close(): void;
  }
  const scope = globalThis as unknown as Port & { process?: { getBuiltinModule?: (name: string) => { parentPort: Port | null } } };
  const node = scope.process !== undefined && scope.process.getBuiltinModule !== undefined ? scope.process.getBuiltinModule("node:worker_threads") : undefined;
  const port = node !== undefined && node.parentPort !== null ? node.parentPort : (scope as Port);
  const patience = 1; // milliseconds
  // No sleep is endless, so that a wake-up that gets lost costs time only.
  const nap = 250;

  port.onmessage = (event) => {
    const init = event.data;
    const words = new Int32Array(init.memory.buffer);
    const generation = layout.generation >> 2;
    const through = (layout.records + init.thread * layout.recordBytes + layout.through) >> 2;
    let seen = Atomics.load(words, generation);
    WebAssembly.instantiate(init.module, { env: { memory: init.memory } }).then(
      (instance) => {
        const code = instance.exports as unknown as { run(thread: number, threads: number): void; runStep(step: number, thread: number, threads: number): void };
        port.postMessage({ ready: true });
        for (;;) {
          const until = performance.now() + patience;
          for (let i = 1; Atomics.load(words, generation) === seen; i++) if (i % 256 === 0 && performance.now() > until) break;
          while (Atomics.load(words, generation) === seen) Atomics.wait(words, generation, seen, nap);
          seen = Atomics.load(words, generation);
          if (Atomics.load(words, layout.stop >> 2) !== 0) break;
          const step = Atomics.load(words, layout.step >> 2);
          try {
            if (step === 0) code.run(init.thread, init.threads);
            else code.runStep(step - 1, init.thread, init.threads);
          } catch (_error) {
            // The others may wait for this share: they go on without it, and thread 0 sees the flag when it is through.
            Atomics.store(words, layout.failed >> 2, 1);
            Atomics.store(words, layout.done >> 2, layout.abandoned);
            Atomics.notify(words, layout.done >> 2);
          }
          Atomics.store(words, through, seen);
          Atomics.notify(words, through);
        }
        port.close();
      },
      (error: unknown) => port.postMessage({ error: String(error) }),
    );
  };
}

/** Starts the workers, which load while the module compiles. Self-contained (see `createExecutor`). */
export function startThreads(threads: number, memory: WebAssembly.Memory, layout: Layout, spawn: Spawn, source: string): Pool {
  const words = new Int32Array(memory.buffer);
  const workers: { post(message: ComputeInit): void; unref(): void; terminate(): void }[] = [];
  let waiting = threads - 1;
  let settle: { resolve(): void; reject(reason: Error): void };
  const ready = new Promise<void>((resolve, reject) => {
    settle = { resolve: resolve, reject: reject };
  });
  ready.catch(() => {}); // it may fail before anybody asks

  function fail(reason: unknown): void {
    const hint = "Pages need `worker-src blob:` in their content security policy; or create the session with threads: 1.";
    settle.reject(Object.assign(new Error(`a compute worker could not start: ${String(reason)}`), { code: "E_WORKER", hint: hint }));
  }

  const events = {
    message(data: unknown) {
      if ((data as { ready?: true }).ready !== true) return fail((data as { error?: unknown }).error);
      if (--waiting > 0) return;
      for (const worker of workers) worker.unref();
      settle.resolve();
    },
    error: fail,
  };

  try {
    for (let i = 1; i < threads; i++) workers.push(spawn(source, events));
  } catch (error) {
    fail(error);
  }

  return {
    start(module) {
      workers.forEach((worker, i) => {
        worker.post({ module: module, memory: memory, thread: i + 1, threads: threads });
      });
      return ready;
    },
    wake(step) {
      Atomics.store(words, layout.step >> 2, step);
      Atomics.store(words, layout.done >> 2, 0);
      Atomics.add(words, layout.generation >> 2, 1);
      Atomics.notify(words, layout.generation >> 2);
    },
    awaitWorkers() {
      const current = Atomics.load(words, layout.generation >> 2);
      for (let thread = 1; thread < threads; thread++) {
        const through = (layout.records + thread * layout.recordBytes + layout.through) >> 2;
        for (let i = 0; i < 100000 && Atomics.load(words, through) !== current; i++);
        for (let last = Atomics.load(words, through); last !== current; last = Atomics.load(words, through)) Atomics.wait(words, through, last, 20);
      }
    },
    failed: () => Atomics.load(words, layout.failed >> 2) !== 0,
    stop() {
      Atomics.store(words, layout.stop >> 2, 1);
      Atomics.add(words, layout.generation >> 2, 1);
      Atomics.notify(words, layout.generation >> 2);
      Atomics.notify(words, layout.done >> 2);
      for (const worker of workers) worker.terminate();
    },
  };
}
