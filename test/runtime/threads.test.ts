import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile/index.ts";
import { createSession, detectFeatures, type Session } from "../../src/runtime/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

const features = detectFeatures();
const net = await compile(zooGraph("lenet5", { seed: 1, sparsity: 0.5 }), { targets: [`wasm-${features.arch}-plain`] });

/** Results of a run for each of some inputs, on so many threads. */
async function results(session: Session, count: number): Promise<Float32Array[]> {
  const [input] = session.inputs;
  const elements = input?.shape.reduce((a, b) => a * b, 1) as number;
  const all: Float32Array[] = [];
  for (let seed = 0; seed < count; seed++) {
    const x = Float32Array.from({ length: elements }, (_, i) => Math.sin(i * (seed + 1)));
    all.push(Object.values(await session.run({ [input?.name as string]: x }))[0]?.data as Float32Array);
  }
  return all;
}

describe.runIf(features.threads)("threads, while others keep the processors busy", () => {
  const burners: Worker[] = [];
  beforeAll(() => {
    for (let i = 0; i < 2; i++) burners.push(new Worker("for (;;);", { eval: true, execArgv: [] }));
  });
  afterAll(async () => {
    await Promise.all(burners.map((worker) => worker.terminate()));
  });

  test("sessions of any number of threads, made, used, profiled and disposed of in a row, give the same bits", { timeout: 60_000 }, async () => {
    const alone = await createSession(net, { threads: 1 });
    const expected = await results(alone, 5);
    await alone.dispose();
    for (let round = 0, end = performance.now() + 3000; performance.now() < end || round < 4; round++) {
      const session = await createSession(net, { threads: 2 + (round % 4) });
      for (let again = 0; again < 3; again++) {
        expect(await results(session, expected.length)).toEqual(expected);
        await session.profile({ runs: 1 + again });
      }
      // Disposing takes effect after the calls made before, whether they are awaited or not.
      const last = results(session, 1);
      if (round % 2 === 0) await last;
      await session.dispose();
      await last.catch(() => {});
    }
  });

  test("more threads than processors cost little", { timeout: 60_000 }, async () => {
    const times = async (threads: number) => {
      const session = await createSession(net, { threads });
      await results(session, 300);
      const measured: number[] = [];
      for (let i = 0; i < 12; i++) {
        const start = performance.now();
        await results(session, 25);
        measured.push(performance.now() - start);
      }
      await session.dispose();
      return Math.min(...measured);
    };
    const [one, many] = [await times(1), await times(8)];
    expect(many, `${one} ms on 1 thread`).toBeLessThan(20 * one + 20);
  });
});
