import { encodeConstant } from "../src/artifact/constant-codec.ts";
import { abi } from "../src/artifact/control.ts";
import type { Target } from "../src/codegen/target.ts";
import { f32x4, i32, v128 } from "../src/codegen/wasm/code.ts";
import { type FunctionRef, i32Params, ModuleBuilder } from "../src/codegen/wasm/module.ts";
import { generate } from "../src/generate/index.ts";
import { emitPrepare } from "../src/generate/prepare.ts";
import { isConstant } from "../src/ir/graph.ts";
import { elementCount } from "../src/ir/types.ts";
import { emitKernel } from "../src/kernels/emit.ts";
import type { KernelTemplate } from "../src/kernels/kernel.ts";
import { madd } from "../src/kernels/vector-math.ts";
import type { GemmProblem } from "../src/kernels/wasm/f32-gemm.ts";
import { f32Spmm, type SpmmProblem, spmmStreamBytes } from "../src/kernels/wasm/f32-spmm.ts";
import { rowCounts } from "../src/lower/filters.ts";
import { lower } from "../src/lower/index.ts";
import type { KernelCall, StoredConstant } from "../src/lower/kernel-graph.ts";
import { type LayerShape, layerGraph, pruneSmallest } from "./shapes.ts";

/** One way of computing a layer, and what came out. */
export interface Measured {
  readonly kernel: string;
  readonly choice: unknown;
  /** Multiply-adds that the kernel is to do: for sparse weights only those of the non-zeros. */
  readonly macs: number;
  readonly estimatedCycles: number;
  readonly seconds: readonly number[];
}

interface Candidate extends Omit<Measured, "seconds"> {
  readonly emit: (builder: ModuleBuilder) => FunctionRef;
  readonly args: readonly number[];
}

interface Layer {
  readonly memory: WebAssembly.Memory;
  readonly candidates: readonly Candidate[];
  readonly peakAddress: number;
}

const roundUp = (n: number, to: number) => Math.ceil(n / to) * to;

function load(module: Uint8Array, sharedFlagOffset: number, memory: WebAssembly.Memory): WebAssembly.Exports {
  const bytes = Uint8Array.from(module);
  bytes[sharedFlagOffset] = 1;
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { [abi.memory[0]]: { [abi.memory[1]]: memory } }).exports;
}

/** Lowers the layer as a net of its own, makes its weights, and lists every choice for its kernel, and for the sparse one. */
function layerOf(shape: LayerShape, target: Target, sparsity: number): Layer | undefined {
  const graph = layerGraph(shape);
  const kernels = lower(graph, target);
  const main = kernels.calls.find((c) => ["f32-gemm", "f32-window"].includes(c.template.name));
  if (main === undefined) return undefined;
  const outputs = elementCount(graph.nodes[0]?.outputs[0]?.type.shape ?? []);
  const taps = (main.problem as GemmProblem).taps.length;
  const depth = shape.kind === "conv" ? (shape.kernel[1] as number) * taps : taps;
  const addresses = main.operands.map(({ buffer, offset }) => (kernels.memory.addresses.get(buffer) as number) + 4 * offset);
  const dense = candidatesOf(main.template, main.problem, addresses, outputs * depth, target);

  const top = roundUp(kernels.memory.bytes, 64);
  const sparse = main.template.name === "f32-gemm" && sparsity > 0 ? sparseCandidates(shape, main, target, sparsity, addresses, top, outputs) : undefined;
  const peakAddress = sparse?.end ?? top;
  const { module, record, prepare } = generate(kernels);
  const pages = Math.max(record.pages, Math.ceil((peakAddress + 4096) / 65536));
  const memory = new WebAssembly.Memory({ initial: record.pages, maximum: record.pages });
  const whole = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const floats = new Float32Array(whole.buffer);
  const exports = load(module, record.sharedFlagOffset, memory);
  for (let i = 0; i < floats.length; i++) floats[i] = ((Math.imul(i, 0x9e3779b1) >> 8) & 0xffff) / 65536 - 0.5;
  prepare.forEach(({ constant, staging }, i) => {
    new Uint8Array(memory.buffer, staging).set(constant.bytes);
    (exports[abi.prepare] as (index: number) => void)(i);
  });
  for (const { to } of kernels.prepare) {
    const address = kernels.memory.addresses.get(to) as number;
    new Uint8Array(whole.buffer, address).set(new Uint8Array(memory.buffer, address, to.bytes));
  }
  sparse?.fill(whole);
  return { memory: whole, candidates: [...dense, ...(sparse?.candidates ?? [])], peakAddress };
}

function candidatesOf<P, C>(template: KernelTemplate<P, C>, problem: P, addresses: readonly number[], macs: number, target: Target): Candidate[] {
  return template.choices(problem, target).map((choice) => ({
    kernel: template.name,
    choice,
    macs,
    estimatedCycles: template.cost(problem, choice, target),
    emit: (builder) => emitKernel(builder, target, template, problem, choice),
    args: [...addresses, 0, template.items(problem, choice)],
  }));
}

