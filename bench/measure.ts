import { abi } from "../src/artifact/control.ts";
import type { Target } from "../src/codegen/target.ts";
import { f32x4, i32, v128 } from "../src/codegen/wasm/code.ts";
import { type FunctionRef, i32Params, ModuleBuilder } from "../src/codegen/wasm/module.ts";
import { generate } from "../src/generate/index.ts";
import type { Graph } from "../src/ir/graph.ts";
import { type Costs, canonicalText, estimatedCosts } from "../src/kernels/costs.ts";
import type { KernelTemplate } from "../src/kernels/kernel.ts";
import { madd } from "../src/kernels/vector-math.ts";
import { type LowerOptions, lower } from "../src/lower/index.ts";
import type { KernelCall } from "../src/lower/kernel-graph.ts";

/** A layer as it is lowered, ready to run. */
export interface Candidate {
  /** The calls that compute it. Copies into padded planes are left out: in a net, whatever comes before writes there. */
  readonly calls: readonly KernelCall[];
  run(): void;
}

function load(module: Uint8Array, sharedFlagOffset: number, memory: WebAssembly.Memory): WebAssembly.Exports {
  const bytes = Uint8Array.from(module);
  bytes[sharedFlagOffset] = 1;
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { [abi.memory[0]]: { [abi.memory[1]]: memory } }).exports;
}

/** Lowers a layer as a net of its own, prepares its weights and runs it once on random inputs. */
export function candidateOf(layer: Graph, target: Target, options: LowerOptions = {}): Candidate {
  const kernels = lower(layer, target, options);
  const { module, record, prepare } = generate(kernels);
  const memory = new WebAssembly.Memory({ initial: record.pages, maximum: record.pages });
  const exports = load(module, record.sharedFlagOffset, memory);
  prepare.forEach(({ constant, staging }, i) => {
    new Uint8Array(memory.buffer, staging).set(constant.bytes);
    (exports[abi.prepare] as (index: number) => void)(i);
  });
  new Uint8Array(memory.buffer, kernels.memory.staging, kernels.memory.arenaBytes).fill(0);
  for (const { place, shape } of kernels.inputs) {
    const floats = new Float32Array(
      memory.buffer,
      (kernels.memory.addresses.get(place.buffer) as number) + 4 * place.offset,
      shape.reduce((a, b) => a * b, 1),
    );
    for (let i = 0; i < floats.length; i++) floats[i] = ((Math.imul(i, 0x9e3779b1) >> 8) & 0xffff) / 65536 - 0.5;
  }
  (exports[abi.run] as (thread: number, threads: number) => void)(0, 1);
  const steps = [...kernels.calls.keys()].filter((step) => !(kernels.calls[step] as KernelCall).template.name.startsWith("x32-"));
  const runStep = exports[abi.runStep] as (step: number, thread: number, threads: number) => void;
  return {
    calls: steps.map((step) => kernels.calls[step] as KernelCall),
    run: () => {
      for (const step of steps) runStep(step, 0, 1);
    },
  };
}

/** The call that does the layer's multiplications. */
export const mainCall = (calls: readonly KernelCall[]): KernelCall => calls.reduce((a, b) => (b.macs > a.macs ? b : a));

/** Every choice for the kernel that lowering takes for a layer. */
export function everyChoice(layer: Graph, target: Target, options: LowerOptions = {}): { readonly candidate: Candidate; readonly estimate: number }[] {
  const calls = lower(layer, target, options).calls;
  const { template, problem } = mainCall(calls);
  return template.choices(problem, target).map((choice) => ({
    candidate: candidateOf(layer, target, { ...options, costs: withChoice(template, problem, choice) }),
    estimate: template.cost(problem, choice, target),
  }));
}

/** Costs by which one choice for one problem is better than everything. */
function withChoice(template: KernelTemplate, wanted: unknown, choice: unknown): Costs {
  // The plan is made before it is known where the activation is applied.
  const key = (problem: unknown) => canonicalText({ ...(problem as object), activation: undefined });
  return {
    ...estimatedCosts,
    best: <P, C>(other: KernelTemplate<P, C>, problem: P, target: Target) =>
      other.name === template.name && key(problem) === key(wanted) ? { choice: choice as C, cost: Number.NEGATIVE_INFINITY } : estimatedCosts.best(other, problem, target),
  };
}

const peakAccumulators = 12;
const peakUnroll = 4;
const peakLoops = 20_000;

/** Multiply-adds that one run of `peakOf` does. */
export const peakMacs = peakLoops * peakUnroll * peakAccumulators * 4;

/** Independent multiply-adds between registers: as fast as this engine does them. */
export function peakOf(target: Target): () => void {
  const builder = new ModuleBuilder();
  builder.export("peak", emitPeak(builder, target));
  const { bytes, sharedFlagOffset } = builder.finish({ import: abi.memory, pages: 1 });
  const peak = load(bytes, sharedFlagOffset, new WebAssembly.Memory({ initial: 1, maximum: 1 })).peak as (address: number, loops: number) => void;
  return () => peak(0, peakLoops);
}

function emitPeak(builder: ModuleBuilder, target: Target): FunctionRef {
  return builder.function(i32Params(2), (fn) => {
    const address = fn.param(0);
    const left = fn.let(fn.param(1));
    const [x, y] = [fn.let(v128.load(address)), fn.let(v128.load(address, 16))];
    const acc = Array.from({ length: peakAccumulators }, (_, i) => fn.let(v128.load(address, 32 + 16 * i)));
    fn.doWhile(
      () => {
        for (let r = 0; r < peakUnroll; r++) for (const a of acc) fn.set(a, madd(target, x, y, a));
        fn.set(left, i32.sub(left, i32.const(1)));
      },
      () => left,
    );
    fn.store(
      address,
      acc.slice(1).reduce((sum, a) => f32x4.add(sum, a), f32x4.add(x, acc[0] as (typeof acc)[number])),
    );
  });
}

/** Seconds a call, one entry a round. */
export interface Turns {
  readonly seconds: readonly (readonly number[])[];
  /** Runs each in turn for about the slice's time. */
  round(): void;
}

export function turnsOf(runs: readonly (() => void)[], sliceMs: number): Turns {
  const timed = runs.map((run) => {
    run();
    const start = performance.now();
    run();
    return { run, calls: Math.max(1, Math.round(sliceMs / Math.max(1e-3, performance.now() - start))), seconds: [] as number[] };
  });
  return {
    seconds: timed.map((t) => t.seconds),
    round() {
      for (const { run, calls, seconds } of timed) {
        const start = performance.now();
        for (let i = 0; i < calls; i++) run();
        seconds.push((performance.now() - start) / calls / 1000);
      }
    },
  };
}
