import { type Code, unsigned, type ValueType } from "./code.ts";
import { FunctionBuilder, type FunctionRef, type Local, typeByte } from "./function.ts";

/** A module with one imported memory, functions and exports. Equal calls give equal bytes. */
export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #functions: { readonly type: number; readonly body: readonly number[] }[] = [];
  readonly #exports: { readonly name: string; readonly index: number }[] = [];

  /** Adds a function; `body` writes it with its parameters at hand. */
  function(params: readonly ValueType[], body: (fn: FunctionBuilder, ...params: Local<"i32">[]) => void): FunctionRef {
    const fn = new FunctionBuilder(params);
    body(fn, ...(fn.params as Local<"i32">[]));
    const key = [0x60, ...unsigned(params.length), ...params.map((p) => typeByte[p]), 0].join(",");
    let type = this.#types.indexOf(key);
    if (type < 0) type = this.#types.push(key) - 1;
    this.#functions.push({ type, body: fn.finish() });
    return { index: this.#functions.length - 1, params, result: undefined };
  }

  export(name: string, fn: FunctionRef): void {
    this.#exports.push({ name, index: fn.index });
  }

  /** The binary, and where the flag byte of its memory's limits is (3 = shared with maximum). */
  finish(memory: { readonly import: readonly [string, string]; readonly pages: number }): { readonly bytes: Uint8Array<ArrayBuffer>; readonly sharedFlagOffset: number } {
    const out: number[] = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const section = (id: number, content: readonly number[]) => {
      out.push(id, ...unsigned(content.length));
      const start = out.length;
      for (const b of content) out.push(b);
      return start;
    };
    const name = (s: string) => [...unsigned(s.length), ...new TextEncoder().encode(s)];
    section(1, [...unsigned(this.#types.length), ...this.#types.flatMap((t) => t.split(",").map(Number))]);
    const pages = unsigned(memory.pages);
    const imports = [1, ...name(memory.import[0]), ...name(memory.import[1]), 0x02, 0x03, ...pages, ...pages];
    const start = section(2, imports);
    const sharedFlagOffset = start + imports.length - 2 * pages.length - 1;
    section(3, [...unsigned(this.#functions.length), ...this.#functions.flatMap((f) => unsigned(f.type))]);
    section(7, [...unsigned(this.#exports.length), ...this.#exports.flatMap((x) => [...name(x.name), 0x00, ...unsigned(x.index)])]);
    const bodies: number[] = [];
    for (const f of this.#functions) {
      bodies.push(...unsigned(f.body.length));
      for (const b of f.body) bodies.push(b);
    }
    section(10, [...unsigned(this.#functions.length), ...bodies]);
    return { bytes: new Uint8Array(out), sharedFlagOffset };
  }

  /** Size of a function's body. */
  bodyBytes(fn: FunctionRef): number {
    return this.#functions[fn.index]?.body.length ?? 0;
  }

  get codeBytes(): number {
    return this.#functions.reduce((n, f) => n + f.body.length, 0);
  }
}

/** What a generated function takes: i32 addresses and counts only. */
export const i32Params = (count: number): ValueType[] => new Array<ValueType>(count).fill("i32");

export type { Code, FunctionBuilder, FunctionRef, Local };
