import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import type { Optimizer } from "../train/optimizer.ts";
import type { Schedule } from "../train/schedule.ts";
import { type Layer, weightLayers } from "./layers.ts";
import { checkLevels, type LevelKind } from "./projections/levels.ts";
import { fixedCount } from "./projections/selector.ts";
import { parseStructure, type Structure } from "./projections/structure.ts";
import { type GlobalScore, globalCounts } from "./projections/unstructured.ts";
import type { UnitCounts } from "./removal/units.ts";

/** How to compress a net; plain JSON. */
export interface CompressionPlan {
  /** All convolution and FC weights divided by those that are kept. */
  readonly rate: number;
  /** How the budget is shared out: the same density for every layer, or the weights that score highest over the whole net. */
  readonly scope: "layer" | "global";
  readonly score: GlobalScore;
  /** Layers, by the name of their weight, whose density or structure is given. */
  readonly layers: Readonly<Record<string, LayerPlan>>;
  /** Which weights are kept or dropped together, as `parseStructure` reads it; `unstructured` unless given. */
  readonly structure: string;
  /** Prune the first convolution and depthwise convolutions as well; they stay dense otherwise. */
  readonly pruneAll: boolean;
  /** What comes before the final rate. Each is a round of ADMM and retraining, and its zeros stay zero. */
  readonly steps: readonly (number | StepPlan)[];
  /** Whether units that are dead after a round are removed from the graph. Default: with whole filters or channels, or steps that keep units. */
  readonly remove: boolean;
  /** `magnitude`: plain training in place of ADMM, to compare with. */
  readonly method: "admm" | "magnitude";
  readonly admm: AdmmPlan;
  /** Before weights are retrained under fixed masks, some are exchanged for others, which lowers the loss of few weights much; only for `unstructured`. */
  readonly exchange?: ExchangePlan;
  readonly retrain: PhasePlan;
  /** What is left goes onto levels afterwards; without it weights stay floats. */
  readonly quantize?: QuantizePlan;
  readonly optimizer: Optimizer;
  readonly batch: number;
  readonly seed: number;
  /** Learn from the dense net's logits too. */
  readonly distill?: DistillPlan;
}
export interface DistillPlan {
  readonly temperature: number;
  readonly weight: number;
  /** The teacher answers once for each image as it is, rather than each time for the image as it is varied, which costs a pass through it. */
  readonly once?: boolean;
}
/** A round on the way: a rate, rising from step to step, or units to keep; its own epochs and schedules where they differ from the plan's. */
export interface StepPlan {
  readonly rate?: number;
  /** Filters, channels and neurons that stay, those with the greatest ‖incoming‖ · ‖outgoing‖ weights: counts by name of the weight whose outputs they are, or a share of all. */
  readonly units?: UnitCounts;
  readonly admm?: Partial<CompressionPlan["admm"]>;
  readonly exchange?: Partial<ExchangePlan>;
  readonly retrain?: Partial<PhasePlan>;
}
/** Training in which, after each epoch, weights that matter least make room for pruned ones that the loss asks for. */
export interface ExchangePlan extends PhasePlan {
  /** Of the kept weights, at the first exchange; it falls to 0 as half a cosine. */
  readonly share: number;
}
/** ADMM onto levels, then freezing: of each layer the share of weights that are nearest to a level, and retraining of the others. */
export interface QuantizePlan {
  /** Of each layer, in the net's order; the last one holds for all that follow. */
  readonly bits: readonly number[];
  /** `signed` has no 0, which pruned weights have for themselves. */
  readonly levels: LevelKind;
  readonly per: "tensor" | "channel";
  readonly admm: AdmmPlan;
  /** Rising shares that are frozen, the last one 1; each is followed by retraining. */
  readonly freeze: readonly number[];
  readonly retrain: PhasePlan;
}
export interface LayerPlan {
  readonly density?: number;
  /** Part of the budget, in proportion to other layers' shares; layers without one keep a single weight if any has one. */
  readonly share?: number;
  readonly structure?: string;
}
/** Without `rhos` there are four, of each layer its own: see `automaticPenalty`. */
export interface AdmmPlan extends PhasePlan {
  readonly rhos?: readonly number[];
  /** Updates of Z and U. */
  readonly updatesPerRho: number;
}
export interface PhasePlan {
  readonly epochs: number;
  readonly schedule: Schedule;
}

