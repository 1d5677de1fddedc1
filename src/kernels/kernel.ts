import type { Target } from "../codegen/target.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import type { Reuse } from "./reuse.ts";

/**
 * One row of the kernel table: a family of functions, one for each problem (what is computed: shapes, strides, fused parts) and
 * choice (how: tiles, unrolling, order). Strides and offsets of problems are in elements of 4 bytes; every buffer element has 4 bytes.
 *
 * A generated function takes one i32 address an operand, then `begin` and `end`, the range of work items that the calling thread does.
 */
export interface KernelTemplate<P = unknown, C = unknown> {
  /** `<dtype>-<kernel>`. */
  readonly name: string;
  readonly backend: "wasm";
  /** All choices that are right for the problem on the target, best guess first. Never empty. */
  choices(problem: P, target: Target): readonly C[];
  /** Estimated cycles of one thread. Ranks choices, and kernels against each other. */
  cost(problem: P, choice: C, target: Target): number;
  /** What its loops come back to. Absent where they read everything once. */
  reuse?(problem: P, choice: C): Reuse;
  /** Whether a vector of input, once loaded, serves several filters or rows of output. Absent where no choice does that. */
  sharesLoads?(problem: P, choice: C): boolean;
  /** The problem with all that hardly changes its time rounded, so that like problems share measurements; left out, the problem itself. */
  digest?(problem: P): object;
  /** Name of the problem's number, if it has one, that scales its cost and hardly changes which choice is best: problems that differ in nothing else share choices. */
  readonly amount?: string;
  /** Number of independent work items. */
  items(problem: P, choice: C): number;
  /** Names of the address parameters, in order. The last is written; one named `scratch` is space in which each item has a part of its own. */
  operands(problem: P): readonly string[];
  emit(context: EmitContext, problem: P, choice: C): void;
}

export interface EmitContext {
  readonly fn: FunctionBuilder;
  readonly target: Target;
  /** Address of each operand by its name. */
  readonly operand: (name: string) => Local<"i32">;
  readonly begin: Local<"i32">;
  readonly end: Local<"i32">;
}

/** A count to two significant digits, for digests. */
export const roundedCount = (n: number): number => Number(n.toPrecision(2));

export function defineKernel<P, C>(template: KernelTemplate<P, C>): KernelTemplate<P, C> {
  return template;
}

/** The template with those choices alone that load a vector again for each filter and row. */
export function withoutSharedLoads<P, C>(template: KernelTemplate<P, C>): KernelTemplate<P, C> {
  return { ...template, choices: (problem, target) => template.choices(problem, target).filter((choice) => template.sharesLoads?.(problem, choice) !== true) };
}
