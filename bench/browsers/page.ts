import { createSession } from "../../src/runtime/index.ts";
import { answer } from "./answer.ts";

/** One net on one number of threads. */
export interface Job {
  /** Address of a `.cadnn` file with one input. */
  readonly artifact: string;
  /** Address of the input, raw float32. */
  readonly input: string;
  readonly threads: number;
  /** Timed inferences; 0 to compute the output only. */
  readonly runs: number;
}

export interface Outcome {
  readonly target: string;
  readonly threads: number;
  readonly notes: readonly string[];
  /** From bytes in memory to a session. */
  readonly loadMs: number;
  readonly firstMs: number;
  readonly times: readonly number[];
  /** The first output. */
  readonly output: readonly number[];
}

const fetchBytes = async (address: string): Promise<ArrayBuffer> => (await fetch(address)).arrayBuffer();

async function perform({ artifact, input, threads, runs }: Job): Promise<Outcome> {
  const [file, pixels] = await Promise.all([fetchBytes(artifact), fetchBytes(input)]);
  const start = performance.now();
  const session = await createSession(file, { threads });
  const loaded = performance.now();
  const name = session.inputs[0]?.name as string;
  const feeds = { [name]: new Float32Array(pixels) };
  const first = await session.run(feeds);
  const firstMs = performance.now() - loaded;
  const [output] = Object.values(first).map((result) => Array.from(result.data as Float32Array));
  if (runs > 0) await session.warmup();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const before = performance.now();
    await session.run(feeds);
    times.push(performance.now() - before);
  }
  const { target, notes } = session;
  await session.dispose();
  return { target, threads: session.threads, notes, loadMs: loaded - start, firstMs, times, output: output ?? [] };
}

await answer(perform);
