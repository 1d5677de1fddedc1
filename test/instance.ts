/** What is done to an instance's memory, in order. Bytes that are read are handed back, in order. */
export type Action =
  | { readonly kind: "write"; readonly at: number; readonly data: Uint8Array }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly number[] }
  | { readonly kind: "read"; readonly at: number; readonly bytes: number };

export interface Instance {
  perform(actions: readonly Action[]): Uint8Array[];
}

/** By which names a module imports its memory. */
export type MemoryName = readonly [module: string, name: string];

/** An instance in this engine. Refers to nothing but WebAssembly, so that it runs in any shell. */
export function instantiate(module: Uint8Array, [from, name]: MemoryName, pages: number): Instance {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module as Uint8Array<ArrayBuffer>), { [from]: { [name]: memory } });
  const bytes = new Uint8Array(memory.buffer);
  return {
    perform(actions) {
      const read: Uint8Array[] = [];
      for (const action of actions)
        if (action.kind === "write") bytes.set(action.data, action.at);
        else if (action.kind === "call") (exports[action.name] as (...args: number[]) => void)(...action.args);
        else read.push(bytes.slice(action.at, action.at + action.bytes));
      return read;
    },
  };
}
