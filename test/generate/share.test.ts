import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { control } from "../../src/artifact/control.ts";
import { ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { emitAwait, emitReport, emitTake } from "../../src/generate/share.ts";

const builder = new ModuleBuilder();
builder.export("take", emitTake(builder));
builder.export("report", emitReport(builder));
builder.export("await", emitAwait(builder));
const { bytes, sharedFlagOffset } = builder.finish({ import: ["env", "memory"], pages: 1 });
bytes[sharedFlagOffset] = 3;
const module = new WebAssembly.Module(bytes);
const sharedMemory = () => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });

describe("take", () => {
  /** Threads that go through all calls, one take a turn, in the order in which `turns` gives them a turn; the ranges that they took. */
  function play(units: readonly number[], threads: number, firstCall: number, turns: readonly number[]) {
    const memory = sharedMemory();
    const words = new Int32Array(memory.buffer);
    const { take } = new WebAssembly.Instance(module, { env: { memory } }).exports as { take(...args: number[]): void };
    const word = (thread: number, field: number) => (control.records + thread * control.recordBytes + field) >> 2;
    for (let thread = 0; thread < threads; thread++) words[word(thread, control.queue + 4)] = firstCall - 1;
    const taken = units.map(() => [] as { thread: number; begin: number; end: number }[]);
    const at = new Array<number>(threads).fill(-1);
    const turn = (thread: number) => {
      if (at[thread] === units.length) return;
      if (at[thread] === -1) words[word(thread, control.victim)] = thread;
      if (at[thread] === -1) at[thread] = 0;
      const call = at[thread] as number;
      take(thread, threads, firstCall + call, units[call] as number);
      const [begin, end] = [words[word(thread, control.begin)] as number, words[word(thread, control.end)] as number];
      if (begin < end) return void taken[call]?.push({ thread, begin, end });
      at[thread] = call + 1;
      words[word(thread, control.victim)] = thread;
    };
    for (const thread of turns) turn(thread % threads);
    for (let thread = 0; thread < threads; thread++) while ((at[thread] as number) < units.length) turn(thread);
    return taken;
  }

  test("gives every unit to exactly one thread, whoever comes when, over the wrap of call numbers too", () => {
    const firstCall = fc.constantFrom(1, 2 ** 31 - 2, -3);
    const cases = fc.tuple(fc.array(fc.integer({ min: 0, max: 70 }), { minLength: 1, maxLength: 6 }), fc.integer({ min: 2, max: 9 }), firstCall, fc.array(fc.nat({ max: 8 })));
    fc.assert(
      fc.property(cases, ([units, threads, call, turns]) => {
        play(units, threads, call, turns).forEach((ranges, i) => {
          ranges.sort((a, b) => a.begin - b.begin);
          expect(ranges.map((r) => r.begin)).toEqual([0, ...ranges.slice(0, -1).map((r) => r.end)].slice(0, ranges.length));
          expect(ranges.at(-1)?.end ?? 0).toBe(units[i]);
        });
      }),
      { numRuns: 300 },
    );
  });

  test("threads of equal speed do their own shares, in few pieces; the others' pieces go to whoever is left", () => {
    const pieces = (first: number) => [
      [first, first + 16],
      [first + 16, first + 24],
      [first + 24, first + 28],
      [first + 28, first + 30],
      [first + 30, first + 32],
    ];
    const even = play([64], 2, 1, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1])[0];
    for (const thread of [0, 1]) expect(even?.filter((r) => r.thread === thread).map((r) => [r.begin, r.end])).toEqual(pieces(32 * thread));
    const slow = play([64], 2, 1, [1, ...new Array(10).fill(0)])[0];
    const [first, ...others] = pieces(32);
    expect(slow?.map((r) => [r.thread, r.begin, r.end])).toEqual([[1, ...(first as number[])], ...[...pieces(0), ...others].map((piece) => [0, ...piece])]);
  });
});

describe("await", () => {
  const source = `
    const { module, memory, made } = require("node:worker_threads").workerData;
    const code = new WebAssembly.Instance(module, { env: { memory } }).exports;
    const words = new Int32Array(memory.buffer);
    Atomics.add(words, 5001, 1);
    code.report(made, 13);
    code.await(7, 13);
    Atomics.add(words, 5000, 1);`;
  const words = (memory: WebAssembly.Memory) => new Int32Array(memory.buffer);
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  async function started(memory: WebAssembly.Memory, made: number): Promise<{ readonly ended: Promise<unknown> }> {
    const before = Atomics.load(words(memory), 5001);
    const worker = new Worker(source, { eval: true, execArgv: [], workerData: { module, memory, made } });
    while (Atomics.load(words(memory), 5001) === before) await pause(2);
    return { ended: new Promise((resolve) => worker.on("exit", resolve)) };
  }

  function fresh(): WebAssembly.Memory {
    const memory = sharedMemory();
    words(memory)[control.generation >> 2] = 7;
    return memory;
  }

  // The engine's first, unoptimized code sleeps here, over several naps.
  test("nobody goes on before all is done, however long it takes", async () => {
    const memory = fresh();
    const early = [await started(memory, 4), await started(memory, 0)];
    await pause(150);
    expect([5000, control.done >> 2, control.sleepers >> 2].map((i) => Atomics.load(words(memory), i))).toEqual([0, 4, 2]);
    const late = await started(memory, 9);
    await Promise.all([...early, late].map((worker) => worker.ended));
    expect([5000, control.done >> 2, control.sleepers >> 2].map((i) => Atomics.load(words(memory), i))).toEqual([3, 13, 0]);
  });

  test("a new generation, or a run given up, lets all go on", async () => {
    for (const leave of [(w: Int32Array) => Atomics.add(w, control.generation >> 2, 1), (w: Int32Array) => Atomics.store(w, control.done >> 2, control.abandoned)]) {
      const memory = fresh();
      const worker = await started(memory, 1);
      await pause(60);
      expect(Atomics.load(words(memory), 5000)).toBe(0);
      leave(words(memory));
      await worker.ended;
      expect(Atomics.load(words(memory), 5000)).toBe(1);
    }
  });
});
