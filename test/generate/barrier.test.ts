import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { control } from "../../src/artifact/control.ts";
import { ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { emitBarrier } from "../../src/generate/barrier.ts";

const builder = new ModuleBuilder();
builder.export("barrier", emitBarrier(builder));
const { bytes, sharedFlagOffset } = builder.finish({ import: ["env", "memory"], pages: 1 });
bytes[sharedFlagOffset] = 3;

const source = `
  const { module, memory, threads } = require("node:worker_threads").workerData;
  const { barrier } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  const words = new Int32Array(memory.buffer);
  barrier(threads);
  Atomics.add(words, 256, 1);`;

// The engine's first, unoptimized code of the barrier is what sleeps here: it must keep the phase, which is not 0, while it does.
test("nobody passes before all have come, however long they sleep", async () => {
  const module = new WebAssembly.Module(bytes);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const words = new Int32Array(memory.buffer);
  words[control.barrierPhase >> 2] = 7;
  const start = () => new Worker(source, { eval: true, execArgv: [], workerData: { module, memory, threads: 3 } });
  const ended = (worker: Worker) => new Promise((resolve) => worker.on("exit", resolve));
  const early = [start(), start()];
  while (Atomics.load(words, control.barrierCount >> 2) < 2) await new Promise((r) => setTimeout(r, 5));
  await new Promise((r) => setTimeout(r, 150));
  expect(Atomics.load(words, 256)).toBe(0);
  await Promise.all([...early, start()].map(ended));
  expect([Atomics.load(words, 256), words[control.barrierPhase >> 2], words[control.barrierCount >> 2]]).toEqual([3, 8, 0]);
});
