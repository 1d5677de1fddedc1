import type { FunctionRef } from "../codegen/wasm/function.ts";
import type { ModuleBuilder } from "../codegen/wasm/module.ts";
import { canonicalText } from "../kernels/costs.ts";
import { emitKernel } from "../kernels/emit.ts";
import type { KernelCall, KernelGraph } from "../lower/kernel-graph.ts";

/** The function of equal kernels. */
export interface Kernel {
  readonly ref: FunctionRef;
  readonly operands: number;
  /** Estimated cycles of all its calls in one inference. */
  readonly cycles: number;
}

/** Emits the kernels of a graph, each once: which of them each call is. */
export function emitKernels(builder: ModuleBuilder, graph: KernelGraph): ReadonlyMap<KernelCall, Kernel> {
  const known = new Map<string, { readonly ref: FunctionRef; readonly operands: number; cycles: number }>();
  return new Map(
    graph.calls.map((call) => {
      const { template, problem, choice, operands } = call;
      const key = `${template.name} ${canonicalText([problem, choice])}`;
      const kernel = known.get(key) ?? { ref: emitKernel(builder, graph.target, template, problem, choice), operands: operands.length, cycles: 0 };
      kernel.cycles += cyclesOf(call, graph);
      known.set(key, kernel);
      return [call, kernel];
    }),
  );
}

export const cyclesOf = ({ template, problem, choice, repeat }: KernelCall, { target }: KernelGraph): number => template.cost(problem, choice, target) * (repeat?.count ?? 1);
