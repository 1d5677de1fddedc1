import type { PlanOptions } from "../plan.ts";

const cosine = (peak: number, floor = 0) => ({ kind: "cosine", peak, floor }) as const;

/** Rates in steps (Ye et al., arXiv 1903.09769), ADMM then masked retraining at each; what a net needs that was trained before. */
const progressive = (rate: number, steps: readonly number[], batch: number): PlanOptions => ({
  ...{ rate, steps, batch },
  admm: { epochs: 12, updatesPerRho: 6, schedule: cosine(1e-4, 0.1) },
  retrain: { epochs: 12, schedule: cosine(1e-4) },
});

/** 21× without loss, with the densities of Zhang et al., arXiv 1804.03294, for Caffe's AlexNet: 2.9 of 60.9 million weights. */
export const alexnetPlan: PlanOptions = {
  ...progressive(21, [], 64),
  layers: {
    "conv:1": { density: 0.81 },
    "conv:2": { density: 0.2 },
    "conv:3": { density: 0.19 },
    "conv:4": { density: 0.2 },
    "conv:5": { density: 0.2 },
    "linear:1": { density: 0.028 },
    "linear:2": { density: 0.059 },
    "linear:3": { density: 0.093 },
  },
};

/** 34× (Ye et al., arXiv 1907.02124); shares of layers are not given there and follow LAMP scores. */
export const vgg16Plan: PlanOptions = progressive(34, [8, 17], 8);
/** 8× (arXiv 1907.02124). */
export const resnet18Plan: PlanOptions = progressive(8, [4], 32);
/** 9.2× (arXiv 1905.00571 and 1907.02124). */
export const resnet50Plan: PlanOptions = progressive(9.2, [4], 16);
/** 6.7×, as the benchmarks here have it: no rate without loss is published. Depthwise convolutions stay dense. */
export const mobilenetPlan: PlanOptions = progressive(6.7, [3], 32);
/** 9×, likewise. */
export const inceptionV3Plan: PlanOptions = progressive(9, [4], 8);
