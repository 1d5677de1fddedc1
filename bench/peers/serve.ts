import type { Contender, Input, MakeContender } from "./contender.ts";
import type { Answer, Request } from "./protocol.ts";

/** What differs between Node and a browser's worker. */
export interface Host {
  readonly makers: Readonly<Record<string, () => Promise<MakeContender>>>;
  read(url: string): Promise<Uint8Array<ArrayBuffer>>;
  memoryBytes?(): number;
}

/** NCHW to NHWC. */
export function channelsLast({ shape, data }: Input): Input {
  const [n = 1, c = 1, h = 1, w = 1] = shape;
  const pixels = h * w;
  const out = new Float32Array(data.length);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++) for (let p = 0; p < pixels; p++) out[(image * pixels + p) * c + channel] = data[(image * c + channel) * pixels + p] as number;
  return { shape: [n, h, w, c], data: out };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const windowMs = 400;
const longestWarmup = 8;

/**
 * Runs for at least `ms`, and on until it has stopped getting faster, at most so many times as long: engines optimize hot code in the background, one
 * function after another. Ends with a pause, in which what is left of that may finish.
 */
async function warmUp(run: () => Promise<number>, ms: number): Promise<void> {
  const start = performance.now();
  const passed = (): number => performance.now() - start;
  const window = async (): Promise<number> => {
    const end = performance.now() + windowMs;
    let least = await run();
    while (performance.now() < end) least = Math.min(least, await run());
    return least;
  };
  let before = await window();
  for (let calm = 0; (passed() < ms || calm < 2) && passed() < longestWarmup * ms; ) {
    const now = await window();
    calm = now > 0.97 * before ? calm + 1 : 0;
    before = Math.min(before, now);
  }
  await pause(windowMs / 2);
}

/** Loads one contender and runs it as asked. The same in every host. */
export function makeServer(host: Host): (request: Request) => Promise<Answer> {
  let contender: Contender | undefined;
  let input: Input = { shape: [], data: new Float32Array() };

  async function timedRun(): Promise<{ readonly ms: number; readonly output: Float32Array }> {
    const start = performance.now();
    const output = await (contender as Contender).run(input);
    return { ms: performance.now() - start, output };
  }

  async function answer(request: Request): Promise<Answer> {
    if (request.kind === "turn") {
      // Others' turns have put threads and caches to sleep, and the system takes a while to spread threads that wake up over processors.
      const start = performance.now();
      do await timedRun();
      while (performance.now() - start < request.wakeMs);
      const times: number[] = [];
      for (let i = 0; i < request.runs; i++) times.push((await timedRun()).ms);
      return { kind: "times", times };
    }
    const make = await host.makers[request.module]?.();
    if (make === undefined) throw new Error(`there is no contender ${request.module}`);
    const given = { shape: request.shape, data: new Float32Array((await host.read(request.input)).buffer) };
    input = request.layout === "nhwc" ? channelsLast(given) : given;
    const model = { url: request.model, bytes: await host.read(request.model) };
    for (const url of request.cached) await host.read(url);
    await pause(request.settleMs);
    contender = make(request);
    const start = performance.now();
    await contender.load(model);
    const loadMs = performance.now() - start;
    const first = await timedRun();
    const output = Array.from(first.output);
    const memoryBytes = host.memoryBytes?.();
    if (request.warmupMs >= 0) {
      await contender.warmup?.();
      await warmUp(async () => (await timedRun()).ms, request.warmupMs);
    }
    return { kind: "loaded", loadMs, firstMs: first.ms, output, memoryBytes };
  }

  return (request) => answer(request).catch((error: unknown): Answer => ({ kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
}
