import { elementCount } from "../src/ir/types.ts";
import { createSession } from "../src/node/session.ts";

/** Milliseconds of one inference of each compiled net on one thread, the least of all rounds: the nets take turns, each for a slice of about 15 ms. */
export async function latencies(artifacts: readonly Uint8Array[], rounds = 60, sliceMs = 15): Promise<number[]> {
  const runs: (() => Promise<unknown>)[] = [];
  const sessions = [];
  for (const artifact of artifacts) {
    const session = await createSession(artifact, { threads: 1 });
    sessions.push(session);
    const feeds = Object.fromEntries(session.inputs.map(({ name, shape }) => [name, { shape, data: randomImage(elementCount(shape)) }]));
    runs.push(() => session.run(feeds));
    for (let i = 0; i < 30; i++) await session.run(feeds);
  }
  const least = runs.map(() => Number.POSITIVE_INFINITY);
  const calls = runs.map(() => 1);
  for (let round = 0; round < rounds; round++)
    for (const [i, run] of runs.entries()) {
      const count = calls[i] as number;
      const start = performance.now();
      for (let n = 0; n < count; n++) await run();
      const ms = (performance.now() - start) / count;
      least[i] = Math.min(least[i] as number, ms);
      calls[i] = Math.max(1, Math.round(sliceMs / ms));
    }
  for (const session of sessions) await session.dispose();
  return least;
}

/** Numbers in −2…2 that look random. */
function randomImage(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => ((Math.imul(i + 1, 0x9e3779b1) >>> 8) & 0xffff) / 16384 - 2);
}
