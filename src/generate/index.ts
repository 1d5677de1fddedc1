import { abi, control } from "../artifact/control.ts";
import type { ModuleRecord } from "../artifact/manifest.ts";
import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, ModuleBuilder } from "../codegen/wasm/module.ts";
import { CadnnError, invariant } from "../errors.ts";
import { canonicalText } from "../kernels/costs.ts";
import { emitKernel } from "../kernels/emit.ts";
import type { KernelCall, KernelGraph, Place, StoredConstant } from "../lower/kernel-graph.ts";
import { placeBarriers } from "./barriers.ts";
import { emitPrepare } from "./prepare.ts";
import { emitAwait, emitReport, emitTake, recordOf } from "./share.ts";

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
  emitRun(builder, graph, emitSteps(builder, graph, address));
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

/** One kernel call, as code that does a range of its items. */
interface Step {
  /** What threads take of it, each of `grain` items: enough work to be worth the taking. */
  readonly units: number;
  readonly grain: number;
  readonly items: number;
  emit(fn: FunctionBuilder, begin: I32, end: I32): void;
}

/** Estimated cycles of a unit, a microsecond or so: taking one costs a tenth of it. */
const unitCycles = 4000;

/** Equal kernels are one function. */
function emitSteps(builder: ModuleBuilder, graph: KernelGraph, address: (place: Place) => number): Step[] {
  const kernels = new Map<string, FunctionRef>();
  return graph.calls.map((call) => {
    const kernel = kernelFunction(builder, kernels, graph, call);
    const items = call.template.items(call.problem, call.choice);
    const cycles = call.template.cost(call.problem, call.choice, graph.target) * (call.repeat?.count ?? 1);
    const grain = Math.max(1, Math.min(items, Math.floor((items * unitCycles) / Math.max(1, cycles))));
    const addresses = call.operands.map((place) => i32.const(address(place)));
    return {
      units: Math.ceil(items / grain),
      grain,
      items,
      emit(fn, begin, end) {
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
      },
    };
  });
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

function emitRun(builder: ModuleBuilder, graph: KernelGraph, steps: readonly Step[]): void {
  const take = emitTake(builder);
  const report = emitReport(builder);
  const awaitGoal = emitAwait(builder);
  const barriers = placeBarriers(graph.calls, graph.memory);

  /** Code by which one of several threads does its part of calls, and counts their units in `made`. */
  const worker = (fn: FunctionBuilder, thread: Local<"i32">, threads: Local<"i32">) => {
    const record = fn.let(recordOf(thread));
    const generation = fn.let(i32.atomicLoad(i32.const(0), control.generation));
    const firstCall = fn.let(i32.mul(generation, i32.const(steps.length)));
    const made = fn.let(i32.const(0));
    const [begin, end] = [fn.local("i32"), fn.local("i32")];
    const part = ({ units, grain, items, emit }: Step, index: number) => {
      fn.storeI32(record, thread, control.records + control.victim);
      fn.doWhile(
        () => {
          fn.call(take, [thread, threads, i32.add(firstCall, i32.const(index)), i32.const(units)]);
          fn.set(begin, i32.load(record, control.records + control.begin));
          fn.set(end, i32.load(record, control.records + control.end));
          fn.if(i32.ltS(begin, end), () => {
            fn.set(made, i32.add(made, i32.sub(end, begin)));
            if (grain === 1) return emit(fn, begin, end);
            const scaled = i32.mul(end, i32.const(grain));
            emit(fn, i32.mul(begin, i32.const(grain)), items % grain === 0 ? scaled : i32.select(scaled, i32.const(items), i32.ltS(end, i32.const(units))));
          });
        },
        () => i32.ltS(begin, end),
      );
    };
    return { generation, made, part };
  };

  const alone = (fn: FunctionBuilder, { items, emit }: Step) => emit(fn, i32.const(0), i32.const(items));
  const run = builder.function(i32Params(2), (fn, ...params) => {
    const [thread, threads] = params as [Local<"i32">, Local<"i32">];
    fn.if(
      i32.eq(threads, i32.const(1)),
      () => {
        for (const step of steps) alone(fn, step);
      },
      () => {
        const { generation, made, part } = worker(fn, thread, threads);
        let goal = 0;
        steps.forEach((step, i) => {
          if (barriers[i]) {
            fn.call(report, [made, i32.const(goal)]);
            fn.set(made, i32.const(0));
            fn.call(awaitGoal, [generation, i32.const(goal)]);
          }
          part(step, i);
          goal += step.units;
        });
        invariant(goal < control.abandoned, "more units than can be counted");
        fn.call(report, [made, i32.const(goal)]);
        fn.if(i32.eqz(thread), () => fn.call(awaitGoal, [generation, i32.const(goal)]));
      },
    );
  });
  builder.export(abi.run, run);
  const runStep = builder.function(i32Params(3), (fn, ...params) => {
    const [index, thread, threads] = params as [Local<"i32">, Local<"i32">, Local<"i32">];
    const each = (emit: (step: Step, index: number) => void) =>
      fn.switch(
        index,
        steps.map((step, i) => () => emit(step, i)),
      );
    fn.if(
      i32.eq(threads, i32.const(1)),
      () => each((step) => alone(fn, step)),
      () => each(worker(fn, thread, threads).part),
    );
  });
  builder.export(abi.runStep, runStep);
}
