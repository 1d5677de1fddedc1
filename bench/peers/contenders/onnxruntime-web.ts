import type { InferenceSession } from "onnxruntime-web";
import type { MakeContender } from "../contender.ts";

/** Its wasm backend, all optimizations on. It finds its own files and starts its threads by itself, in workers as in Node. */
export const makeOnnxruntimeWeb: MakeContender = ({ threads, library }) => {
  let session: InferenceSession | undefined;
  let ort: typeof import("onnxruntime-web") | undefined;
  return {
    async load({ bytes }) {
      ort = (await import(library)) as typeof import("onnxruntime-web");
      ort.env.wasm.numThreads = threads;
      session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    },
    async run({ data, shape }) {
      if (session === undefined || ort === undefined) throw new Error("not loaded");
      const results = await session.run({ [session.inputNames[0] as string]: new ort.Tensor("float32", data, shape) });
      return results[session.outputNames[0] as string]?.data as Float32Array;
    },
  };
};