/** The same layer with pruned weights; their streams (one for each size of groups) go behind everything else. */
function sparseCandidates(shape: LayerShape, main: KernelCall, target: Target, sparsity: number, addresses: readonly number[], top: number, outputs: number) {
  const gemm = main.problem as GemmProblem;
  const w = layerGraph(shape).nodes[0]?.inputs[1];
  if (w === undefined || !isConstant(w)) return undefined;
  const data = pruneSmallest(w, sparsity);
  const counts = rowCounts({ ...w, data });
  const nonZeros = counts.reduce((a, b) => a + b, 0);
  const depth = gemm.channels * gemm.taps.length;
  const { m, region, outStride, bias, residual, activation } = gemm;
  const problem: SpmmProblem = { m, nonZeros, depth, region, outStride, bias, residual, activation };
  const names = main.template.operands(gemm);
  const groups = [...new Set(f32Spmm.choices(problem, target).map((c) => c.group))];
  const streams = new Map<number, number>();
  let end = top;
  for (const group of groups) {
    streams.set(group, end);
    end = roundUp(end + spmmStreamBytes(counts, group), 64);
  }
  const staging = end;
  const stored: StoredConstant = { name: "w", dtype: "float32", shape: w.type.shape, ...encodeConstant(data, "float32") };
  const candidates = groups.flatMap((group) => {
    const at = f32Spmm.operands(problem).map((name) => (name === "w" ? (streams.get(group) as number) : (addresses[names.indexOf(name)] as number)));
    return candidatesOf(
      { ...f32Spmm, choices: (p: SpmmProblem, t: Target) => f32Spmm.choices(p, t).filter((c) => c.group === group) },
      problem,
      at,
      nonZeros * (outputs / m),
      target,
    );
  });
  const fill = (memory: WebAssembly.Memory) => {
    const builder = new ModuleBuilder();
    for (const group of groups) {
      const spec = { kind: "stream", m, depth, group, channelStride: gemm.channelStride, taps: gemm.taps } as const;
      builder.export(
        String(group),
        builder.function(i32Params(2), (fn) => emitPrepare(fn, stored, spec, fn.param(0), fn.param(1))),
      );
    }
    const { bytes, sharedFlagOffset } = builder.finish({ import: abi.memory, pages: memory.buffer.byteLength / 65536 });
    const exports = load(bytes, sharedFlagOffset, memory);
    new Uint8Array(memory.buffer, staging).set(stored.bytes);
    for (const group of groups) (exports[String(group)] as (from: number, to: number) => void)(staging, streams.get(group) as number);
  };
  return { candidates, fill, end: roundUp(staging + stored.bytes.byteLength, 64) };
}

const peakAccumulators = 12;
const peakRounds = 4;

/** Independent multiply-adds between registers: as fast as this engine does them. Arguments: an address, 0, and how often. */
function emitPeak(builder: ModuleBuilder, target: Target): FunctionRef {
  return builder.function(i32Params(3), (fn) => {
    const address = fn.param(0);
    const left = fn.let(fn.param(2));
    const [x, y] = [fn.let(v128.load(address)), fn.let(v128.load(address, 16))];
    const acc = Array.from({ length: peakAccumulators }, (_, i) => fn.let(v128.load(address, 32 + 16 * i)));
    fn.doWhile(
      () => {
        for (let r = 0; r < peakRounds; r++) for (const a of acc) fn.set(a, madd(target, x, y, a));
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

/** Times all choices of a layer in turn, `rounds` times, each for about `sliceMs`; the peak (multiply-adds a second) among them. */
export function measureLayer(
  shape: LayerShape,
  target: Target,
  { rounds, sliceMs, sparsity, filter }: { readonly rounds: number; readonly sliceMs: number; readonly sparsity: number; readonly filter: (kernel: string) => boolean },
): { readonly peak: number; readonly measured: readonly Measured[] } {
  const layer = layerOf(shape, target, sparsity);
  const candidates = layer?.candidates.filter((c) => filter(c.kernel)) ?? [];
  if (layer === undefined || candidates.length === 0) return { peak: 0, measured: [] };
  const builder = new ModuleBuilder();
  candidates.forEach((c, i) => {
    builder.export(String(i), c.emit(builder));
  });
  builder.export("peak", emitPeak(builder, target));
  const { bytes, sharedFlagOffset } = builder.finish({ import: abi.memory, pages: layer.memory.buffer.byteLength / 65536 });
  const exports = load(bytes, sharedFlagOffset, layer.memory);
  const peakCount = 20_000;
  const peakMacs = peakCount * peakRounds * peakAccumulators * 4;
  const runs = [...candidates, { args: [layer.peakAddress, 0, peakCount] }].map(({ args }, i) => {
    const run = exports[i < candidates.length ? String(i) : "peak"] as (...args: number[]) => void;
    run(...args);
    const start = performance.now();
    run(...args);
    return { run, args, calls: Math.max(1, Math.round(sliceMs / Math.max(1e-3, performance.now() - start))), seconds: [] as number[] };
  });
  for (let round = 0; round < rounds; round++)
    for (const { run, args, calls, seconds } of runs) {
      const start = performance.now();
      for (let i = 0; i < calls; i++) run(...args);
      seconds.push((performance.now() - start) / calls / 1000);
    }
  const measured = candidates.map(({ emit: _, args: __, ...rest }, i) => ({ ...rest, seconds: runs[i]?.seconds ?? [] }));
  return { peak: peakMacs / Math.min(...(runs.at(-1)?.seconds ?? [])), measured };
}
