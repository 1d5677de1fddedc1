import { CadnnError } from "../errors.ts";
import type { LoweringSwitches } from "../lower/options.ts";
import { fusions, passes } from "../passes/index.ts";

/** Optimizations that can be switched off as a whole, to see what each of them gains. All are on unless said otherwise. */
export interface Switches extends LoweringSwitches {
  /** Passes that make one op of several: normalization, activation, residual and padding into convolutions, elementwise ops into one. */
  readonly fuse: boolean;
  /** Choices of kernels by measurements, where there are any for the problem. */
  readonly tune: boolean;
}

/** @example { fuse: false } // is the same as { disable: ["fuse"] } */
export interface OptimizeSwitches extends Partial<Switches> {
  /** Names of passes and switches to leave out. */
  readonly disable?: readonly string[];
}

export const switchNames = ["fuse", "layout", "loadElimination", "winograd", "tune"] as const satisfies readonly (keyof Switches)[];

/** What a compilation does: all switches, and the passes that are left out. Throws `E_INVALID_OPTION` for a name that neither a pass nor a switch has. */
export function resolveSwitches(options: OptimizeSwitches = {}): Switches & { readonly disable: readonly string[] } {
  const off = new Set<string>([...(options.disable ?? []), ...switchNames.filter((name) => options[name] === false)]);
  const known = new Set<string>([...switchNames, ...passes.map((pass) => pass.name)]);
  for (const name of off)
    if (!known.has(name)) {
      const hint = `Switches are ${switchNames.join(", ")}; passes are ${passes.map((pass) => pass.name).join(", ")}.`;
      throw new CadnnError("E_INVALID_OPTION", `there is no optimization ${name}`, { at: name, hint });
    }
  const [fuse, layout, loadElimination, winograd, tune] = switchNames.map((name) => !off.has(name)) as [boolean, boolean, boolean, boolean, boolean];
  const disable = passes.filter((pass) => off.has(pass.name) || (!fuse && fusions.has(pass))).map((pass) => pass.name);
  return { fuse, layout, loadElimination, winograd, tune, disable };
}
