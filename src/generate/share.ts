import { control } from "../artifact/control.ts";
import { type I32, i32, i64 } from "../codegen/wasm/code.ts";
import type { FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";

/*
 * How threads share the work. A call is a number of units, of which each thread owns an even part: neighbours, so that what it writes here it
 * reads in the next call. It takes them in pieces, half of what is left at a time, and then pieces of the others' parts. So threads of
 * unequal speed end together, and a thread that sleeps or is kept from running holds up nobody but by the piece in its hands. Calls that
 * depend on earlier ones wait until all units of these are done: for the work, not for the threads.
 */

/**
 * Looks before a thread sleeps, about 0.1 ms in all. Measured with pruned MobileNet-V2 on two threads after a pause: with a fifth of these
 * looks it takes 1.3 times as long, with a fiftieth 1.8 times. On four threads of two processors they cost 10 % more than a fifth of them.
 */
const looks = 100_000;

/** Milliseconds of a sleep after which a thread looks again, so that a wake-up that gets lost costs time only. */
const nap = 20;

/**
 * The smallest piece is the part of a thread by this power of two: what threads of the same speed wait for each other at the end of a call is less than such a piece. Measured on
 * two threads of a busy machine, pruned ResNet-50, Inception-V3 and MobileNet-V1: 3–5 % less time than with 4, in minima and medians.
 */
const leastShare = 16;

const zero = i32.const(0);
const one = i32.const(1);
const min = (a: Local<"i32">, b: Local<"i32">): I32 => i32.select(a, b, i32.ltS(a, b));
const max = (a: Local<"i32">, b: Local<"i32">): I32 => i32.select(a, b, i32.gtS(a, b));

/** Address of a thread's record, without `control.records`. */
export const recordOf = (thread: I32): I32 => i32.mul(thread, i32.const(control.recordBytes));

/**
 * take(thread, threads, call, units): puts a range of the call's units into the thread's record, an empty one if all are taken. The record's
 * `victim` must be the thread itself before the first take of a call. Calls are numbered in the order in which they run, for ever, so nothing
 * needs to be reset: a queue with a smaller number is untouched, and one with a greater number was exhausted before any thread went on.
 */
export function emitTake(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(4), (fn, ...params) => {
    const [thread, threads, call, units] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const record = fn.let(recordOf(thread));
    const victim = fn.let(i32.load(record, control.records + control.victim));
    const word = fn.local("i64");
    const piece = fn.local("i32");
    const again = fn.local("i32");
    fn.doWhile(
      () => {
        const first = fn.let(i32.divU(i32.mul(units, victim), threads));
        const size = fn.let(i32.sub(i32.divU(i32.mul(units, i32.add(victim, one)), threads), first));
        const least = fn.let(i32.shrU(i32.add(size, i32.const(leastShare - 1)), i32.const(Math.log2(leastShare))));
        const queue = fn.let(recordOf(victim));
        fn.doWhile(
          () => {
            fn.set(word, i64.atomicLoad(queue, control.records + control.queue));
            const age = fn.let(i32.sub(i32.wrapI64(i64.shrU(word, i64.const(32))), call));
            const taken = fn.let(i32.select(i32.wrapI64(word), zero, i32.eqz(age)));
            const left = fn.let(i32.select(i32.sub(size, taken), zero, i32.leS(age, zero)));
            const half = fn.let(i32.shrU(i32.add(left, one), one));
            fn.set(piece, max(half, least));
            fn.set(piece, min(piece, left));
            fn.set(again, zero);
            fn.if(piece, () => {
              const next = i64.or(i64.shl(i64.extendI32U(call), i64.const(32)), i64.extendI32U(i32.add(taken, piece)));
              fn.set(again, i64.ne(i64.atomicCompareExchange(queue, word, next, control.records + control.queue), word));
              const begin = fn.let(i32.add(first, taken));
              fn.storeI32(record, begin, control.records + control.begin);
              fn.storeI32(record, i32.add(begin, piece), control.records + control.end);
            });
          },
          () => again,
        );
        fn.if(i32.eqz(piece), () => {
          fn.set(victim, i32.add(victim, one));
          fn.if(i32.eq(victim, threads), () => fn.set(victim, zero));
          fn.storeI32(record, zero, control.records + control.begin);
          fn.storeI32(record, zero, control.records + control.end);
        });
      },
      () => i32.and(i32.eqz(piece), i32.ne(victim, thread)),
    );
    fn.storeI32(record, victim, control.records + control.victim);
  });
}

/** report(made, goal): adds the units that the thread has made to those that are done, and wakes the others if the goal is reached. */
export function emitReport(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(2), (fn, ...params) => {
    const [made, goal] = params as [Local<"i32">, Local<"i32">];
    fn.if(made, () =>
      fn.if(i32.eq(i32.add(i32.atomicAdd(zero, made, control.done), made), goal), () =>
        fn.if(i32.atomicLoad(zero, control.sleepers), () => fn.drop(i32.atomicNotify(zero, i32.const(-1), control.done))),
      ),
    );
  });
}

/** await(generation, goal): waits until so many units are done, or the generation is over: a bounded number of looks, then sleep. */
export function emitAwait(builder: ModuleBuilder): FunctionRef {
  const sleep = emitSleep(builder);
  return builder.function(i32Params(2), (fn, ...params) => {
    const [generation, goal] = params as [Local<"i32">, Local<"i32">];
    const short = (): I32 => i32.and(i32.ltS(i32.atomicLoad(zero, control.done), goal), i32.eq(i32.atomicLoad(zero, control.generation), generation));
    const left = fn.let(i32.const(looks));
    fn.while(i32.and(short(), i32.ne(left, zero)), () => fn.set(left, i32.sub(left, one)));
    fn.while(short(), () => fn.call(sleep, [goal]));
  });
}

/**
 * sleep(goal): sleeps until somebody says that more is done, a nap at most. Whoever reaches the goal after this thread has looked either
 * sees it among the sleepers, or has changed the word that it goes to sleep on.
 *
 * A function of its own, whose last local nobody needs: V8 11.3's baseline code of memory.atomic.wait32 stores the address as 8 bytes where
 * it has reserved 4, and so zeroes the local before.
 */
function emitSleep(builder: ModuleBuilder): FunctionRef {
  return builder.function(i32Params(1), (fn, goal) => {
    const done = fn.let(i32.atomicLoad(zero, control.done));
    fn.local("i32");
    fn.if(i32.ltS(done, goal as Local<"i32">), () => {
      fn.drop(i32.atomicAdd(zero, one, control.sleepers));
      fn.drop(i32.atomicWait(zero, done, nap, control.done));
      fn.drop(i32.atomicAdd(zero, i32.const(-1), control.sleepers));
    });
  });
}
