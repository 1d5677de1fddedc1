import { control } from "../artifact/control.ts";
import { CadnnError, type ErrorCode } from "../errors.ts";
import { createExecutor, type Executor, type InvokeRequest, type LoadRequest, type ProfileRequest, type WarmupRequest } from "./executor.ts";
import { callSource, nodeSpawn, type Spawn, spawnWebWorker } from "./spawn.ts";
import { computeMain, startThreads } from "./thread-pool.ts";

/** An executor, on this thread or on another one. Calls take effect in the order in which they are made. */
export interface Engine {
  /** Whether calls finish before they return; then nobody can change their arguments meanwhile. */
  readonly sync: boolean;
  /** `transfer`: buffers that the caller gives away. */
  load(request: LoadRequest, transfer: readonly ArrayBuffer[]): Promise<void>;
  invoke(request: InvokeRequest): Promise<ArrayBuffer[]>;
  warmup(request: WarmupRequest): Promise<void>;
  profile(request: ProfileRequest): Promise<Float64Array>;
  dispose(): Promise<void>;
}

/** Runs on the calling thread, which is thread 0 of the pool. */
export function localEngine(): Engine {
  const spawn = nodeSpawn() ?? spawnWebWorker;
  const executor = createExecutor(control, (threads, memory, layout) => startThreads(threads, memory, layout, spawn, computeSource()));
  return {
    sync: true,
    load: (request) => executor.load(request).catch(rethrow),
    invoke: (request) => attempt(() => executor.invoke(request)),
    warmup: (request) => attempt(() => executor.warmup(request)),
    profile: (request) => attempt(() => executor.profile(request)),
    dispose: () => attempt(() => executor.dispose()),
  };
}

/** Runs in a worker of its own, for pages: inference never blocks the page, and barriers may wait. */
export function hostedEngine(): Engine {
  const pending = new Map<number, { resolve(value: unknown): void; reject(reason: CadnnError): void }>();
  let last = 0;
  let broken: CadnnError | undefined;
  const hint = "Pages need `worker-src blob:` in their content security policy; in a worker of your own, a session with threads: 1 starts none.";
  const fail = (reason: unknown): void => {
    broken = new CadnnError("E_WORKER", `the worker that runs the net failed: ${String(reason)}`, { hint, cause: reason });
    for (const call of pending.values()) call.reject(broken);
    pending.clear();
  };
  const worker = startHost({
    error: fail,
    message(data) {
      const { id, result, error } = data as { id: number; result?: unknown; error?: ErrorParts };
      const call = pending.get(id);
      pending.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(toCadnnError(error));
    },
  });
  const call = <T>(method: keyof Executor, request: unknown, transfer: readonly ArrayBuffer[] = []): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (broken !== undefined) return reject(broken);
      pending.set(++last, { resolve: resolve as (value: unknown) => void, reject });
      worker.post({ id: last, method, request }, transfer);
    });
  return {
    sync: false,
    load: (request, transfer) => call("load", request, transfer),
    invoke: (request) => call("invoke", request, buffersOf(request)),
    warmup: (request) => call("warmup", request),
    profile: (request) => call("profile", request, buffersOf(request)),
    dispose: () => call<void>("dispose", undefined).finally(() => worker.terminate()),
  };
}

function startHost(events: Parameters<Spawn>[1]): ReturnType<Spawn> {
  const source = callSource(hostMain, createExecutor.toString(), startThreads.toString(), spawnWebWorker.toString(), JSON.stringify(computeSource()), JSON.stringify(control));
  try {
    return spawnWebWorker(source, events);
  } catch (cause) {
    throw new CadnnError("E_WORKER", `this page lets no worker start: ${String(cause)}`, { hint: "Allow `worker-src blob:` in its content security policy.", cause });
  }
}

/** What the host worker runs. Self-contained (see `createExecutor`). */
function hostMain(create: typeof createExecutor, start: typeof startThreads, spawn: Spawn, source: string, layout: typeof control): void {
  const executor = create(layout, (threads, memory) => start(threads, memory, layout, spawn, source)) as unknown as Record<string, (request: unknown) => unknown>;
  const scope = globalThis as unknown as {
    onmessage: (event: { data: { id: number; method: string; request: unknown } }) => void;
    postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  };
  scope.onmessage = (event) => {
    const call = event.data;
    const method = executor[call.method] as (request: unknown) => unknown;
    new Promise((resolve) => resolve(method(call.request))).then(
      (result) => scope.postMessage({ id: call.id, result: result }, Array.isArray(result) ? (result as ArrayBuffer[]) : []),
      (error) => scope.postMessage({ id: call.id, error: { code: error.code, message: error.message, hint: error.hint } }, []),
    );
  };
}

interface ErrorParts {
  readonly code?: string;
  readonly message: string;
  readonly hint?: string;
}

function computeSource(): string {
  return callSource(computeMain, JSON.stringify(control));
}

/** The inputs were copied for this call alone, so they may go. */
function buffersOf(request: InvokeRequest | ProfileRequest): ArrayBuffer[] {
  return request.writes.map((write) => write.data.buffer as ArrayBuffer);
}

async function attempt<T>(job: () => T): Promise<T> {
  try {
    return job();
  } catch (error) {
    throw toCadnnError(error as ErrorParts);
  }
}

function rethrow(error: unknown): never {
  throw toCadnnError(error as ErrorParts);
}

function toCadnnError(error: ErrorParts): CadnnError {
  const code = typeof error.code === "string" && error.code.startsWith("E_") ? (error.code as ErrorCode) : "E_INTERNAL";
  return new CadnnError(code, error.message, { hint: error.hint ?? "This is a bug in cadnn. Please report it.", cause: error });
}
