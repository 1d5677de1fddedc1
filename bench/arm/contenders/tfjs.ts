import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { GraphModel } from "@tensorflow/tfjs";
import type { MakeContender } from "../../peers/contender.ts";

interface ModelFile {
  readonly modelTopology: object;
  readonly format: string;
  readonly generatedBy: string;
  readonly convertedBy: string;
  readonly signature: object;
  readonly weightsManifest: readonly { readonly paths: readonly string[]; readonly weights: [] }[];
}

/** TensorFlow.js in Node, a graph model on the Wasm backend. */
export const makeTfjs: MakeContender = ({ library }) => {
  let model: GraphModel | undefined;
  let tf: typeof import("@tensorflow/tfjs") | undefined;
  return {
    async load({ url, bytes }) {
      tf = (await import("@tensorflow/tfjs-core")) as unknown as typeof import("@tensorflow/tfjs");
      const { loadGraphModel } = (await import(library)) as typeof import("@tensorflow/tfjs");
      await import("@tensorflow/tfjs-backend-wasm");
      await tf.setBackend("wasm");
      const { weightsManifest, ...parts } = JSON.parse(new TextDecoder().decode(bytes)) as ModelFile;
      const files = weightsManifest.flatMap(({ paths }) => paths.map((path) => readFileSync(join(fileURLToPath(new URL(".", url)), path))));
      const weightData = Uint8Array.from(Buffer.concat(files)).buffer;
      model = await loadGraphModel({ load: async () => ({ ...parts, weightSpecs: weightsManifest.flatMap(({ weights }) => weights), weightData }) } as never);
    },
    async run({ data, shape }) {
      if (model === undefined || tf === undefined) throw new Error("not loaded");
      const input = tf.tensor(data, [...shape]);
      const output = model.predict(input) as import("@tensorflow/tfjs").Tensor;
      const result = output.dataSync() as Float32Array;
      tf.dispose([input, output]);
      return result;
    },
  };
};
