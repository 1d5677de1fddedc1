import { CadnnError } from "../../errors.ts";
import { type CompressionPlan, makePlan } from "../plan.ts";
import { checkLevels, type LevelKind } from "../projections/levels.ts";

/** How to compress a net without training; plain JSON. */
export interface PostTrainingPlan extends Pick<CompressionPlan, "rate" | "scope" | "score" | "structure" | "layers" | "pruneAll" | "batch" | "seed"> {
  /** Bits of each layer, in the net's order; the last one holds for all that follow. Missing: weights stay floats. */
  readonly bits?: readonly number[];
  /** `affine` for layers that are not pruned, `signed` for those that are, unless given. */
  readonly levels?: LevelKind;
  readonly per: "tensor" | "channel";
  /** `admm`, or what it is compared with: the greatest weights, and each at its nearest level, without a look at the images. */
  readonly method: "admm" | "magnitude";
  /** Of ADMM. 0: the weights of greatest |w| · ‖x‖ or the nearest levels at once, then least squares or coordinate descent all the same. */
  readonly iterations: number;
  /** Columns of inputs that a layer is fitted to, at most; inputs × 32 at least, where the images give so many. */
  readonly samples: number;
  /** How strongly weights are drawn to the dense ones, against inputs of unit variance. */
  readonly ridge: number;
  /** Whether biases, and BatchNorm's statistics, are estimated anew. */
  readonly statistics: boolean;
  /** Afterwards, training on the images with the dense net's answers for labels; for pruned nets that are not quantized. */
  readonly distill: { readonly epochs: number; readonly peak: number };
  /** For activations that are kept from layer to layer, so that they are not computed from the images each time. */
  readonly memoryMiB: number;
}

/** What a caller gives. `sparsity` is another way to say `rate`; without either nothing is pruned. */
export type PostTrainingOptions = Partial<Omit<PostTrainingPlan, "bits" | "distill">> & {
  readonly distill?: Partial<PostTrainingPlan["distill"]>;
  readonly sparsity?: number;
  readonly bits?: number | readonly number[];
};

/** Fills in the defaults. @throws `E_INVALID_OPTION` */
export function makePostTrainingPlan(options: PostTrainingOptions): PostTrainingPlan {
  const { bits, sparsity, ...rest } = options;
  const isPruned = rest.rate !== undefined || sparsity !== undefined || rest.structure !== undefined || Object.keys(rest.layers ?? {}).length > 0;
  const { rate, scope, score, structure, layers, pruneAll, batch, seed } = makePlan({
    scope: "global",
    ...pick(rest),
    ...(rest.rate !== undefined || sparsity === undefined ? {} : { sparsity }),
    ...(isPruned && (rest.rate !== undefined || sparsity !== undefined || rest.structure !== undefined) ? {} : { rate: 1 }),
    batch: rest.batch ?? 32,
  });
  const list = bits === undefined ? undefined : typeof bits === "number" ? [bits] : bits;
  const plan: PostTrainingPlan = {
    per: "channel",
    method: "admm",
    iterations: 60,
    samples: 32768,
    ridge: 1e-3,
    statistics: true,
    memoryMiB: 1024,
    ...rest,
    distill: { epochs: 0, peak: 1e-3, ...rest.distill },
    ...{ rate, scope, score, structure, layers, pruneAll, batch, seed },
    ...(list === undefined ? {} : { bits: list }),
  };
  for (const b of list ?? []) checkLevels({ kind: plan.levels ?? "affine", bits: b });
  const check = (ok: boolean, at: string, hint: string) => {
    if (!ok) throw new CadnnError("E_INVALID_OPTION", `${at} is not valid in the plan`, { at, hint });
  };
  check(list === undefined || list.length > 0, "bits", "Give one number, or one for each layer.");
  check(list !== undefined || isPruned, "rate", "Give a rate, a sparsity, densities of layers, or bits.");
  check(Number.isInteger(plan.iterations) && plan.iterations >= 0, "iterations", "Give a whole number from 0 on.");
  check(Number.isInteger(plan.samples) && plan.samples > 0, "samples", "Give a positive whole number.");
  check(plan.ridge >= 0, "ridge", "Give a number from 0 on.");
  check(plan.distill.epochs >= 0 && plan.distill.peak > 0, "distill", "Give epochs from 0 on, and a positive learning rate.");
  check(list === undefined || plan.distill.epochs === 0, "distill", "Weights on levels cannot be trained on; give either bits or epochs.");
  check(plan.memoryMiB > 0, "memoryMiB", "Give a positive number.");
  return plan;
}

/** The parts of a plan that both modes have. */
function pick({ rate, scope, score, structure, layers, pruneAll, seed }: PostTrainingOptions) {
  const parts = { rate, scope, score, structure, layers, pruneAll, seed };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as Partial<CompressionPlan>;
}
