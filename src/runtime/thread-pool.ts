import type { control } from "../artifact/control.ts";
import type { Spawn } from "./spawn.ts";

/** The threads 1 … threads − 1 of one module; the caller is thread 0. Barriers within a run are in the generated code. */
export interface Pool {
  /** Instantiates the module in every worker. Rejects with E_WORKER. */
  start(module: WebAssembly.Module): Promise<void>;
  /** Starts the workers' share of a run (0) or of step − 1 alone. The caller then does its own. */
  wake(step: number): void;
  /** After `wake(step)` with step > 0: returns when all workers are done. */
  awaitStep(): void;
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

  /**
   * A share that trapped leaves the others waiting at a barrier for ever, where nobody can reach them. So its worker goes on arriving
   * at every barrier in its place; thread 0 sees the flag when its own share ends, and ends the workers.
   */
  function standIn(words: Int32Array, threads: number): void {
    const phase = layout.barrierPhase >> 2;
    for (;;) {
      const current = Atomics.load(words, phase);
      if (Atomics.add(words, layout.barrierCount >> 2, 1) === threads - 1) {
        Atomics.store(words, layout.barrierCount >> 2, 0);
        Atomics.add(words, phase, 1);
        Atomics.notify(words, phase);
      } else while (Atomics.load(words, phase) === current) Atomics.wait(words, phase, current, nap);
    }
  }

  port.onmessage = (event) => {
    const init = event.data;
    const words = new Int32Array(init.memory.buffer);
    const generation = layout.generation >> 2;
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
            Atomics.store(words, layout.failed >> 2, 1);
            if (step === 0) standIn(words, init.threads);
          }
          if (step !== 0) {
            Atomics.add(words, layout.stepDone >> 2, 1);
            Atomics.notify(words, layout.stepDone >> 2);
          }
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
      Atomics.store(words, layout.stepDone >> 2, 0);
      Atomics.add(words, layout.generation >> 2, 1);
      Atomics.notify(words, layout.generation >> 2);
    },
    awaitStep() {
      const done = layout.stepDone >> 2;
      for (let i = 0; i < 100000 && Atomics.load(words, done) < threads - 1; i++);
      for (let n = Atomics.load(words, done); n < threads - 1; n = Atomics.load(words, done)) Atomics.wait(words, done, n, 100);
    },
    failed: () => Atomics.load(words, layout.failed >> 2) !== 0,
    stop() {
      Atomics.store(words, layout.stop >> 2, 1);
      Atomics.add(words, layout.generation >> 2, 1);
      Atomics.notify(words, layout.generation >> 2);
      for (const worker of workers) worker.terminate();
    },
  };
}
