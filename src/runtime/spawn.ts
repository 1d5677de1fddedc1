import { nodeModule } from "./features.ts";

/** A worker of the engine at hand. */
export interface WorkerHandle {
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Lets the process end although the worker waits. Pages need no such thing. */
  unref(): void;
  terminate(): void;
}

export interface WorkerEvents {
  message(data: unknown): void;
  error(reason: unknown): void;
}

interface NodeWorker {
  on(event: "message" | "error" | "exit", listener: (value: unknown) => void): void;
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  unref(): void;
  terminate(): Promise<number>;
}

export type Spawn = (source: string, events: WorkerEvents) => WorkerHandle;

/** Starts a Web Worker from its source text: no address to configure, nothing for a bundler to find. Self-contained (see `createExecutor`). */
export function spawnWebWorker(source: string, events: WorkerEvents): WorkerHandle {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url, { name: "cadnn" });
  worker.onmessage = (event: MessageEvent) => {
    URL.revokeObjectURL(url);
    events.message(event.data);
  };
  worker.onerror = (event: ErrorEvent) => {
    URL.revokeObjectURL(url);
    events.error(event.message || "the worker did not load");
  };
  return {
    post(message, transfer) {
      worker.postMessage(message, (transfer || []) as Transferable[]);
    },
    unref() {},
    terminate() {
      worker.terminate();
    },
  };
}

/** The same with Node's `worker_threads`; `undefined` elsewhere. The parent's loader flags are not passed on: the source needs none. */
export function nodeSpawn(): Spawn | undefined {
  const threads = nodeModule<{ Worker: new (source: string, options: object) => NodeWorker }>("worker_threads");
  if (threads === undefined) return undefined;
  return (source, events) => {
    const worker = new threads.Worker(source, { eval: true, execArgv: [], name: "cadnn" });
    worker.on("message", events.message);
    worker.on("error", events.error);
    worker.on("exit", (code) => {
      if (code !== 0) events.error(`it ended with code ${String(code)}`);
    });
    return {
      post: (message, transfer = []) => worker.postMessage(message, transfer),
      unref: () => worker.unref(),
      terminate: () => void worker.terminate(),
    };
  };
}

/** Source text of a self-contained function's call. Bundlers that keep function names call `__name`, so there has to be one. */
export function callSource(fn: (...args: never[]) => unknown, ...args: readonly string[]): string {
  return `"use strict";const __name=(f)=>f;(${fn.toString()})(${args.join(",")})`;
}
