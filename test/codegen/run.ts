import { disassemble } from "../../src/codegen/wasm/disassemble.ts";
import type { FunctionBuilder, Local } from "../../src/codegen/wasm/function.ts";
import { i32Params, ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";

enableRelaxedSimd();

/** One function of i32 parameters with a page of memory around it. */
export function assemble(params: number, body: (fn: FunctionBuilder, ...params: Local<"i32">[]) => void) {
  const builder = new ModuleBuilder();
  builder.export("run", builder.function(i32Params(params), body));
  const { bytes, sharedFlagOffset } = builder.finish({ import: ["m", "memory"], pages: 1 });
  bytes[sharedFlagOffset] = 1;
  const text = () => disassemble(bytes);
  const load = () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { memory } });
    return { run: exports.run as (...args: number[]) => void, words: new Int32Array(memory.buffer), floats: new Float32Array(memory.buffer), bytes: new Uint8Array(memory.buffer) };
  };
  return { bytes, text, load, valid: () => WebAssembly.validate(bytes) };
}
