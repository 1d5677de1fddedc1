import type { CompiledModel } from "@litertjs/core";
import type { MakeContender } from "../contender.ts";

/** Where the server has the library's Wasm files. */
const wasmFolder = "/modules/@litertjs/core/wasm/";

/** XNNPACK compiled with relaxed SIMD. With one thread, the build without threads, which is the faster one there. */
export const makeLitert: MakeContender = ({ threads, library }) => {
  let model: CompiledModel | undefined;
  let litert: typeof import("@litertjs/core") | undefined;
  return {
    async load({ bytes }) {
      litert = (await import(library)) as typeof import("@litertjs/core");
      // In a worker its glue code would look beside the worker's own script.
      Object.assign(globalThis, {
        Module: { locateFile: (file: string) => wasmFolder + file, ...(threads > 1 && { mainScriptUrlOrBlob: `${wasmFolder}litert_wasm_threaded_internal.js` }) },
      });
      await litert.loadLiteRt(wasmFolder, { threads: threads > 1 });
      model = await litert.loadAndCompile(bytes, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
    },
    async run({ data, shape }) {
      if (model === undefined || litert === undefined) throw new Error("not loaded");
      const input = new litert.Tensor(data, [...shape]);
      const outputs = await model.run([input]);
      const result = outputs[0]?.toTypedArray() as Float32Array;
      const copy = result.slice();
      input.delete();
      for (const output of outputs) output.delete();
      return copy;
    },
  };
};
