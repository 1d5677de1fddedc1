import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { verify } from "../ops/verify.ts";
import { eliminateCommonSubexpressions } from "./eliminate-common-subexpressions.ts";
import { eliminateDeadNodes } from "./eliminate-dead-nodes.ts";
import { eliminateIdentity, eliminateNeutralOperands } from "./eliminate-identity.ts";
import { foldBatchNorm, lowerBatchNorm } from "./fold-batch-norm.ts";
import { foldConstants } from "./fold-constants.ts";
import { foldScaleShift } from "./fold-scale-shift.ts";
import { fuseActivation } from "./fuse-activation.ts";
import { fuseElementwise, fuseElementwiseRule } from "./fuse-elementwise.ts";
import { fusePad } from "./fuse-pad.ts";
import { fuseResidual } from "./fuse-residual.ts";
import { gemmFromMatMul } from "./gemm-from-matmul.ts";
import { hoistClamp } from "./hoist-clamp.ts";
import { mergeConstants } from "./merge-constants.ts";
import { mergeMovements } from "./merge-movements.ts";
import { type Pass, rulePass } from "./pass.ts";
import { reorderAveragePool } from "./reorder-average-pool.ts";
import { useGlobalAveragePool } from "./use-global-average-pool.ts";

export { eliminateDeadNodes } from "./eliminate-dead-nodes.ts";
export type { Pass } from "./pass.ts";
export { originalName } from "./rewrite.ts";

/** What makes a graph smaller and leaves its arithmetic as it is, in order. */
const cleanUp: readonly Pass[] = [eliminateDeadNodes, eliminateIdentity, eliminateNeutralOperands, foldConstants, mergeMovements, mergeConstants, eliminateCommonSubexpressions];

/** What inference takes, in order: first clean up, then arithmetic into weights, then fusion. */
export const passes: readonly Pass[] = [
  ...cleanUp,
  useGlobalAveragePool,
  gemmFromMatMul,
  fusePad,
  foldBatchNorm,
  foldScaleShift,
  reorderAveragePool,
  fuseResidual,
  hoistClamp,
  fuseActivation,
  lowerBatchNorm,
  fuseElementwise,
];

/** The passes that make one op of several. */
export const fusions: ReadonlySet<Pass> = new Set([fusePad, foldBatchNorm, foldScaleShift, fuseResidual, hoistClamp, fuseActivation, fuseElementwise]);

/** What a net takes before it is differentiated: nothing that ties weights together or takes them away. */
export const trainingPasses: readonly Pass[] = [eliminateDeadNodes, eliminateIdentity, foldConstants, mergeMovements, eliminateCommonSubexpressions];

/** What a training step takes, its gradients included, whose weights are parameters. */
export const gradientPasses: readonly Pass[] = [...cleanUp, rulePass("fuse-elementwise", [fuseElementwiseRule])];

/** The passes that a graph takes before it is lowered. Training graphs keep their BatchNormalization and weights apart. */
export const passesFor = (graph: Graph): readonly Pass[] => (graph.updates.length === 0 ? passes : trainingPasses);

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
