import { control } from "../../../src/artifact/control.ts";

/** Just enough of the Wasm binary format to write modules for tests by hand. */
export type Code = readonly (number | Code)[];

export const i32 = 0x7f;
export const f32 = 0x7d;

export function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const isLast = (rest >> 7 === 0 && (rest & 64) === 0) || (rest >> 7 === -1 && (rest & 64) !== 0);
    bytes.push((rest & 127) | (isLast ? 0 : 128));
    if (isLast) return bytes;
  }
}

/** The same for unsigned numbers. */
export function uleb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...uleb(value >>> 7)];
}

export const constant = (value: number): Code => [0x41, leb(value)];
export const float = (value: number): Code => [0x43, ...new Uint8Array(Float32Array.of(value).buffer)];
export const get = (local: number): Code => [0x20, local];
export const set = (local: number): Code => [0x21, local];
export const call = (index: number): Code => [0x10, index];
export const loadF32 = (offset: number): Code => [0x2a, 2, uleb(offset)];
export const storeF32 = (offset: number): Code => [0x38, 2, uleb(offset)];
export const loadI32 = (offset: number): Code => [0x28, 2, uleb(offset)];
export const storeI32 = (offset: number): Code => [0x36, 2, uleb(offset)];
export const add = 0x6a;
export const subtract = 0x6b;
export const addF32 = 0x92;
export const multiplyF32 = 0x94;
export const when = (condition: Code, then: Code, otherwise?: Code): Code => [condition, 0x04, 0x40, then, otherwise === undefined ? [] : [0x05, otherwise], 0x0b];
export const equals = (a: Code, b: Code): Code => [a, b, 0x46];

/** for (local = start; local < end; local += step) body */
export function loop(local: number, start: Code, end: number, step: Code, body: Code): Code {
  return [start, set(local), 0x02, 0x40, 0x03, 0x40, get(local), constant(end), 0x4e, 0x0d, 1, body, get(local), step, add, set(local), 0x0c, 0, 0x0b, 0x0b];
}

/** Byte offset of element `index` of an array of 4-byte elements. */
export const at = (index: Code): Code => [index, constant(2), 0x74];

/**
 * Meeting number `index` of a run, of threads that each count one unit as done and wait for the others'. At the last one only thread 0 waits, since
 * the pool may start the next run as soon as it goes on. `threads` is a local, `seen` a spare one.
 */
export function meeting(index: number, last: boolean, threads: number, seen: number): Code {
  const atomic = (op: number): Code => [0xfe, op, 2, uleb(control.done)];
  const zero = constant(0);
  const arrive: Code = [
    [zero, constant(1), atomic(0x1e), 0x1a],
    [zero, constant(-1), atomic(0x00), 0x1a],
  ];
  const short: Code = [zero, atomic(0x10), set(seen), get(seen), get(threads), constant(index + 1), 0x6c, 0x48];
  const nap: Code = [zero, get(seen), 0x42, 0x80, 0xda, 0xc4, 0x09, atomic(0x01), 0x1a]; // 20 ms
  const wait: Code = [0x03, 0x40, when(short, [nap, 0x0c, 1]), 0x0b];
  const several: Code = [arrive, last ? when([get(0), 0x45], wait) : wait];
  return when([get(threads), constant(1), 0x4a], several); // threads > 1
}

export interface FunctionSource {
  readonly parameters: number;
  readonly locals: number;
  readonly body: Code;
  readonly name?: string;
}

/** A module of functions of i32s without results, with the memory env.memory. Returns where its shared flag is. */
export function assemble(functions: readonly FunctionSource[], pages: number): { code: Uint8Array; sharedFlagOffset: number } {
  const flat = (code: Code): number[] => code.flatMap((part) => (typeof part === "number" ? [part] : flat(part)));
  const vector = (items: readonly Code[]): number[] => [...uleb(items.length), ...flat(items)];
  const text = (s: string): number[] => [...uleb(s.length), ...new TextEncoder().encode(s)];
  const section = (id: number, content: readonly number[]): number[] => [id, ...uleb(content.length), ...content];
  const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...section(1, vector(functions.map((f) => [0x60, vector(new Array<Code>(f.parameters).fill([i32])), 0])))];
  const imports = section(2, [1, ...text("env"), ...text("memory"), 2, 3, ...uleb(pages), ...uleb(pages)]);
  const sharedFlagOffset = head.length + imports.length - 1 - 2 * uleb(pages).length;
  const rest = [
    ...section(3, vector(functions.map((_, i) => [i]))),
    ...section(7, vector(functions.flatMap((f, i) => (f.name === undefined ? [] : [[text(f.name), 0, i]])))),
    ...section(
      10,
      vector(
        functions.map((f) => {
          const body = flat([1, f.locals, i32, f.body, 0x0b]);
          return [uleb(body.length), body];
        }),
      ),
    ),
  ];
  return { code: Uint8Array.from([...head, ...imports, ...rest]), sharedFlagOffset };
}
