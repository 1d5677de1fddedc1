import { abi, control } from "../artifact/control.ts";
import { i32Params, ModuleBuilder } from "../codegen/wasm/module.ts";
import { emitPrepare, prepareFunctions } from "../generate/prepare.ts";
import { emitKernel } from "../kernels/emit.ts";
import type { Buffer, PrepareTask } from "../lower/kernel-graph.ts";
import { roundUp } from "../lower/layout.ts";
import { stagingOf } from "../lower/staging.ts";
import type { Candidate } from "./candidates.ts";

const alignment = 64;
/** Kernels may read this much before and behind a buffer. */
const slack = 256;

/** Candidates as one module that imports its memory. */
export interface LinkedCandidates {
  readonly module: Uint8Array<ArrayBuffer>;
  /** Size of the memory in pages of 64 KiB. */
  readonly pages: number;
  /** In the order of the candidates: an export, and the addresses that come before `begin` and `end`. */
  readonly kernels: readonly { readonly name: string; readonly addresses: readonly number[]; readonly items: number }[];
  /** A memory with random activations and the weights as the kernels read them. */
  fillMemory(): Promise<WebAssembly.Memory>;
}

/**
 * One module of all candidates' kernels, and one memory: every candidate's activations lie at its beginning, one candidate's over the others', as those of a
 * net's layers do, and behind them the weights of all. So candidates differ in nothing but their code: with a memory for each, the pages that the system gave
 * it made some of them three times slower than others. The code that prepares weights is a module of its own, which any engine runs.
 */
export function linkCandidates(candidates: readonly Candidate[]): LinkedCandidates {
  const start = roundUp(control.bytes + slack, alignment);
  const places = candidates.map((candidate) => activationPlaces(candidate, start));
  const staged = Math.max(0, ...candidates.flatMap((c) => c.prepare.map((p) => stagingOf(p.constant, p.spec).bytes)));
  let end = roundUp(Math.max(start + staged, ...places.map((p) => p.end)) + slack, alignment);
  const [builder, preparer] = [new ModuleBuilder(), new ModuleBuilder()];
  const functions = prepareFunctions(preparer);
  const weights = new Map<string, { readonly task: PrepareTask; readonly address: number }>();
  candidates.forEach(({ target, call, prepare }, i) => {
    builder.export(`kernel${i}`, emitKernel(builder, target, call.template, call.problem, call.choice));
    for (const task of prepare) {
      const key = `${idOf(task.constant.bytes)} ${JSON.stringify(task.spec)}`;
      let known = weights.get(key);
      if (known === undefined) {
        known = { task, address: end };
        weights.set(key, known);
        end = roundUp(end + task.to.bytes, alignment);
        preparer.export(
          key,
          preparer.function(i32Params(2), (fn) => emitPrepare(fn, task.constant, task.spec, fn.param(0), fn.param(1), functions)),
        );
      }
      places[i]?.addresses.set(task.to, known.address);
    }
  });
  const pages = Math.ceil((end + slack) / 65536);
  return {
    module: finish(builder, pages),
    pages,
    kernels: candidates.map(({ call }, i) => ({
      name: `kernel${i}`,
      addresses: call.operands.map(({ buffer, offset }) => (places[i]?.addresses.get(buffer) as number) + 4 * offset),
      items: call.template.items(call.problem, call.choice),
    })),
    async fillMemory() {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      const prepare = await instantiate(finish(preparer, pages), memory);
      for (const [key, { task, address }] of weights) {
        new Uint8Array(memory.buffer).set(task.constant.bytes, start);
        prepare[key]?.(start, address);
      }
      fillRandom(new Float32Array(memory.buffer, start, (Math.max(...places.map((p) => p.end)) - start) / 4));
      return memory;
    },
  };
}

/** Gives for each candidate one call of its kernel on the engine that runs this code. */
export async function loadCandidates(candidates: readonly Candidate[]): Promise<(() => void)[]> {
  const { module, kernels, fillMemory } = linkCandidates(candidates);
  const exports = await instantiate(module, await fillMemory());
  return kernels.map(({ name, addresses, items }) => {
    const args = [...addresses, 0, items];
    const kernel = exports[name] as (...args: number[]) => void;
    return () => kernel(...args);
  });
}

/** Places of the operands that are not prepared, one after another. */
function activationPlaces({ call, prepare }: Candidate, start: number): { readonly addresses: Map<Buffer, number>; readonly end: number } {
  const weights = new Set(prepare.map((p) => p.to));
  const addresses = new Map<Buffer, number>();
  let end = start;
  for (const { buffer } of call.operands) {
    if (weights.has(buffer) || addresses.has(buffer)) continue;
    addresses.set(buffer, end);
    end = roundUp(end + buffer.bytes, alignment);
  }
  return { addresses, end };
}

function finish(builder: ModuleBuilder, pages: number): Uint8Array<ArrayBuffer> {
  const module = builder.finish({ import: abi.memory, pages });
  const code = Uint8Array.from(module.bytes);
  code[module.sharedFlagOffset] = 1;
  return code;
}

async function instantiate(module: Uint8Array<ArrayBuffer>, memory: WebAssembly.Memory): Promise<Readonly<Record<string, (...args: number[]) => void>>> {
  const { instance } = await WebAssembly.instantiate(module, { [abi.memory[0]]: { [abi.memory[1]]: memory } });
  return instance.exports as Readonly<Record<string, (...args: number[]) => void>>;
}

const ids = new WeakMap<Uint8Array, number>();
let count = 0;

function idOf(bytes: Uint8Array): number {
  let id = ids.get(bytes);
  if (id === undefined) {
    id = count++;
    ids.set(bytes, id);
  }
  return id;
}

/** Numbers in −0.5…0.5 that look random, with a period. */
function fillRandom(floats: Float32Array): void {
  const period = Math.min(floats.length, 12289);
  for (let i = 0; i < period; i++) floats[i] = ((Math.imul(i, 0x9e3779b1) >> 8) & 0xffff) / 65536 - 0.5;
  for (let filled = period; filled < floats.length; filled *= 2) floats.copyWithin(filled, 0, Math.min(filled, floats.length - filled));
}