/** What a caller gives; the rest has defaults. `sparsity` is another way to say `rate`: 1 − 1/rate. */
export type PlanOptions = Partial<Omit<CompressionPlan, "admm" | "exchange" | "retrain" | "quantize">> & {
  readonly quantize?: Partial<Omit<QuantizePlan, "bits" | "admm" | "retrain">> & {
    readonly bits: number | readonly number[];
    readonly admm?: Partial<AdmmPlan>;
    readonly retrain?: Partial<PhasePlan>;
  };
  readonly sparsity?: number;
  readonly admm?: Partial<AdmmPlan>;
  readonly exchange?: Partial<ExchangePlan>;
  readonly retrain?: Partial<PhasePlan>;
};

/** Fills in the defaults. @throws `E_INVALID_OPTION` */
export function makePlan(options: PlanOptions): CompressionPlan {
  const structure = parseStructure(options.structure ?? "unstructured");
  const rate =
    options.rate ??
    (options.sparsity !== undefined ? 1 / (1 - options.sparsity) : structure.kind === "n-of-m" ? structure.m / structure.n : options.quantize === undefined ? undefined : 1);
  if (rate === undefined || !(rate >= 1) || !Number.isFinite(rate))
    throw new CadnnError("E_INVALID_OPTION", `compression rate ${rate} is not a number from 1 on`, {
      at: options.rate === undefined ? "sparsity" : "rate",
      hint: "Give a rate such as 8, or a sparsity from 0 to below 1.",
    });
  const { sparsity: _, quantize, exchange, ...given } = options;
  const plan: CompressionPlan = {
    scope: "global",
    score: "lamp",
    layers: {},
    structure: "unstructured",
    pruneAll: false,
    steps: [],
    remove: structure.kind === "filters" || structure.kind === "channels" || (options.steps ?? []).some((step) => typeof step !== "number" && step.units !== undefined),
    method: "admm",
    optimizer: { kind: "adam" },
    batch: 64,
    seed: 1,
    ...given,
    rate,
    admm: { epochs: 4, updatesPerRho: 6, schedule: { kind: "cosine", peak: 1e-3, floor: 0.1 }, ...options.admm },
    retrain: { epochs: 4, schedule: { kind: "cosine", peak: 1e-3 }, ...options.retrain },
    ...(exchange === undefined ? {} : { exchange: { ...defaultExchange, ...exchange } }),
    ...(quantize === undefined ? {} : { quantize: makeQuantizePlan(quantize) }),
  };
  const check = (ok: boolean, at: string, hint: string) => {
    if (!ok) throw new CadnnError("E_INVALID_OPTION", `${at} is not valid in the compression plan`, { at, hint });
  };
  check(Number.isInteger(plan.batch) && plan.batch > 0, "batch", "Give a positive whole number, a multiple of 4 for speed.");
  check(plan.admm.epochs >= 0 && plan.retrain.epochs >= 0, "epochs", "Epochs are numbers from 0 on; fractions are allowed.");
  const { rhos } = plan.admm;
  check(rhos === undefined || (rhos.length > 0 && rhos.every((rho) => rho > 0)), "admm.rhos", "Give one or more positive numbers, or none to have them found.");
  check(Number.isInteger(plan.admm.updatesPerRho) && plan.admm.updatesPerRho > 0, "admm.updatesPerRho", "Give a positive whole number.");
  const rates = plan.steps.flatMap((step) => (typeof step === "number" ? step : (step.rate ?? [])));
  check(
    rates.every((step, i) => step >= 1 && step < rate && step > (rates[i - 1] ?? 0)) &&
      plan.steps.every((step) => typeof step === "number" || step.rate !== undefined || step.units !== undefined),
    "steps",
    "Give rising rates below the final one, or units to keep.",
  );
  for (const step of [plan, ...plan.steps]) {
    const given = typeof step === "number" ? undefined : step.exchange;
    if (given === undefined) continue;
    const { epochs, share } = { ...defaultExchange, ...plan.exchange, ...given };
    check(epochs >= 0 && share >= 0 && share <= 1, "exchange", "Give epochs from 0 on, and a share from 0 to 1.");
    const structures = [plan.structure, ...Object.values(plan.layers).map((layer) => layer.structure ?? "unstructured")];
    check(epochs === 0 || structures.every((s) => s === "unstructured"), "exchange", "Single weights can be exchanged, structures cannot: leave out exchange, or the structure.");
  }
  check(plan.method === "admm" || plan.method === "magnitude", "method", "Give admm or magnitude.");
  for (const [name, { density, share, structure: own }] of Object.entries(plan.layers)) {
    check(share === undefined || share > 0, `layers.${name}.share`, "Shares are positive numbers.");
    check(density === undefined || (density > 0 && density <= 1), `layers.${name}.density`, "Densities are above 0 and at most 1.");
    if (own !== undefined) parseStructure(own);
  }
  return plan;
}

