/** The compiler: from a trained net to a `.cadnn` file. `cadnn/runtime` plays it. */
export type { TargetName } from "./artifact/manifest.ts";
export { type CompileOptions, type CompileStage, compile, type ImageInput, type OptimizeSwitches, type Switches, switchNames, type TargetOption } from "./compile/index.ts";
export {
  type CalibrationImages,
  type CompressionPlan,
  type CompressionReport,
  type CompressOptions,
  compress,
  compressPostTraining,
  type LayerReport,
  makePlan,
  makePostTrainingPlan,
  type PhasePlan,
  type PlanOptions,
  type PostTrainingOptions,
  type PostTrainingPlan,
  type PostTrainingReport,
} from "./compress/index.ts";
export { CadnnError, type ErrorCode } from "./errors.ts";
export { type ExportOptions, exportOnnx, type ImportOptions, importOnnx } from "./frontend/onnx/index.ts";
export type { Graph } from "./ir/graph.ts";
export { type OptimizeOptions, optimize, type Pass, passes } from "./passes/index.ts";
