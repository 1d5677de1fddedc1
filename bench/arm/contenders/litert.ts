import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runInThisContext } from "node:vm";
import type { CompiledModel } from "@litertjs/core";
import type { MakeContender } from "../../peers/contender.ts";

/** LiteRT.js in Node. It is made for browsers: it gets the few globals that it looks for. */
export const makeLitert: MakeContender = ({ library }) => {
  let model: CompiledModel | undefined;
  let litert: typeof import("@litertjs/core") | undefined;
  return {
    async load({ bytes }) {
      const require = createRequire(import.meta.url);
      const folder = join(dirname(dirname(fileURLToPath(import.meta.resolve(library)))), "wasm");
      const importScripts = (url: string) => {
        const filename = fileURLToPath(new URL(url));
        Object.assign(globalThis, { ModuleFactory: runInThisContext(`${readFileSync(filename, "utf8")}\n;ModuleFactory`, { filename }) });
      };
      Object.assign(globalThis, { self: globalThis, require, __dirname: folder, importScripts });
      litert = (await import(library)) as typeof import("@litertjs/core");
      await litert.loadLiteRt(pathToFileURL(join(folder, "litert_wasm_internal.js")).href);
      model = await litert.loadAndCompile(bytes, { accelerator: "wasm", cpuOptions: { numThreads: 1 } });
    },
    async run({ data, shape }) {
      if (model === undefined || litert === undefined) throw new Error("not loaded");
      const input = new litert.Tensor(data, [...shape]);
      const outputs = await model.run([input]);
      const result = outputs[0]?.toTypedArray().slice() as Float32Array;
      input.delete();
      for (const output of outputs) output.delete();
      return result;
    },
  };
};
