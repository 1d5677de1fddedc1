import { setFlagsFromString } from "node:v8";
import { env, InferenceSession, Tensor } from "onnxruntime-web";
import { inputName, type MakeContender, outputName } from "../contender.ts";

/** Its wasm backend, all optimizations on. In Node it finds its own files and starts its threads by `worker_threads`. */
export const makeOnnxruntimeWeb: MakeContender = (threads) => {
  let session: InferenceSession | undefined;
  return {
    name: "onnxruntime-web",
    async load(onnx) {
      setFlagsFromString("--experimental-wasm-relaxed-simd");
      env.wasm.numThreads = threads;
      session = await InferenceSession.create(onnx, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    },
    async run(input) {
      const results = await session?.run({ [inputName]: new Tensor("float32", input.data, input.shape) });
      return results?.[outputName]?.data as Float32Array;
    },
    async dispose() {
      await session?.release();
    },
  };
};
