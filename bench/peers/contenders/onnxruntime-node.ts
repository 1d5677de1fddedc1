import type { InferenceSession } from "onnxruntime-node";
import type { MakeContender } from "../contender.ts";

/** Native code with all that the processor has, on its CPU provider. */
export const makeOnnxruntimeNode: MakeContender = ({ threads, library }) => {
  let session: InferenceSession | undefined;
  let ort: typeof import("onnxruntime-node") | undefined;
  return {
    async load({ bytes }) {
      ort = (await import(library)) as typeof import("onnxruntime-node");
      session = await ort.InferenceSession.create(bytes, { executionProviders: ["cpu"], graphOptimizationLevel: "all", intraOpNumThreads: threads, interOpNumThreads: 1 });
    },
    async run({ data, shape }) {
      if (session === undefined || ort === undefined) throw new Error("not loaded");
      const results = await session.run({ [session.inputNames[0] as string]: new ort.Tensor("float32", data, shape) });
      return results[session.outputNames[0] as string]?.data as Float32Array;
    },
  };
};
