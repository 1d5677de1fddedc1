import { abi } from "../artifact/control.ts";
import type { ModuleRecord } from "../artifact/manifest.ts";
import { i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, ModuleBuilder } from "../codegen/wasm/module.ts";
import { CadnnError, invariant } from "../errors.ts";
import { canonicalText } from "../kernels/costs.ts";
import { emitKernel } from "../kernels/emit.ts";
import type { KernelCall, KernelGraph, Place, StoredConstant } from "../lower/kernel-graph.ts";
import { emitBarrier } from "./barrier.ts";
import { placeBarriers } from "./barriers.ts";
import { emitPrepare } from "./prepare.ts";

/** One module and how to drive it; offsets into an artifact's sections come when it is packed. */
export interface Executable {
  readonly module: Uint8Array;
  readonly record: Omit<ModuleRecord, "offset" | "bytes" | "prepare">;
  readonly prepare: readonly { readonly constant: StoredConstant; readonly staging: number }[];
}

const pageBytes = 65536;

/** Generates the WebAssembly module that runs a kernel graph. */
export function generate(graph: KernelGraph): Executable {
  const { memory } = graph;
  const pages = Math.ceil(memory.bytes / pageBytes);
  if (pages > 65536)
    throw new CadnnError("E_OUT_OF_MEMORY", `${graph.name} needs ${(memory.bytes / 2 ** 30).toFixed(1)} GiB, WebAssembly has 4`, {
      at: graph.name,
      hint: "Use a smaller batch or input.",
    });
  const builder = new ModuleBuilder();
  const address = ({ buffer, offset }: Place): number => {
    const start = memory.addresses.get(buffer);
    invariant(start !== undefined, `buffer ${buffer.name} has no address`);
    return start + offset * 4;
  };
  emitPrepareExport(builder, graph, address);
  const barrier = emitBarrier(builder);
  const steps = emitSteps(builder, graph, address);
  emitRun(builder, graph, steps, barrier);
  const { bytes, sharedFlagOffset } = builder.finish({ import: abi.memory, pages });
  return {
    module: bytes,
    record: {
      target: graph.target.name,
      sharedFlagOffset,
      pages,
      inputOffsets: graph.inputs.map((p) => address(p.place)),
      outputOffsets: graph.outputs.map((p) => address(p.place)),
      parameters: graph.parameters.map((p) => ({ name: p.name, dtype: p.dtype, shape: p.shape, offset: address(p.place) })),
      steps: graph.calls.map((c) => ({ node: c.node, kernel: c.template.name, macs: c.macs })),
    },
    prepare: graph.prepare.map((task) => ({ constant: task.constant, staging: memory.staging })),
  };
}

/** `prepare(index)`: equal work on different weights is one function. */
function emitPrepareExport(builder: ModuleBuilder, graph: KernelGraph, address: (place: Place) => number): void {
  const bodies = new Map<string, FunctionRef>();
  const calls = graph.prepare.map(({ constant, spec, to }) => {
    const key = JSON.stringify([spec, constant.encoding, constant.shape.reduce((n, d) => n * d, 1)]);
    let body = bodies.get(key);
    if (body === undefined) {
      body = builder.function(i32Params(2), (fn, from, target) => emitPrepare(fn, constant, spec, from as Local<"i32">, target as Local<"i32">));
      bodies.set(key, body);
    }
    return { body, to: address({ buffer: to, offset: 0 }) };
  });
  const prepare = builder.function(i32Params(1), (fn, index) =>
    fn.switch(
      index as Local<"i32">,
      calls.map((c) => () => fn.call(c.body, [i32.const(graph.memory.staging), i32.const(c.to)])),
    ),
  );
  builder.export(abi.prepare, prepare);
}

/** For each call a function body part: this thread's share of the items. Equal kernels are one function. */
function emitSteps(builder: ModuleBuilder, graph: KernelGraph, address: (place: Place) => number): ((fn: FunctionBuilder, thread: Local<"i32">, threads: Local<"i32">) => void)[] {
  const kernels = new Map<string, FunctionRef>();
  return graph.calls.map((call) => {
    const kernel = kernelFunction(builder, kernels, graph, call);
    const items = call.template.items(call.problem, call.choice);
    return (fn, thread, threads) => {
      const begin = shareStart(fn, items, thread, threads);
      const end = shareStart(fn, items, i32.add(thread, i32.const(1)) as never, threads);
      const addresses = call.operands.map((place) => i32.const(address(place)));
      const { repeat } = call;
      if (repeat === undefined) return fn.call(kernel, [...addresses, begin, end]);
      const moving = addresses.map((a) => fn.let(a));
      const left = fn.let(i32.const(repeat.count));
      fn.doWhile(
        () => {
          fn.call(kernel, [...moving, begin, end]);
          moving.forEach((m, i) => fn.set(m, i32.add(m, i32.const(4 * (repeat.strides[i] as number)))));
          fn.set(left, i32.sub(left, i32.const(1)));
        },
        () => left,
      );
    };
  });
}

/** ⌊items · thread / threads⌋ */
function shareStart(fn: FunctionBuilder, items: number, thread: Local<"i32">, threads: Local<"i32">): Local<"i32"> {
  return fn.let(i32.divU(i32.mul(i32.const(items), thread), threads));
}

function kernelFunction(builder: ModuleBuilder, known: Map<string, FunctionRef>, graph: KernelGraph, call: KernelCall): FunctionRef {
  const key = `${call.template.name} ${canonicalText([call.problem, call.choice])}`;
  let kernel = known.get(key);
  if (kernel === undefined) {
    kernel = emitKernel(builder, graph.target, call.template, call.problem, call.choice);
    known.set(key, kernel);
  }
  return kernel;
}

function emitRun(builder: ModuleBuilder, graph: KernelGraph, steps: ReturnType<typeof emitSteps>, barrier: FunctionRef): void {
  const barriers = placeBarriers(graph.calls, graph.memory);
  const run = builder.function(i32Params(2), (fn, thread, threads) => {
    const meet = () => fn.if(i32.gtS(threads as Local<"i32">, i32.const(1)), () => fn.call(barrier, [threads as Local<"i32">]));
    steps.forEach((step, i) => {
      if (barriers[i]) meet();
      step(fn, thread as Local<"i32">, threads as Local<"i32">);
    });
    meet();
  });
  builder.export(abi.run, run);
  const runStep = builder.function(i32Params(3), (fn, index, thread, threads) =>
    fn.switch(
      index as Local<"i32">,
      steps.map((step) => () => step(fn, thread as Local<"i32">, threads as Local<"i32">)),
    ),
  );
  builder.export(abi.runStep, runStep);
}
