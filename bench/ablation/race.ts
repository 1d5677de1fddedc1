import type { Feeds, Session } from "../../src/runtime/index.ts";

/** A compiled net under the name of what was left out of it. */
export interface Variant {
  readonly name: string;
  readonly artifact: () => Promise<Uint8Array>;
}

export interface RaceOptions {
  readonly threads: number;
  readonly rounds: number;
  /** Timed inferences of each turn; one that is not timed goes before them. */
  readonly runs: number;
  /** Milliseconds of inferences before the first round, so that the engine optimizes the code. */
  readonly warmupMs: number;
}

export interface Lap {
  readonly name: string;
  /** One entry an inference, in the order in which they were timed. */
  readonly times: readonly number[];
  /** The first output. */
  readonly output: Float32Array;
}

/** Runs all variants in turns, the order moving on by one each round. Runs in Node and in workers of pages. */
export async function race(
  createSession: (artifact: Uint8Array, options: { threads: number }) => Promise<Session>,
  variants: readonly Variant[],
  input: Float32Array,
  options: RaceOptions,
): Promise<Lap[]> {
  const lanes = [];
  for (const { name, artifact } of variants) {
    const session = await createSession(await artifact(), { threads: options.threads });
    const feeds: Feeds = { [session.inputs[0]?.name as string]: input };
    const end = performance.now() + options.warmupMs;
    await session.warmup();
    do await session.run(feeds);
    while (performance.now() < end);
    const results = await session.run(feeds);
    lanes.push({ name, session, feeds, times: [] as number[], output: results[session.outputs[0]?.name ?? ""]?.data as Float32Array });
  }
  for (let round = 0; round < options.rounds; round++)
    for (let i = 0; i < lanes.length; i++) {
      const { session, feeds, times } = lanes[(i + round) % lanes.length] as (typeof lanes)[number];
      await session.run(feeds);
      for (let run = 0; run < options.runs; run++) {
        const start = performance.now();
        await session.run(feeds);
        times.push(performance.now() - start);
      }
    }
  for (const { session } of lanes) await session.dispose();
  return lanes.map(({ name, times, output }) => ({ name, times, output }));
}
