import * as ort from "onnxruntime-node";
import type { Tensor } from "../../src/ir/types.ts";

/** Runs a model in onnxruntime on one CPU thread; gives its outputs by name. */
export async function runOnnxruntime(model: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  try {
    const entries = Object.entries(feeds).map(([name, t]) => [name, new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.shape)] as const);
    const results = await session.run(Object.fromEntries(entries));
    return Object.fromEntries(Object.entries(results).map(([name, t]) => [name, { dtype: t.type, shape: t.dims, data: t.data } as Tensor]));
  } finally {
    await session.release();
  }
}
