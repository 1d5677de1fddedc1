import { abi } from "../artifact/control.ts";
import { i32Params, ModuleBuilder } from "../codegen/wasm/module.ts";
import { emitPrepare } from "../generate/prepare.ts";
import { emitKernel } from "../kernels/emit.ts";
import { planMemory } from "../lower/plan-memory.ts";
import type { Candidate } from "./candidates.ts";
import { engineFingerprint } from "./engine.ts";
import type { Measurer } from "./measurer.ts";

export interface WasmMeasurerOptions {
  /** In place of the fingerprint of the engine that runs this code. */
  readonly engine?: string;
  /** Milliseconds of running on end before the first measurement, in which the engine is to put its best code in place. Default 12. */
  readonly warmupMs?: number;
}

interface Loaded {
  /** One call of the kernel. */
  readonly run: () => void;
  /** Calls in a slice of time that the clock resolves well. */
  readonly calls: number;
}

/**
 * Runs candidates on the engine that runs this code, in Node, in a page or in a worker: each in a module of its own, with the net's weights and random
 * activations. In each round all candidates take turns, first a call that brings their data back into the caches, then a short slice of calls; the least time
 * of a candidate's slices counts. So rounds lie far apart, and a disturbance spoils one of many.
 */
export function createWasmMeasurer({ engine = engineFingerprint(), warmupMs = 12 }: WasmMeasurerOptions = {}): Measurer {
  const loaded = new WeakMap<Candidate, Loaded | undefined>();
  const sliceMs = Math.max(0.25, 20 * clockResolution());
  return {
    engine,
    async measure(candidates, rounds) {
      for (const candidate of candidates) if (!loaded.has(candidate)) loaded.set(candidate, await load(candidate, warmupMs, sliceMs));
      const least = candidates.map(() => Number.POSITIVE_INFINITY);
      for (let round = 0; round < rounds; round++) {
        candidates.forEach((candidate, i) => {
          const kernel = loaded.get(candidate);
          if (kernel === undefined) return;
          kernel.run();
          least[i] = Math.min(least[i] as number, slice(kernel.run, kernel.calls));
        });
        await pause();
      }
      return least.map((ms) => ms * 1e6);
    },
  };
}

/** Milliseconds a call. */
function slice(run: () => void, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) run();
  return (performance.now() - start) / calls;
}

async function load(candidate: Candidate, warmupMs: number, sliceMs: number): Promise<Loaded | undefined> {
  const run = await instantiate(candidate);
  try {
    run();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return undefined; // random numbers are no indices
    throw error;
  }
  const calls = (ms: number) => Math.max(1, Math.round(sliceMs / Math.max(1e-4, ms)));
  let best = slice(run, 1);
  // Better code comes while the first one runs: go on until the times have stopped falling.
  for (let quiet = 0, spent = 0; spent < warmupMs || (quiet < 3 && spent < 20 * warmupMs); ) {
    const count = calls(best);
    const ms = slice(run, count);
    spent += ms * count;
    quiet = ms < 0.95 * best ? 0 : quiet + 1;
    best = Math.min(best, ms);
    if (quiet === 0 || spent < warmupMs) await pause();
  }
  return { run, calls: calls(best) };
}

/** Lets the engine's compiler threads and the page have their turn. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** A module of one kernel, and its operands in a memory of their own. */
async function instantiate({ target, call, prepare }: Candidate): Promise<() => void> {
  const { template, problem, choice, operands } = call;
  const residents = [...new Set(prepare.map((p) => p.to))];
  const memory = planMemory([call], [], [], prepare, residents);
  const builder = new ModuleBuilder();
  builder.export("kernel", emitKernel(builder, target, template, problem, choice));
  prepare.forEach(({ constant, spec }, i) => {
    builder.export(
      `prepare${i}`,
      builder.function(i32Params(2), (fn) => emitPrepare(fn, constant, spec, fn.param(0), fn.param(1))),
    );
  });
  const pages = Math.ceil(memory.bytes / 65536);
  const { bytes, sharedFlagOffset } = builder.finish({ import: abi.memory, pages });
  const code = Uint8Array.from(bytes);
  code[sharedFlagOffset] = 1;
  const wasm = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { instance } = await WebAssembly.instantiate(code, { [abi.memory[0]]: { [abi.memory[1]]: wasm } });
  const exports = instance.exports as Readonly<Record<string, (...args: number[]) => void>>;
  prepare.forEach(({ constant, to }, i) => {
    new Uint8Array(wasm.buffer).set(constant.bytes, memory.staging);
    exports[`prepare${i}`]?.(memory.staging, memory.addresses.get(to) as number);
  });
  fillRandom(new Float32Array(wasm.buffer, memory.staging, Math.floor((wasm.buffer.byteLength - memory.staging) / 4)));
  const addresses = operands.map(({ buffer, offset }) => (memory.addresses.get(buffer) as number) + 4 * offset);
  const args = [...addresses, 0, template.items(problem, choice)];
  const kernel = exports.kernel as (...args: number[]) => void;
  return () => kernel(...args);
}

/** Numbers in −0.5…0.5 that look random, with a period. */
function fillRandom(floats: Float32Array): void {
  const period = Math.min(floats.length, 12289);
  for (let i = 0; i < period; i++) floats[i] = ((Math.imul(i, 0x9e3779b1) >> 8) & 0xffff) / 65536 - 0.5;
  for (let filled = period; filled < floats.length; filled *= 2) floats.copyWithin(filled, 0, Math.min(filled, floats.length - filled));
}

/** Milliseconds between two readings of the clock that differ: pages see a coarse one. */
function clockResolution(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    let now = start;
    while (now === start) now = performance.now();
    least = Math.min(least, now - start);
  }
  return least;
}
