/** ADMM compression of trained nets. */
export { type BudgetLayer, type BudgetOptions, type BudgetReport, type BudgetTables, budgetTables, chooseDensities, type Goal } from "./budget/budget.ts";
export { breakEven, type LatencyCurves, latencyCurves } from "./budget/latency.ts";
export { type CompressOptions, compress } from "./compress.ts";
export { type Cost, postTrainingCost, trainingCost } from "./cost.ts";
export { type DemoNet, type DemoOptions, type DemoProgress, type DemoResult, runDemo } from "./demo.ts";
export { type Layer, weightLayers } from "./layers.ts";
export { type CompressionPlan, type LayerPlan, makePlan, type PhasePlan, type PlanOptions, type Round, roundsOf, type StepPlan } from "./plan.ts";
export { type PlanName, plans } from "./plans/index.ts";
export { lenet5Plan } from "./plans/lenet5.ts";
export type { CalibrationImages } from "./post-training/activations.ts";
export { makePostTrainingPlan, type PostTrainingOptions, type PostTrainingPlan } from "./post-training/plan.ts";
export { compressPostTraining, type PostTrainingContext, type PostTrainingLayerReport, type PostTrainingProgress, type PostTrainingReport } from "./post-training/post-training.ts";
export { liveWeights, type Removal, removeDeadUnits } from "./removal/remove.ts";
export type { CompressionReport, LayerReport } from "./report.ts";
export type { CompressedStep } from "./rounds.ts";
export { type StorageReport, storageOf } from "./storage.ts";
