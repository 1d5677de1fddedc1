import type { GraphModel } from "@tensorflow/tfjs";
import type { MakeContender } from "../contender.ts";

const wasmFolder = "/modules/@tensorflow/tfjs-backend-wasm/wasm-out/";

/** Graph model on the Wasm backend. The weights are fetched by the library itself. */
export const makeTfjs: MakeContender = ({ threads, library }) => {
  let model: GraphModel | undefined;
  let tf: typeof import("@tensorflow/tfjs") | undefined;
  return {
    async load({ url }) {
      // It takes half of the processors at most; here all contenders have equal threads.
      Object.defineProperty(navigator, "hardwareConcurrency", { value: 2 * threads });
      const loaded = (await import(library)) as typeof import("@tensorflow/tfjs") & typeof import("@tensorflow/tfjs-backend-wasm");
      tf = loaded;
      loaded.setWasmPaths(wasmFolder);
      loaded.setThreadsCount(threads);
      tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", threads > 1);
      await tf.setBackend("wasm");
      await tf.ready();
      if (loaded.getThreadsCount() !== threads) throw new Error(`TensorFlow.js took ${loaded.getThreadsCount()} threads, not ${threads}`);
      model = await tf.loadGraphModel(url);
    },
    async run({ data, shape }) {
      if (model === undefined || tf === undefined) throw new Error("not loaded");
      const input = tf.tensor(data, [...shape]);
      const output = model.predict(input) as import("@tensorflow/tfjs").Tensor;
      const result = (await output.data()) as Float32Array;
      tf.dispose([input, output]);
      return result;
    },
  };
};