const defaultExchange: ExchangePlan = { epochs: 4, share: 0.2, schedule: { kind: "cosine", peak: 1e-3, floor: 0.1 } };

function makeQuantizePlan({ bits, admm, retrain, ...given }: NonNullable<PlanOptions["quantize"]>): QuantizePlan {
  const plan: QuantizePlan = {
    levels: "signed",
    per: "tensor",
    freeze: [0.5, 0.75, 0.9, 1],
    ...given,
    bits: typeof bits === "number" ? [bits] : bits,
    admm: { epochs: 4, updatesPerRho: 4, schedule: { kind: "cosine", peak: 1e-3, floor: 0.1 }, ...admm },
    retrain: { epochs: 1, schedule: { kind: "cosine", peak: 5e-4 }, ...retrain },
  };
  for (const b of plan.bits) checkLevels({ kind: plan.levels, bits: b });
  const rises = plan.freeze.every((share, i) => share > (plan.freeze[i - 1] ?? 0)) && plan.freeze.at(-1) === 1;
  if (plan.bits.length === 0 || !rises)
    throw new CadnnError("E_INVALID_OPTION", "the quantization is not valid in the compression plan", {
      at: "quantize",
      hint: "Give bits, and rising shares to freeze that end with 1.",
    });
  return plan;
}

/** One step of a plan, or the final rate, with all that it needs. */
export interface Round extends Pick<CompressionPlan, "admm" | "exchange" | "retrain"> {
  /** Unique within the plan, for people. */
  readonly name: string;
  readonly rate: number | undefined;
  readonly units: UnitCounts | undefined;
}

export function roundsOf(plan: CompressionPlan): Round[] {
  const steps = [...plan.steps.map((step): StepPlan => (typeof step === "number" ? { rate: step } : step)), { rate: plan.rate }];
  return steps.map(({ rate, units, admm, exchange, retrain }, i) => ({
    name: rate === undefined ? `units, step ${i + 1}` : `${Number(rate.toPrecision(4))}x`,
    rate,
    units,
    admm: { ...plan.admm, ...admm },
    ...(rate === undefined || (exchange ?? plan.exchange) === undefined ? {} : { exchange: { ...defaultExchange, ...plan.exchange, ...exchange } }),
    retrain: { ...plan.retrain, ...retrain },
  }));
}

/** Bits of the layer of this number: of a list whose last entry holds for all that follow. */
export const bitsAt = (bits: readonly number[], layer: number): number => bits[layer] ?? (bits.at(-1) as number);

/** The structure that a layer is pruned in. */
export function structureOf(plan: Pick<CompressionPlan, "layers" | "structure">, layer: Layer): Structure {
  return parseStructure(plan.layers[layer.name]?.structure ?? plan.structure);
}

/** What a budget takes of a plan. */
export type BudgetPlan = Pick<CompressionPlan, "rate" | "scope" | "score" | "layers" | "structure" | "pruneAll">;

/** How many weights of each layer to keep, given the values to rank. Layers that are left dense are missing. */
export interface Budget {
  readonly layers: readonly Layer[];
  /** Layers that are pruned. */
  readonly pruned: readonly Layer[];
  /** `available` says how many weights of a layer may be kept, all unless given. */
  counts(values: ReadonlyMap<string, Float32Array>, available?: (name: string) => number): ReadonlyMap<string, number>;
}

/**
 * `original` are the layers that rates and densities are relative to, where units were removed since.
 * @throws `E_INVALID_OPTION` for unknown layers or a rate that the layers left dense do not allow.
 */
