import type { Contender, Input } from "./contender.ts";
import { contenders } from "./contenders/index.ts";

/** What the parent asks for; each request has one answer. */
export type Request =
  | { readonly kind: "load"; readonly contender: string; readonly threads: number; readonly onnx: Uint8Array; readonly input: Input; readonly warmupMs: number }
  | { readonly kind: "turn"; readonly runs: number };

export type Answer =
  | { readonly kind: "loaded"; readonly loadMs: number; readonly firstMs: number; readonly output: Float32Array }
  | { readonly kind: "times"; readonly times: readonly number[] }
  | { readonly kind: "failed"; readonly message: string };

/** Answers requests until the parent goes away. */
export function serve(): void {
  let contender: Contender | undefined;
  let input: Input = { shape: [], data: new Float32Array() };

  async function timedRun(): Promise<{ readonly ms: number; readonly output: Float32Array }> {
    const start = performance.now();
    const output = await (contender as Contender).run(input);
    return { ms: performance.now() - start, output };
  }

  async function answer(request: Request): Promise<Answer> {
    if (request.kind === "turn") {
      await timedRun(); // wakes threads and caches, which the turns of others have put to sleep
      const times: number[] = [];
      for (let i = 0; i < request.runs; i++) times.push((await timedRun()).ms);
      return { kind: "times", times };
    }
    const make = await contenders[request.contender]?.();
    if (make === undefined) throw new Error(`there is no contender ${request.contender}`);
    contender = make(request.threads);
    input = request.input;
    const start = performance.now();
    await contender.load(request.onnx);
    const loadMs = performance.now() - start;
    const first = await timedRun();
    await contender.warmup?.();
    const end = performance.now() + request.warmupMs;
    do await timedRun();
    while (performance.now() < end);
    return { kind: "loaded", loadMs, firstMs: first.ms, output: first.output.slice() };
  }

  process.on("message", (request: Request) => {
    answer(request)
      .catch((error: unknown): Answer => ({ kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) }))
      .then((reply) => process.send?.(reply));
  });
  process.on("disconnect", () => process.exit(0));
}

if (process.send !== undefined) serve();
