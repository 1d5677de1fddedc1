import type { PlanOptions, StepPlan } from "../plan.ts";

const cosine = (peak: number, floor = 0) => ({ kind: "cosine", peak, floor }) as const;
const rhos = [1e-2, 3e-2, 1e-1, 3e-1];

/** A rate with its own numbers of epochs; few weights take greater steps, but for the last ones after exchanges. */
const step = (rate: number, admm: number, retrain: number, exchange = 0): StepPlan => ({
  rate,
  admm: { epochs: admm },
  exchange: { epochs: exchange },
  retrain: { epochs: retrain, schedule: cosine(rate < 150 ? 2e-3 : rate < 200 ? 4e-3 : 1e-3) },
});
/** Units that stay, the choice of which takes `admm` epochs. */
const units = (conv1: number, conv2: number, ip1: number, admm: number, retrain: number): StepPlan => ({
  units: { "conv:1": conv1, "conv:2": conv2, "linear:1": ip1 },
  admm: { epochs: admm, rhos: [1e-2, 1e-1] },
  retrain: { epochs: retrain, schedule: cosine(2e-3) },
});

/**
 * LeNet-5 to 348× (1,237 of 430,500 weights) and 4, 3, 3, 3 bits, for digits that are shifted by a pixel at random. Units first, which makes the net small and all that follows
 * cheap; then rates in steps, as in Ye et al., arXiv 1903.09769. Where few weights are left, exchanges choose better ones than ADMM alone: they lower the loss of 348× by a sixth,
 * whereas retraining for longer lowers it by a thirtieth.
 */
export const lenet5Plan: PlanOptions = {
  rate: 348,
  steps: [units(10, 25, 100, 1, 2), units(9, 22, 60, 0, 2), units(8, 20, 40, 0, 8), step(30, 4, 3), step(71, 4, 10), step(100, 5, 3), step(167, 8, 12), step(246, 8, 14, 16)],
  pruneAll: true,
  layers: { "conv:1": { share: 120 }, "conv:2": { share: 500 }, "linear:1": { share: 430 }, "linear:2": { share: 187 } },
  batch: 128,
  admm: { epochs: 6, rhos, updatesPerRho: 6, schedule: cosine(2e-3, 0.1) },
  exchange: { epochs: 40, share: 0.2, schedule: cosine(4e-3, 0.1) },
  retrain: { epochs: 36, schedule: cosine(1e-3) },
  distill: { temperature: 3, weight: 0.5, once: true },
  quantize: {
    bits: [4, 3, 3, 3],
    admm: { epochs: 20, rhos, updatesPerRho: 4, schedule: cosine(2e-3, 0.1) },
    retrain: { epochs: 22, schedule: cosine(1e-3) },
  },
};
