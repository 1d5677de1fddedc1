import { CadnnError } from "../errors.ts";

/** Learning rate over the steps of one phase. `warmup` counts the steps in which it rises linearly from 0 to `peak`. */
export type Schedule =
  | { readonly kind: "constant"; readonly peak: number; readonly warmup?: number }
  /** From `peak` along half a cosine to `floor` · `peak`. */
  | { readonly kind: "cosine"; readonly peak: number; readonly floor?: number; readonly warmup?: number }
  /** Multiplied by `factor` at each of `at`, given as shares of the whole. */
  | { readonly kind: "step"; readonly peak: number; readonly factor: number; readonly at: readonly number[]; readonly warmup?: number };

/** The rate of step `step`, from 0 on, of `steps`. */
export function learningRateAt(schedule: Schedule, step: number, steps: number): number {
  const { peak, warmup = 0 } = schedule;
  if (!(peak >= 0)) throw new CadnnError("E_INVALID_OPTION", `learning rate ${peak} is not a positive number`, { at: "lr", hint: "Try 0.001 with Adam or 0.05 with SGD." });
  if (step < warmup) return (peak * (step + 1)) / warmup;
  switch (schedule.kind) {
    case "constant":
      return peak;
    case "cosine": {
      const { floor = 0 } = schedule;
      const progress = (step - warmup) / Math.max(1, steps - warmup);
      return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
    }
    case "step":
      return peak * schedule.factor ** schedule.at.filter((share) => step >= share * steps).length;
  }
}
