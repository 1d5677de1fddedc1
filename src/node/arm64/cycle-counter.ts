import { type CountJob, countCalls } from "./count-calls.ts";
import type { Core } from "./estimate.ts";
import { findToolchain } from "./toolchain.ts";

/** Those for which one module is to be good if no core is named. */
export const commonCores: readonly Core[] = ["a55", "a76", "a710", "x1"];

/**
 * What a tuner needs to weigh calls of generated code: their estimated cycles, for several cores the geometric mean. Throws `E_TOOL_MISSING`.
 */
export async function createCycleCounter(
  cores: readonly Core[] = commonCores,
  signal?: AbortSignal,
): Promise<{ readonly engine: string; count(job: CountJob): Promise<(number | undefined)[]> }> {
  const { v8Version, llvmVersion } = await findToolchain();
  return {
    engine: `v8-${v8Version}/llvm-${llvmVersion}/${cores.join("-")}`,
    async count(job) {
      const estimates = await countCalls(job, cores, signal);
      return estimates.map((e) => e && Math.exp(cores.reduce((sum, core) => sum + Math.log(e.cycles[core]), 0) / cores.length));
    },
  };
}
