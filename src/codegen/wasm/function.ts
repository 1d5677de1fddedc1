import { invariant } from "../../errors.ts";
import { type Code, type F32, type I32, i32, unsigned, type V128, type ValueType } from "./code.ts";

export interface Local<T extends ValueType = ValueType> extends Code<T> {
  readonly index: number;
}

/** A function of the module under construction, to be called with `call`. */
export interface FunctionRef {
  readonly index: number;
  readonly params: readonly ValueType[];
  readonly result: ValueType | undefined;
}

export const typeByte: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, v128: 0x7b };
const simd = (op: number) => [0xfd, ...unsigned(op)];

/** Writes one function body, statement by statement. */
export class FunctionBuilder {
  readonly params: readonly Local[];
  readonly #locals: ValueType[] = [];
  readonly #bytes: number[] = [];
  readonly #paramTypes: readonly ValueType[];

  constructor(params: readonly ValueType[]) {
    this.#paramTypes = params;
    this.params = params.map((type, index) => ({ type, index, bytes: [0x20, ...unsigned(index)] }));
  }

  param(index: number): Local<"i32"> {
    const p = this.params[index];
    invariant(p?.type === "i32", `parameter ${index} is not an i32`);
    return p as Local<"i32">;
  }

  local<T extends ValueType>(type: T): Local<T> {
    const index = this.#paramTypes.length + this.#locals.length;
    this.#locals.push(type);
    return { type, index, bytes: [0x20, ...unsigned(index)] };
  }

  locals<T extends ValueType>(type: T, count: number): Local<T>[] {
    return Array.from({ length: count }, () => this.local(type));
  }

  /** A new local that holds `value`. */
  let<T extends ValueType>(value: Code<T>): Local<T> {
    const l = this.local(value.type);
    this.set(l, value);
    return l;
  }

  set<T extends ValueType>(local: Local<T>, value: Code<T>): void {
    this.#emit(value.bytes, [0x21], unsigned(local.index));
  }

  drop(value: Code): void {
    this.#emit(value.bytes, [0x1a]);
  }

  storeI32(address: I32, value: I32, offset = 0): void {
    this.#emit(address.bytes, value.bytes, [0x36, 2], unsigned(offset));
  }

  storeF32(address: I32, value: F32, offset = 0): void {
    this.#emit(address.bytes, value.bytes, [0x38, 2], unsigned(offset));
  }

  store(address: I32, value: V128, offset = 0): void {
    this.#emit(address.bytes, value.bytes, simd(0x0b), [4], unsigned(offset));
  }

  /** Stores the low `count` lanes (1…4). */
  storeLanes(address: I32, value: Local<"v128">, count: number, offset = 0): void {
    if (count >= 4) return this.store(address, value, offset);
    if (count >= 2) this.#emit(address.bytes, value.bytes, simd(0x5b), [3], unsigned(offset), [0]);
    if (count % 2 === 1) this.#emit(address.bytes, value.bytes, simd(0x5a), [2], unsigned(offset + (count - 1) * 4), [count - 1]);
  }

  storeAtomicI32(address: I32, value: I32, offset = 0): void {
    this.#emit(address.bytes, value.bytes, [0xfe, 0x17, 2], unsigned(offset));
  }

  /** memory.fill */
  fill(address: I32, byte: I32, bytes: I32): void {
    this.#emit(address.bytes, byte.bytes, bytes.bytes, [0xfc, 0x0b, 0]);
  }

  /** memory.copy */
  copy(to: I32, from: I32, bytes: I32): void {
    this.#emit(to.bytes, from.bytes, bytes.bytes, [0xfc, 0x0a, 0, 0]);
  }

  call(target: FunctionRef, args: readonly Code[]): void {
    invariant(target.result === undefined, "call() is for functions without a result");
    this.#emit(...args.map((a) => a.bytes), [0x10], unsigned(target.index));
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.#emit(condition.bytes, [0x04, 0x40]);
    then();
    if (otherwise !== undefined) {
      this.#emit([0x05]);
      otherwise();
    }
    this.#emit([0x0b]);
  }

  /** do { body } while (condition()); the condition is emitted after the body. */
  doWhile(body: () => void, condition: () => I32): void {
    this.#emit([0x03, 0x40]);
    body();
    this.#emit(condition().bytes, [0x0d, 0, 0x0b]);
  }

  /** while (condition) body */
  while(condition: I32, body: () => void): void {
    this.if(condition, () => this.doWhile(body, () => condition));
  }

  /** for (; variable < end; variable += step) body; signed. The variable must be set before. */
  for(variable: Local<"i32">, end: I32, step: number, body: () => void): void {
    this.while(i32.ltS(variable, end), () => {
      body();
      this.set(variable, i32.add(variable, i32.const(step)));
    });
  }

  /** Calls body with each index's block; `index` must be in range. */
  switch(index: I32, cases: readonly (() => void)[]): void {
    for (let i = 0; i < cases.length; i++) this.#emit([0x02, 0x40]);
    this.#emit([0x02, 0x40], index.bytes, [0x0e], unsigned(cases.length), ...cases.map((_, i) => unsigned(i)), unsigned(cases.length));
    this.#emit([0x0b]);
    cases.forEach((body, i) => {
      body();
      this.#emit([0x0c], unsigned(cases.length - 1 - i), [0x0b]);
    });
  }

  /** The finished body: local declarations (runs of equal types joined), code, end. */
  finish(): number[] {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    return [...unsigned(runs.length), ...runs.flatMap((r) => [...unsigned(r.count), typeByte[r.type]]), ...this.#bytes, 0x0b];
  }

  #emit(...parts: readonly (readonly number[])[]): void {
    for (const part of parts) for (const byte of part) this.#bytes.push(byte);
  }
}
