import type { Target } from "../codegen/target.ts";
import type { KernelTemplate } from "./kernel.ts";

/** A way to compute a problem, and what it costs in cycles of one thread. */
export interface Priced<C> {
  readonly choice: C;
  readonly cost: number;
}

/**
 * What kernels cost, estimated or measured, all in one unit: cycles of one thread. Lowering asks for nothing else when it chooses tiles, kernels and
 * layouts.
 */
export interface Costs {
  /** The cheapest choice for the problem; `undefined` if there is none. */
  best<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target): Priced<C> | undefined;
}

/** By the cost models of the kernels alone. */
export const estimatedCosts: Costs = {
  best<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target) {
    let best: Priced<C> | undefined;
    for (const choice of template.choices(problem, target)) {
      const cost = template.cost(problem, choice, target);
      if (best === undefined || cost < best.cost) best = { choice, cost };
    }
    return best;
  },
};

/** JSON with sorted keys, and with the infinities of activations as text. Equal values give equal texts. */
export const canonicalText = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) => {
    if (typeof v === "number" && !Number.isFinite(v)) return String(v);
    if (typeof v !== "object" || v === null || Array.isArray(v)) return v;
    return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)));
  });

/** What `canonicalText` was made from. */
export const parseCanonical = (text: string): unknown => JSON.parse(text, (_, v: unknown) => (v === "Infinity" || v === "-Infinity" ? Number(v) : v));
