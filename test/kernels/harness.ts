import fc from "fast-check";
import type { Target } from "../../src/codegen/target.ts";
import { ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { emitKernel } from "../../src/kernels/emit.ts";
import type { KernelTemplate } from "../../src/kernels/kernel.ts";
import { currentEngine } from "../engine.ts";
import type { Action, Instance } from "../instance.ts";

/** A quiet NaN that no kernel makes: it surrounds buffers, fills outputs, and spoils every sum that reads it. */
export const canary = 0x7fc5a5a5;
const guardBytes = 256;

/** The contents of one operand's buffer; its address is that of element `at`. */
export interface Operand {
  readonly data: Float32Array | Int32Array;
  readonly at?: number;
  /** Space that the kernel may overwrite. */
  readonly scratch?: boolean;
}

/** What the kernel must leave at an index of the last operand's buffer; every other word of memory must stay as it was. */
export type Expected = ReadonlyMap<number, { readonly value: number; readonly tolerance: number }>;

export interface KernelCase<P, C> {
  readonly template: KernelTemplate<P, C>;
  readonly problem: P;
  /** One for each name of `template.operands`. */
  readonly operands: Readonly<Record<string, Operand>>;
  readonly expected: Expected;
  /** Contents of operand `w` as the choice wants them, where that differs; at most as long as its `data` in `operands`. */
  readonly weights?: (choice: C) => Float32Array | Int32Array;
  /** Further choices to try beside those of the template. */
  readonly more?: (choices: readonly C[]) => readonly C[];
}

/** An output buffer nobody has written yet. */
export const blank = (elements: number): Float32Array => new Float32Array(new Int32Array(elements).fill(canary).buffer);

/**
 * Runs every choice for every target of the current engine, its items shared among 1, 2 and 3 threads (one after the other), and compares with what
 * is expected: float32 outputs within the tolerance, int32 outputs exactly. Throws at the first difference, naming target, choice and place.
 */
export function checkKernel<P, C>({ template, problem, operands, expected, weights, more }: KernelCase<P, C>): void {
  const engine = currentEngine();
  const names = template.operands(problem);
  const given = Object.keys(operands);
  if (names.join() !== given.join()) throw new Error(`operands are ${names.join()}, given ${given.join()}`);
  const { words, starts } = layOut(names.map((n) => operands[n] as Operand));
  const pages = Math.ceil(words.byteLength / 65536);
  const base = pages * 65536 - words.byteLength;
  const addresses = names.map((name, i) => base + 4 * ((starts[i] as number) + ((operands[name] as Operand).at ?? 0)));
  const output = operands[names.at(-1) as string] as Operand;
  const scratch = names.flatMap((name, i) =>
    operands[name]?.scratch === true ? [[starts[i] as number, (starts[i] as number) + (operands[name]?.data.length ?? 0)] as const] : [],
  );
  const outputWord = starts.at(-1) as number;
  const variants = engine.targets.flatMap((target) => {
    const choices = template.choices(problem, target);
    if (choices.length === 0) throw new Error(`${template.name} has no choice on ${target.name}`);
    return [...choices, ...(more?.(choices) ?? [])].map((choice) => ({ target, choice }));
  });
  const instance = instantiate(template, problem, variants, pages);
  variants.forEach(({ target, choice }, v) => {
    const items = template.items(problem, choice);
    const at = `${template.name} on ${target.name}, choice ${JSON.stringify(choice)}`;
    if (weights !== undefined) {
      const w = operands.w as Operand;
      const start = starts[names.indexOf("w")] as number;
      const contents = weights(choice);
      words.fill(canary, start, start + w.data.length).set(new Int32Array(contents.buffer, contents.byteOffset, contents.length), start);
    }
    const before = new Uint8Array(words.buffer);
    const actions = [1, 2, 3].flatMap((threads): Action[] => {
      const share = (t: number) => Math.floor((items * t) / threads);
      const calls = Array.from({ length: threads }, (_, t): Action => ({ kind: "call", name: String(v), args: [...addresses, share(t), share(t + 1)] }));
      return [{ kind: "write", at: base, data: before }, ...calls, { kind: "read", at: base, bytes: before.length }];
    });
    const [single, ...shared] = instance.perform(actions).map((bytes) => {
      const now = new Int32Array(bytes.buffer);
      for (const [start, end] of scratch) now.set(words.subarray(start, end), start);
      return now;
    }) as [Int32Array, ...Int32Array[]];
    compare(single, words, outputWord, output, expected, at);
    shared.forEach((now, k) => {
      const i = now.findIndex((w, j) => w !== single[j]);
      if (i >= 0) throw new Error(`${at}: shared among ${k + 2} threads, word ${i - outputWord} of the output differs from one thread's`);
    });
  });
}

/**
 * Places operands before one another with guards between them, the first one so that memory ends behind its guard: reading further than
 * that traps. Addresses (from the first word on) are multiples of 4 but seldom of 16.
 */
function layOut(operands: readonly Operand[]): { readonly words: Int32Array<ArrayBuffer>; readonly starts: readonly number[] } {
  const size = operands.reduce((n, { data }, i) => n + data.length + guardBytes / 4 + (i % 4), guardBytes / 4);
  let end = size - guardBytes / 4;
  const starts = operands.map(({ data }, i) => {
    const start = end - data.length;
    end = start - guardBytes / 4 - ((i + 1) % 4 === 0 ? 0 : 1);
    return start;
  });
  const words = new Int32Array(size).fill(canary);
  operands.forEach(({ data }, i) => {
    words.set(new Int32Array(data.buffer, data.byteOffset, data.length), starts[i] as number);
  });
  return { words, starts };
}

function instantiate<P, C>(template: KernelTemplate<P, C>, problem: P, variants: readonly { readonly target: Target; readonly choice: C }[], pages: number): Instance {
  const builder = new ModuleBuilder();
  variants.forEach(({ target, choice }, i) => {
    builder.export(String(i), emitKernel(builder, target, template, problem, choice));
  });
  const { bytes, sharedFlagOffset } = builder.finish({ import: ["m", "memory"], pages });
  bytes[sharedFlagOffset] = 1;
  return currentEngine().load(bytes, ["m", "memory"], pages);
}

function compare(now: Int32Array, before: Int32Array, outputWord: number, output: Operand, expected: Expected, at: string): void {
  const floats = new Float32Array(now.buffer, now.byteOffset, now.length);
  const exact = output.data instanceof Int32Array;
  for (let i = 0; i < now.length; i++) {
    const index = i - outputWord;
    const want = index >= 0 && index < output.data.length ? expected.get(index) : undefined;
    if (want === undefined) {
      if (now[i] !== before[i]) throw new Error(`${at}: wrote word ${index} of the output, which is not its own`);
    } else if (exact) {
      if (now[i] !== want.value) throw new Error(`${at}: output[${index}] is ${now[i]}, not ${want.value}`);
    } else {
      const got = floats[i] as number;
      const same = Object.is(got, want.value) || (Number.isNaN(got) && Number.isNaN(want.value) && now[i] !== canary) || Math.abs(got - want.value) <= want.tolerance;
      if (!same) throw new Error(`${at}: output[${index}] is ${now[i] === canary ? "not written" : got}, not ${want.value} ± ${want.tolerance}`);
    }
  }
}

/**
 * Checks that a property of problems and a seed holds for `runs` of them; `CADNN_FUZZ=10` makes that ten times as many, and slow engines run fewer.
 * Where a case fails, slow engines look for no smaller one.
 */
export function fuzz<P>(problems: fc.Arbitrary<P>, runs: number, check: (problem: P, seed: number) => void): void {
  fc.assert(fc.property(problems, fc.integer({ min: 1, max: 1 << 30 }), check), {
    numRuns: Math.ceil(runs * currentEngine().share * Number(process.env.CADNN_FUZZ ?? 1)),
    endOnFailure: currentEngine().share < 1,
  });
}
