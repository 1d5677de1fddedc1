import { abi, control } from "../artifact/control.ts";
import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { invariant } from "../errors.ts";
import type { KernelCall, KernelGraph, Place } from "../lower/kernel-graph.ts";
import { placeBarriers } from "./barriers.ts";
import { cyclesOf, type Kernel } from "./kernels.ts";
import { emitAwait, emitReport, emitTake, recordOf } from "./share.ts";

/** Estimated cycles of a unit, a microsecond or so: taking one costs a tenth of it. */
const unitCycles = 4000;

/** A call as threads share it. */
interface Step {
  readonly items: number;
  /** What threads take of it, each of `grain` items: enough work to be worth the taking. */
  readonly units: number;
  readonly grain: number;
  /** Whether all before must be done first. */
  readonly waits: boolean;
}

function stepsOf(graph: KernelGraph): Step[] {
  const barriers = placeBarriers(graph.calls, graph.memory);
  return graph.calls.map((call, i) => {
    const items = call.template.items(call.problem, call.choice);
    const grain = Math.max(1, Math.min(items, Math.floor((items * unitCycles) / Math.max(1, cyclesOf(call, graph)))));
    return { items, units: Math.ceil(items / grain), grain, waits: barriers[i] as boolean };
  });
}

/** Exports `run` and `runStep`, which share one function: so each call of a kernel, with its addresses, is in the module once. */
export function emitRun(builder: ModuleBuilder, graph: KernelGraph, kernels: ReadonlyMap<KernelCall, Kernel>, address: (place: Place) => number): void {
  const steps = stepsOf(graph);
  const goal = steps.reduce((sum, { units }) => sum + units, 0);
  invariant(goal < control.abandoned, "more units than can be counted");
  const awaitGoal = emitAwait(builder);
  const range = emitRange(builder, steps, emitCall(builder, graph, kernels, address), awaitGoal);
  const zero = i32.const(0);
  const run = builder.function(i32Params(2), (fn, ...params) => {
    const [thread, threads] = params as [Local<"i32">, Local<"i32">];
    fn.call(range, [zero, i32.const(steps.length), thread, threads]);
    fn.if(i32.and(i32.eqz(thread), i32.ne(threads, i32.const(1))), () => fn.call(awaitGoal, [i32.atomicLoad(zero, control.generation), i32.const(goal)]));
  });
  builder.export(abi.run, run);
  const runStep = builder.function(i32Params(3), (fn, ...params) => {
    const [index, thread, threads] = params as [Local<"i32">, Local<"i32">, Local<"i32">];
    fn.call(range, [index, i32.add(index, i32.const(1)), thread, threads]);
  });
  builder.export(abi.runStep, runStep);
}

/** call(index, begin, end): does a range of the items of a call. */
function emitCall(builder: ModuleBuilder, graph: KernelGraph, kernels: ReadonlyMap<KernelCall, Kernel>, address: (place: Place) => number): FunctionRef {
  return builder.function(i32Params(3), (fn, ...params) => {
    const [index, begin, end] = params as [Local<"i32">, Local<"i32">, Local<"i32">];
    const emit = (call: KernelCall): void => {
      const { ref } = kernels.get(call) as Kernel;
      const addresses = call.operands.map((place) => i32.const(address(place)));
      const { repeat } = call;
      if (repeat === undefined) return fn.call(ref, [...addresses, begin, end]);
      const moving = addresses.map((a) => fn.let(a));
      const left = fn.let(i32.const(repeat.count));
      fn.doWhile(
        () => {
          fn.call(ref, [...moving, begin, end]);
          moving.forEach((m, i) => fn.set(m, i32.add(m, i32.const(4 * (repeat.strides[i] as number)))));
          fn.set(left, i32.sub(left, i32.const(1)));
        },
        () => left,
      );
    };
    fn.switch(
      index,
      graph.calls.map((call) => () => emit(call)),
    );
  });
}

/** range(first, last, thread, threads): the thread's part of calls first … last − 1. One of several threads reports what it has done, and waits before calls that need it. */
function emitRange(builder: ModuleBuilder, steps: readonly Step[], call: FunctionRef, awaitGoal: FunctionRef): FunctionRef {
  const take = emitTake(builder);
  const report = emitReport(builder);
  return builder.function(i32Params(4), (fn, ...params) => {
    const [first, last, thread, threads] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const [items, units, grain, waits] = fn.locals("i32", 4) as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const index = fn.let(first);
    const record = fn.let(recordOf(thread));
    const generation = fn.let(i32.atomicLoad(i32.const(0), control.generation));
    /** Units that this thread has done and not reported; units of all calls so far. */
    const [made, goal] = [fn.let(i32.const(0)), fn.let(i32.const(0))];
    const share = () => {
      fn.if(waits, () => {
        fn.call(report, [made, goal]);
        fn.set(made, i32.const(0));
        fn.call(awaitGoal, [generation, goal]);
      });
      takeAll(fn, { record, thread, threads, call: i32.add(i32.mul(generation, i32.const(steps.length)), index), units, take }, (begin, end) => {
        fn.set(made, i32.add(made, i32.sub(end, begin)));
        const until = fn.let(i32.mul(end, grain));
        fn.call(call, [index, i32.mul(begin, grain), i32.select(until, items, i32.ltS(until, items))]);
      });
      fn.set(goal, i32.add(goal, units));
    };
    fn.for(index, last, 1, () => {
      fn.switch(
        index,
        steps.map((step) => () => {
          fn.set(items, i32.const(step.items));
          fn.set(units, i32.const(step.units));
          fn.set(grain, i32.const(step.grain));
          fn.set(waits, i32.const(Number(step.waits)));
        }),
      );
      fn.if(i32.eq(threads, i32.const(1)), () => fn.call(call, [index, i32.const(0), items]), share);
    });
    fn.if(i32.ne(threads, i32.const(1)), () => fn.call(report, [made, goal]));
  });
}

interface Taking {
  readonly record: Local<"i32">;
  readonly thread: Local<"i32">;
  readonly threads: Local<"i32">;
  readonly call: I32;
  readonly units: Local<"i32">;
  readonly take: FunctionRef;
}

/** Takes units of one call until none is left. */
function takeAll(fn: FunctionBuilder, { record, thread, threads, call, units, take }: Taking, body: (begin: Local<"i32">, end: Local<"i32">) => void): void {
  const [begin, end] = [fn.local("i32"), fn.local("i32")];
  fn.storeI32(record, thread, control.records + control.victim);
  fn.doWhile(
    () => {
      fn.call(take, [thread, threads, call, units]);
      fn.set(begin, i32.load(record, control.records + control.begin));
      fn.set(end, i32.load(record, control.records + control.end));
      fn.if(i32.ltS(begin, end), () => body(begin, end));
    },
    () => i32.ltS(begin, end),
  );
}
