import { enableRelaxedSimd } from "../node/engine.ts";
import type { MakeStepper } from "../train/stepper.ts";

/** Steps on generated kernels, compiled in memory for this engine's target. */
export async function kernelStepper(threads: number | undefined): Promise<MakeStepper> {
  enableRelaxedSimd();
  const [{ compile }, { sessionStepper }, { createSession, detectFeatures }, { targetsFor }] = await Promise.all([
    import("../compile/index.ts"),
    import("../train/session-stepper.ts"),
    import("../runtime/index.ts"),
    import("../runtime/features.ts"),
  ]);
  const target = targetsFor(detectFeatures())[0] ?? "wasm-x64-plain";
  return sessionStepper(async (graph) => createSession(await compile(graph, { targets: [target] }), { threads }));
}
