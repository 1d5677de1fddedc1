import type { MakeContender } from "../contender.ts";

/** A row for each contender; its module is loaded in its own process only. */
export const contenders: Readonly<Record<string, () => Promise<MakeContender>>> = {
  cadnn: async () => (await import("./cadnn.ts")).makeCadnn,
  "onnxruntime-web": async () => (await import("./onnxruntime-web.ts")).makeOnnxruntimeWeb,
};
