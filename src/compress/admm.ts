import type { Optimizer } from "../train/optimizer.ts";
import type { Phase, PhaseDriver } from "../train/run.ts";
import type { Stepper } from "../train/stepper.ts";
import { automaticPenalty, fixedPenalty, type Penalty } from "./penalty.ts";
import type { AdmmPlan } from "./plan.ts";

type AdmmContext = Parameters<NonNullable<Phase<{ readonly residuals: Record<string, number> }>["driver"]>>[0];
export type Arrays = ReadonlyMap<string, Float32Array>;

export interface AdmmOptions {
  readonly stepper: Stepper;
  /** Names of the constrained weights; the graph has residents `NAME.target` and `NAME.rho` for each. */
  readonly names: readonly string[];
  /** Π: the nearest weights that satisfy the constraints. */
  readonly project: (values: Arrays) => Arrays;
  readonly penalty: Penalty;
  /** Of Z and U, for each stage of the penalty. */
  readonly updatesPerStage: number;
  /** Steps of the phase, shared out evenly over all updates. */
  readonly steps: number;
  /** What `save` gave, after a resume. */
  readonly saved?: Arrays | undefined;
}

export interface Admm extends PhaseDriver {
  save(): Arrays;
  /** ‖W − Z‖ / ‖W‖ of each weight at the last update. */
  readonly residuals: ReadonlyMap<string, number>;
}

/**
 * The Z- and U-steps of ADMM (Zhang et al., arXiv 1804.03294): Z = Π(W + U), U += W − Z, between the steps that train W on
 * f(W) + ρ/2 ‖W − Z + U‖². The graph holds Z − U and ρ. Where ρ changes, the scaled dual is rescaled: U *= ρ / ρ′.
 */
export function createAdmm(options: AdmmOptions): Admm {
  const { stepper, names, project, penalty, updatesPerStage, steps, saved } = options;
  const updates = penalty.stages * updatesPerStage;
  const duals = new Map<string, Float32Array>();
  const rhos = new Map<string, number>();
  const residuals = new Map<string, number>();
  for (const name of names) {
    const dual = saved?.get(`dual:${name}`);
    const rho = saved?.get(`rho:${name}`)?.[0];
    if (dual !== undefined) duals.set(name, dual);
    if (rho !== undefined) rhos.set(name, rho);
  }
  /** How many updates come before step `step`; the last one comes after all steps. */
  const dueBefore = (step: number) => Math.min(updates - 1, Math.floor((step * updates) / steps));
  const stageOf = (update: number) => Math.min(penalty.stages - 1, Math.floor(update / updatesPerStage));

  const readWeights = async (): Promise<Map<string, Float32Array>> => {
    const weights = new Map<string, Float32Array>();
    for (const name of names) weights.set(name, await stepper.readParameter(name));
    return weights;
  };
  /** From now on these ρ; gives ρ / ρ′ of each weight. */
  const changeRhos = async (next: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, number>> => {
    const ratios = new Map<string, number>();
    for (const name of names) {
      const [before, after] = [rhos.get(name) ?? 0, Math.fround(next.get(name) as number)];
      ratios.set(name, after === 0 ? 0 : before / after);
      rhos.set(name, after);
      if (after !== before) await stepper.writeParameter(`${name}.rho`, Float32Array.of(after));
    }
    return ratios;
  };
  const update = async (ratios?: ReadonlyMap<string, number>): Promise<void> => {
    const weights = await readWeights();
    const moved = new Map([...weights].map(([name, w]) => [name, combine(w, duals.get(name), 1)]));
    const projected = project(moved);
    for (const [name, w] of weights) {
      const z = projected.get(name) as Float32Array;
      const ratio = ratios?.get(name) ?? 1;
      const dual = combine(moved.get(name) as Float32Array, z, -1).map((u) => u * ratio);
      duals.set(name, dual);
      residuals.set(name, distance(w, z));
      await stepper.writeParameter(`${name}.target`, combine(z, dual, -1));
    }
  };
  const start = async (): Promise<void> => {
    const weights = await readWeights();
    const projected = project(weights);
    for (const [name, w] of weights) {
      const z = projected.get(name) as Float32Array;
      duals.set(name, new Float32Array(w.length));
      residuals.set(name, distance(w, z));
      await stepper.writeParameter(`${name}.target`, z);
    }
    await changeRhos(await penalty.rhos(0, 0));
  };
  return {
    residuals,
    async before(step) {
      if (step === 0) return start();
      for (let done = dueBefore(step - 1); done < dueBefore(step); done++) await update(await changeRhos(await penalty.rhos(stageOf(done + 1), step)));
      return undefined;
    },
    save: () =>
      new Map([
        ...[...duals].map(([name, dual]) => [`dual:${name}`, dual] as const),
        ...[...rhos].map(([name, rho]) => [`rho:${name}`, Float32Array.of(rho)] as const),
        ...penalty.save(),
      ]),
    finish: () => update(),
  };
}

/** What a phase of ADMM needs beside its graph. */
export interface AdmmPhase {
  readonly plan: AdmmPlan;
  readonly optimizer: Optimizer;
  readonly names: readonly string[];
  readonly project: AdmmOptions["project"];
}

/** The driver of a phase of ADMM, which leaves its residuals, by the names of weights, in `report.residuals` when the phase ends. */
export function admmDriver({ plan, optimizer, names, project }: AdmmPhase, { stepper, steps, state, saved }: AdmmContext): PhaseDriver {
  const { rhos, schedule, updatesPerRho: updatesPerStage } = plan;
  const penalty = rhos === undefined ? automaticPenalty({ stepper, names, optimizer, schedule, steps, saved }) : fixedPenalty(names, rhos);
  const admm = createAdmm({ stepper, names, project, penalty, updatesPerStage, steps, saved });
  return {
    ...admm,
    async finish() {
      await admm.finish?.();
      Object.assign(state.report.residuals, Object.fromEntries(admm.residuals));
    },
  };
}

/** a + sign · b. */
function combine(a: Float32Array, b: Float32Array | undefined, sign: 1 | -1): Float32Array {
  return b === undefined ? a.slice() : a.map((v, i) => v + sign * (b[i] as number));
}

/** ‖w − z‖ / ‖w‖ */
export function distance(w: Float32Array, z: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < w.length; i++) {
    difference += ((w[i] as number) - (z[i] as number)) ** 2;
    norm += (w[i] as number) ** 2;
  }
  return norm === 0 ? 0 : Math.sqrt(difference / norm);
}
