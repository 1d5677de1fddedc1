import type { Target } from "../codegen/target.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";
import { farCycles } from "../kernels/reuse.ts";

/**
 * Counts know no caches. So of choices that they tell apart by less than `near`, the one is best that takes least together with what it waits for memory by its plan,
 * and of choices that hardly differ in that, the kernels' models choose.
 */
const near = 1.04;
const hardly = 1.02;

/** A choice, its cycles by counts, and those that its loops wait for lines from the second-level cache beside them. */
export interface Counted<C = unknown> {
  readonly choice: C;
  readonly cycles: number;
  readonly far: number;
}

/** What a kernel's loops wait for lines from the second-level cache by the choice's plan, cycles. */
export function farOf<P, C>(template: KernelTemplate<P, C>, problem: P, choice: C, target: Target): number {
  const reuse = template.reuse?.(problem, choice);
  return reuse === undefined ? 0 : farCycles(reuse, target);
}

/** Those that are near the fastest one by counts. */
export function nearest<T extends Counted>(choices: readonly T[]): T[] {
  const least = Math.min(...choices.map((c) => c.cycles));
  return choices.filter((c) => c.cycles <= near * least);
}

/** The best of choices that were counted; undefined if there is none. */
export function bestCounted<P, C, T extends Counted<C>>(template: KernelTemplate<P, C>, problem: P, target: Target, choices: readonly T[]): T | undefined {
  const fitting = nearest(choices);
  const least = Math.min(...fitting.map((c) => c.cycles + c.far));
  const alike = fitting.filter((c) => c.cycles + c.far <= hardly * least).map((c) => ({ c, cost: template.cost(problem, c.choice, target) }));
  return alike.sort((a, b) => a.cost - b.cost)[0]?.c;
}
