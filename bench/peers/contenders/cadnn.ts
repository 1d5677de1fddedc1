import { setFlagsFromString } from "node:v8";
import { inputName, type MakeContender, outputName } from "../contender.ts";

/** The built package, as users get it; only its types come from the sources. */
const dist = (path: string): string => new URL(`../../../dist/${path}`, import.meta.url).href;

export const makeCadnn: MakeContender = (threads) => {
  let session: import("../../../src/runtime/index.ts").Session | undefined;
  return {
    name: "cadnn",
    async load(onnx) {
      setFlagsFromString("--experimental-wasm-relaxed-simd");
      const { compile } = (await import(dist("index.js"))) as typeof import("../../../src/index.ts");
      const { createSession } = (await import(dist("runtime/index.js"))) as typeof import("../../../src/runtime/index.ts");
      session = await createSession(await compile(onnx), { threads });
      if (session.notes.length > 0) throw new Error(`cadnn: ${session.notes.join("; ")}`);
    },
    async warmup() {
      await session?.warmup();
    },
    async run(input) {
      const results = await session?.run({ [inputName]: input });
      return results?.[outputName]?.data as Float32Array;
    },
    async dispose() {
      await session?.dispose();
    },
  };
};
