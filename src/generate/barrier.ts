import { control } from "../artifact/control.ts";
import { i32 } from "../codegen/wasm/code.ts";
import type { FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";

/**
 * Looks at a barrier before a thread sleeps, tens of microseconds in all: about what waking it up costs. One thread that sleeps makes the
 * other wait for its waking, and sleep in turn; with a fifth of these looks MobileNet-V2 took twice as long on two threads after a pause.
 * More threads than cores lose up to half of their speed by looking.
 */
const looks = 100_000;

/** Milliseconds of a sleep after which a thread looks again, so that a wake-up that gets lost costs time only. */
const nap = 20;

/** barrier(threads): the last to arrive opens it for all. The others look a bounded number of times, then sleep. */
export function emitBarrier(builder: ModuleBuilder): FunctionRef {
  const sleep = emitSleep(builder);
  return builder.function(i32Params(1), (fn, threads) => {
    const zero = i32.const(0);
    const phase = fn.let(i32.atomicLoad(zero, control.barrierPhase));
    const arrived = i32.add(i32.atomicAdd(zero, i32.const(1), control.barrierCount), i32.const(1));
    fn.if(
      i32.eq(arrived, threads as Local<"i32">),
      () => {
        fn.storeAtomicI32(zero, zero, control.barrierCount);
        fn.drop(i32.atomicAdd(zero, i32.const(1), control.barrierPhase));
        fn.drop(i32.atomicNotify(zero, i32.const(-1), control.barrierPhase));
      },
      () => {
        const closed = () => i32.eq(i32.atomicLoad(zero, control.barrierPhase), phase);
        const left = fn.let(i32.const(looks));
        fn.doWhile(
          () => fn.set(left, i32.sub(left, i32.const(1))),
          () => i32.and(closed(), i32.ne(left, zero)),
        );
        fn.while(closed(), () => fn.call(sleep, [phase]));
      },
    );
  });
}

/**
 * sleep(phase): sleeps at most a nap while the barrier's phase is this one. A function of its own, whose last local nobody needs, since V8
 * 11.3's baseline code of memory.atomic.wait32 stores the address as 8 bytes where it has reserved 4, and so zeroes the local before:
 * in the barrier that was the phase, and the thread went on without waiting for the others.
 */
function emitSleep(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(1), (fn, phase) => {
    fn.local("i32");
    fn.drop(i32.atomicWait(i32.const(0), phase as Local<"i32">, nap, control.barrierPhase));
  });
}