export function makeBudget(graph: Graph, plan: BudgetPlan, rate = plan.rate, original = weightLayers(graph)): Budget {
  const layers = weightLayers(graph);
  const wholeOf = (l: Layer): number => original.find((o) => o.name === l.name)?.count ?? l.count;
  const names = layers.map((l) => l.name);
  for (const name of Object.keys(plan.layers))
    if (!names.includes(name)) throw new CadnnError("E_INVALID_OPTION", `the net has no layer ${name}`, { at: `layers.${name}`, hint: `Layers: ${names.join(", ")}.` });
  const total = original.reduce((sum, l) => sum + l.count, 0);
  // Given densities are those of the final rate; on the way there they are weakened in proportion.
  const given = (l: Layer) => {
    const isPruned = plan.pruneAll || plan.layers[l.name] !== undefined || !(l.first || l.kind === "depthwise");
    const fixed = isPruned ? fixedCount(structureOf(plan, l), l.matrix) : undefined;
    if (fixed !== undefined) return fixed;
    const density = plan.layers[l.name]?.density;
    return density === undefined ? undefined : Math.min(l.count, Math.max(1, Math.floor(wholeOf(l) * density ** (Math.log(rate) / Math.log(plan.rate) || 1))));
  };
  const isDense = (l: Layer) => given(l) === undefined && plan.layers[l.name]?.share === undefined && !plan.pruneAll && (l.first || l.kind === "depthwise");
  const pruned = layers.filter((l) => !isDense(l));
  const free = pruned.filter((l) => given(l) === undefined);
  const fixed = layers.filter((l) => !free.includes(l)).reduce((sum, l) => sum + (given(l) ?? l.count), 0);
  const left = Math.floor(total / rate) - fixed;
  if (free.length > 0 && left < free.length)
    throw new CadnnError(
      "E_INVALID_OPTION",
      `a rate of ${rate} leaves ${Math.floor(total / rate)} of ${total} weights, and layers that are not pruned or have a density of their own take ${fixed}`,
      {
        at: "rate",
        hint: "Lower the rate, or set pruneAll.",
      },
    );
  const freeTotal = free.reduce((sum, l) => sum + l.count, 0);
  const wanted = Math.min(left, freeTotal);
  return {
    layers,
    pruned,
    counts(values, available = (name) => layers.find((l) => l.name === name)?.count ?? 0) {
      const counts = new Map(pruned.map((l) => [l.name, given(l) ?? 0]));
      if (free.length === 0) return counts;
      const parts = free.map((l) => plan.layers[l.name]?.share);
      const shares = parts.some((share) => share !== undefined)
        ? sharedCounts(
            wanted,
            parts.map((share) => share ?? 0),
            free.map((l) => available(l.name)),
          )
        : plan.scope === "global"
          ? globalCounts(
              free.map((l) => values.get(l.name) as Float32Array),
              wanted,
              plan.score,
            )
          : evenCounts(free, wanted, freeTotal);
      free.forEach((l, i) => {
        counts.set(l.name, shares[i] as number);
      });
      return counts;
    },
  };
}

/** `wanted` in proportion to the shares, none above its limit and each at least 1: what limits hold back goes to the others, first to those with a share. */
export function sharedCounts(wanted: number, shares: readonly number[], limits: readonly number[]): number[] {
  const counts = limits.map(() => 0);
  const shareOf = (i: number) => shares[i] || 1e-9;
  let open = [...limits.keys()];
  let left = wanted;
  const quotaOf = (i: number) => (left * shareOf(i)) / open.reduce((sum, j) => sum + shareOf(j), 0);
  for (let full = open; full.length > 0; ) {
    full = open.filter((i) => quotaOf(i) >= (limits[i] as number));
    open = open.filter((i) => !full.includes(i));
    for (const i of full) {
      counts[i] = limits[i] as number;
      left -= limits[i] as number;
    }
  }
  const quotas = new Map(open.map((i) => [i, quotaOf(i)]));
  for (const [i, quota] of quotas) counts[i] = Math.floor(quota);
  left -= open.reduce((sum, i) => sum + (counts[i] as number), 0);
  const fraction = (i: number) => (quotas.get(i) as number) % 1;
  for (const i of open.toSorted((a, b) => fraction(b) - fraction(a)).slice(0, left)) counts[i] = (counts[i] as number) + 1;
  for (const i of open)
    if (counts[i] === 0) {
      const most = counts.indexOf(Math.max(...counts));
      counts[most] = (counts[most] as number) - 1;
      counts[i] = 1;
    }
  return counts;
}

/** The same density everywhere, at least one each, and never more than `wanted` in all. */
function evenCounts(layers: readonly Layer[], wanted: number, total: number): number[] {
  const counts = layers.map((l) => Math.max(1, Math.floor((l.count * wanted) / total)));
  let excess = counts.reduce((a, b) => a + b, 0) - wanted;
  for (let i = counts.length - 1; excess > 0 && i >= 0; i--) {
    const take = Math.min(excess, (counts[i] as number) - 1);
    counts[i] = (counts[i] as number) - take;
    excess -= take;
  }
  return counts;
}
