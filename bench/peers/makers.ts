import type { MakeContender } from "./contender.ts";

/** The contenders' modules, each loaded where it is needed only. */
export const browserMakers: Readonly<Record<string, () => Promise<MakeContender>>> = {
  cadnn: async () => (await import("./contenders/cadnn.ts")).makeCadnn,
  "onnxruntime-web": async () => (await import("./contenders/onnxruntime-web.ts")).makeOnnxruntimeWeb,
  litert: async () => (await import("./contenders/litert.ts")).makeLitert,
  tfjs: async () => (await import("./contenders/tfjs.ts")).makeTfjs,
};

export const nodeMakers: Readonly<Record<string, () => Promise<MakeContender>>> = {
  cadnn: async () => (await import("./contenders/cadnn.ts")).makeCadnn,
  "onnxruntime-web": async () => (await import("./contenders/onnxruntime-web.ts")).makeOnnxruntimeWeb,
  "onnxruntime-node": async () => (await import("./contenders/onnxruntime-node.ts")).makeOnnxruntimeNode,
};
