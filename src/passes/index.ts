import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { verify } from "../ops/verify.ts";
import { eliminateCommonSubexpressions } from "./eliminate-common-subexpressions.ts";
import { eliminateDeadNodes } from "./eliminate-dead-nodes.ts";
import { eliminateIdentity } from "./eliminate-identity.ts";
import { foldBatchNorm, lowerBatchNorm } from "./fold-batch-norm.ts";
import { foldConstants } from "./fold-constants.ts";
import { foldScaleShift } from "./fold-scale-shift.ts";
import { fuseActivation } from "./fuse-activation.ts";
import { fuseElementwise } from "./fuse-elementwise.ts";
import { fusePad } from "./fuse-pad.ts";
import { fuseResidual } from "./fuse-residual.ts";
import { gemmFromMatMul } from "./gemm-from-matmul.ts";
import { mergeMovements } from "./merge-movements.ts";
import type { Pass } from "./pass.ts";
import { useGlobalAveragePool } from "./use-global-average-pool.ts";

export type { Pass } from "./pass.ts";
export { originalName } from "./rewrite.ts";

/** What inference takes, in order: first clean up, then arithmetic into weights, then fusion. */
export const passes: readonly Pass[] = [
  eliminateDeadNodes,
  eliminateIdentity,
  foldConstants,
  mergeMovements,
  eliminateCommonSubexpressions,
  useGlobalAveragePool,
  gemmFromMatMul,
  fusePad,
  foldBatchNorm,
  foldScaleShift,
  fuseResidual,
  fuseActivation,
  lowerBatchNorm,
  fuseElementwise,
];

/** What a graph takes that is yet to be trained, or that its gradient is part of: BatchNorm and activations stay nodes of their own. */
export const trainingPasses: readonly Pass[] = [eliminateDeadNodes, eliminateIdentity, foldConstants, mergeMovements, eliminateCommonSubexpressions];

export interface OptimizeOptions {
  /** Passes to run instead of all of `passes`. */
  readonly passes?: readonly Pass[] | undefined;
  /** Names of passes to leave out. */
  readonly disable?: readonly string[] | undefined;
  /** Name of the last pass to run. */
  readonly after?: string | undefined;
  /** Checks the graph after each pass; a pass that breaks it throws. */
  readonly verify?: boolean | undefined;
  /** Called after each pass. */
  readonly observer?: ((pass: string, graph: Graph) => void) | undefined;
}

/**
 * Runs the passes in order. The result computes the same outputs under the same names.
 * Throws `E_INVALID_OPTION` for a name that no pass has.
 */
export function optimize(graph: Graph, options: OptimizeOptions = {}): Graph {
  const list = options.passes ?? passes;
  for (const name of [...(options.disable ?? []), ...(options.after === undefined ? [] : [options.after])])
    if (!list.some((pass) => pass.name === name))
      throw new CadnnError("E_INVALID_OPTION", `there is no pass ${name}`, { at: name, hint: `The passes are ${list.map((pass) => pass.name).join(", ")}.` });
  let current = graph;
  for (const pass of list) {
    if (!options.disable?.includes(pass.name)) {
      current = pass.run(current);
      if (options.verify === true) verify(current);
      options.observer?.(pass.name, current);
    }
    if (pass.name === options.after) break;
  }
  return current;
}
