/** ADMM compression of trained nets. */
export { type CompressOptions, compress } from "./compress.ts";
export { type DemoNet, type DemoOptions, type DemoProgress, type DemoResult, runDemo } from "./demo.ts";
export { type Layer, weightLayers } from "./layers.ts";
export { type CompressionPlan, makePlan, type PhasePlan, type PlanOptions } from "./plan.ts";
export type { CompressionReport, LayerReport } from "./report.ts";
