import type { TargetName } from "../../src/artifact/manifest.ts";
import { compile } from "../../src/compile/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { DType, Tensor, TensorData } from "../../src/ir/types.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";
import { createSession } from "../../src/runtime/index.ts";

enableRelaxedSimd();

/** Runs an artifact once; outputs by name. */
export async function runArtifact(artifact: Uint8Array, feeds: Readonly<Record<string, Tensor>>, target: TargetName, threads = 1): Promise<Map<string, Tensor>> {
  const session = await createSession(artifact, { target, threads });
  try {
    const results = await session.run(feeds);
    return new Map(session.outputs.map(({ name }) => [name, results[name] as { shape: number[]; dtype: DType; data: TensorData } as Tensor]));
  } finally {
    await session.dispose();
  }
}

/** Compiles a graph for one target and runs it once. */
export async function runCompiled(graph: Graph, feeds: Readonly<Record<string, Tensor>>, target: TargetName = "wasm-x64-relaxed", threads = 1): Promise<Map<string, Tensor>> {
  return runArtifact(await compile(graph, { targets: [target] }), feeds, target, threads);
}
