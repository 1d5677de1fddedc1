import type { PhaseDriver } from "../train/run.ts";
import type { Stepper } from "../train/stepper.ts";

export type Arrays = ReadonlyMap<string, Float32Array>;

export interface AdmmOptions {
  readonly stepper: Stepper;
  /** Names of the constrained weights; the graph has a resident `NAME.target` for each. */
  readonly names: readonly string[];
  /** Π: the nearest weights that satisfy the constraints. */
  readonly project: (values: Arrays) => Arrays;
  readonly rhos: readonly number[];
  readonly updatesPerRho: number;
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
 * f(W) + ρ/2 ‖W − Z + U‖². The graph holds Z − U. Where ρ changes, the scaled dual is rescaled: U *= ρ / ρ′.
 */
export function createAdmm(options: AdmmOptions): Admm {
  const { stepper, names, project, rhos, updatesPerRho, steps, saved } = options;
  const updates = rhos.length * updatesPerRho;
  const duals = new Map<string, Float32Array>();
  const residuals = new Map<string, number>();
  for (const name of names) {
    const dual = saved?.get(`dual:${name}`);
    if (dual !== undefined) duals.set(name, dual);
  }
  /** How many updates come before step `step`; the last one comes after all steps. */
  const dueBefore = (step: number) => Math.min(updates - 1, Math.floor((step * updates) / steps));
  const stageOf = (update: number) => Math.min(rhos.length - 1, Math.floor(update / updatesPerRho));
  const rhoOf = (stage: number) => rhos[stage] as number;

  const readWeights = async (): Promise<Map<string, Float32Array>> => {
    const weights = new Map<string, Float32Array>();
    for (const name of names) weights.set(name, await stepper.readParameter(name));
    return weights;
  };
  const update = async (rescale: number): Promise<void> => {
    const weights = await readWeights();
    const moved = new Map([...weights].map(([name, w]) => [name, combine(w, duals.get(name), 1)]));
    const projected = project(moved);
    for (const [name, w] of weights) {
      const z = projected.get(name) as Float32Array;
      const dual = combine(moved.get(name) as Float32Array, z, -1).map((u) => u * rescale);
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
  };
  return {
    residuals,
    async before(step) {
      if (step === 0) return start();
      for (let done = dueBefore(step - 1); done < dueBefore(step); done++) {
        const [from, to] = [stageOf(done), stageOf(done + 1)];
        await update(rhoOf(from) / rhoOf(to));
      }
      return undefined;
    },
    rho: (step) => rhoOf(stageOf(dueBefore(step))),
    save: () => new Map([...duals].map(([name, dual]) => [`dual:${name}`, dual])),
    finish: () => update(1),
  };
}

/** a + sign · b. */
function combine(a: Float32Array, b: Float32Array | undefined, sign: 1 | -1): Float32Array {
  return b === undefined ? a.slice() : a.map((v, i) => v + sign * (b[i] as number));
}

/** The same, which leaves its residuals, by the names of weights, in `residuals` when its phase ends. */
export function reportingResiduals(driver: Admm, residuals: Record<string, number>): PhaseDriver {
  return {
    ...driver,
    async finish() {
      await driver.finish?.();
      Object.assign(residuals, Object.fromEntries(driver.residuals));
    },
  };
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
