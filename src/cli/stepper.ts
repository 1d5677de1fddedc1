import { setImmediate } from "node:timers/promises";
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
  return yielding(sessionStepper(async (graph) => createSession(await compile(graph, { targets: [target] }), { threads })));
}

/**
 * Lets the event loop turn every 50 ms. Sessions run synchronously in Node, so that a loop of steps would otherwise keep Ctrl-C, timers
 * and the terminal waiting until it ends.
 */
export function yielding(make: MakeStepper): MakeStepper {
  let turned = performance.now();
  return async (graph) => {
    const stepper = await make(graph);
    return {
      ...stepper,
      async run(feeds) {
        if (performance.now() - turned > 50) {
          await setImmediate();
          turned = performance.now();
        }
        return stepper.run(feeds);
      },
    };
  };
}
