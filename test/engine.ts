import { type Target, targets } from "../src/codegen/target.ts";
import { enableRelaxedSimd } from "../src/node/engine.ts";
import { type Instance, instantiate, type MemoryName } from "./instance.ts";

/** Where tests run generated code: in this process, or in an emulated one of another processor. */
export interface Engine {
  /** Those whose modules it accepts and that are worth running there. */
  readonly targets: readonly Target[];
  /** Which part of the usual random cases it runs. */
  readonly share: number;
  /** A module that imports an unshared memory of so many pages. At least the instance that was loaded last stays usable. */
  load(module: Uint8Array, memory: MemoryName, pages: number): Instance;
}

/** This process. Without relaxed SIMD the targets that need it are left out. */
export const localEngine: Engine = { targets: Object.values(targets).filter((t) => enableRelaxedSimd() || !t.fma), share: 1, load: instantiate };

let current: Engine = localEngine;

/** Where kernels are tested from now on. */
export const useEngine = (engine: Engine): void => {
  current = engine;
};
export const currentEngine = (): Engine => current;
