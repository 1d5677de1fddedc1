import type { Optimizer } from "../train/optimizer.ts";
import { learningRateAt, type Schedule } from "../train/schedule.ts";
import type { Stepper } from "../train/stepper.ts";

/** ρ of ADMM's penalty ρ/2 ‖W − Z + U‖², of each weight and in stages. */
export interface Penalty {
  readonly stages: number;
  /** ρ of each weight from step `step` on, which is in `stage`. */
  rhos(stage: number, step: number): Promise<ReadonlyMap<string, number>>;
  /** What a checkpoint must hold. */
  save(): ReadonlyMap<string, Float32Array>;
}

/** The same ρ for all weights, one a stage. */
export function fixedPenalty(names: readonly string[], rhos: readonly number[]): Penalty {
  return {
    stages: rhos.length,
    rhos: async (stage) => new Map(names.map((name) => [name, rhos[stage] as number])),
    save: () => new Map(),
  };
}

/** How strongly the stages of an automatic penalty pull: alone it would bring W nearer to Z by e^−strength during a stage. */
const strengths: readonly number[] = [1, 3, 10, 30];

export interface AutomaticPenaltyOptions {
  readonly stepper: Stepper;
  readonly names: readonly string[];
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  readonly steps: number;
  /** What `save` gave, after a resume. */
  readonly saved: ReadonlyMap<string, Float32Array> | undefined;
}

/**
 * ρ from how fast the optimizer moves a weight. A step of momentum m takes η ρ (w − z) / (1 − m) off the distance, one of Adam η ρ (w − z) / √v, with v the mean of squared
 * gradients. Over a stage of learning rates η₁ … η_T the penalty alone shrinks the distance by exp(−ρ Ση / s), s = 1 − m or the layer's √(mean v); hence
 * ρ = strength · s / Ση. With Adam, s is found from the steps before the first update of Z, during which ρ is 0.
 */
export function automaticPenalty(options: AutomaticPenaltyOptions): Penalty {
  const { stepper, names, optimizer, schedule, steps, saved } = options;
  const scales = new Map<string, number>();
  for (const name of names) {
    const scale = saved?.get(`scale:${name}`)?.[0];
    if (scale !== undefined) scales.set(name, scale);
  }
  const findScale = async (name: string, step: number): Promise<number> => {
    if (optimizer.kind === "sgd") return 1 - (optimizer.momentum ?? 0.9);
    // Weights under a mask have no gradient and do not count.
    const moved = (await stepper.readParameter(`${name}.adam_v`)).filter((v) => v > 0);
    const mean = moved.reduce((sum, v) => sum + v, 0) / Math.max(1, moved.length);
    return Math.sqrt(mean / (1 - (optimizer.beta2 ?? 0.999) ** step));
  };
  const learningRates = (stage: number): number => {
    let sum = 0;
    const [from, to] = [0, 1].map((i) => Math.floor(((stage + i) * steps) / strengths.length)) as [number, number];
    for (let step = from; step < Math.max(to, from + 1); step++) sum += learningRateAt(schedule, step, steps);
    return sum;
  };
  return {
    stages: strengths.length,
    async rhos(stage, step) {
      if (step === 0 && optimizer.kind === "adam") return new Map(names.map((name) => [name, 0]));
      for (const name of names) if (!scales.has(name)) scales.set(name, Math.fround(await findScale(name, step)));
      const sum = learningRates(stage);
      return new Map(names.map((name) => [name, sum === 0 ? 0 : ((strengths[stage] as number) * (scales.get(name) as number)) / sum]));
    },
    save: () => new Map([...scales].map(([name, scale]) => [`scale:${name}`, Float32Array.of(scale)])),
  };
}
