import type { TargetName } from "../artifact/manifest.ts";
import { targets as allTargets, commonTargets, type Target } from "../codegen/target.ts";
import { CadnnError } from "../errors.ts";
import { type ImportOptions, importOnnx } from "../frontend/onnx/index.ts";
import { generate } from "../generate/index.ts";
import { pack } from "../generate/pack.ts";
import type { Graph } from "../ir/graph.ts";
import { type Costs, estimatedCosts } from "../kernels/costs.ts";
import { lower } from "../lower/index.ts";
import { legalize } from "../lower/legalize.ts";
import { optimize, passesFor } from "../passes/index.ts";
import { defaultCosts, parseTuningLog, planningCosts, type TuningLog } from "../tune/index.ts";
import { type OptimizeSwitches, resolveSwitches } from "./switches.ts";
import { type ImageInput, takePixels } from "./take-pixels.ts";

export { type OptimizeSwitches, type Switches, switchNames } from "./switches.ts";
export type { ImageInput } from "./take-pixels.ts";

/** Names of targets, or `wasm` for those that some engine runs best by default. */
export type TargetOption = TargetName | "wasm";

export interface CompileOptions extends ImportOptions {
  /** What to generate code for; default `["wasm"]`. */
  readonly targets?: readonly TargetOption[];
  /** Takes pixels (bytes with interleaved channels, such as a canvas's) in place of floats; they are resized and normalized in the net. */
  readonly image?: ImageInput;
  /** What to leave out. */
  readonly optimize?: OptimizeSwitches;
  /** Measurements to choose tiles by and, where they are counts, kernels and layouts; as `tune` makes them or as their text. They come before those of the package. */
  readonly tuning?: TuningLog | string;
  /** Told as each stage ends. */
  readonly observer?: (stage: CompileStage) => void;
}

export interface CompileStage {
  readonly stage: "import" | "optimize" | "lower" | "generate" | "pack";
  readonly target?: TargetName;
  readonly milliseconds: number;
}

/**
 * Compiles a net: ONNX bytes, or a graph, in; a `.cadnn` artifact out. Equal input (net, options, tuning log) gives equal bytes.
 * Throws `E_INVALID_FILE`, `E_UNSUPPORTED_OP` (listing all), `E_DYNAMIC_SHAPE`, `E_SHAPE_MISMATCH`, … with the user's own names.
 *
 * @example
 * const artifact = await compile(onnxBytes, { inputShapes: { input: [1, 3, 224, 224] } });
 */
export async function compile(model: Uint8Array | Graph, options: CompileOptions = {}): Promise<Uint8Array> {
  const { timed } = stopwatch(options.observer);
  const targets = resolveTargets(options.targets ?? ["wasm"]);
  const { disable, layout, loadElimination, winograd, tune } = resolveSwitches(options.optimize);
  const costs = tune ? costsOf(options.tuning) : estimatedCosts;
  const graph = timed("import", () => {
    const imported = model instanceof Uint8Array ? importOnnx(model, options) : model;
    return options.image === undefined ? imported : takePixels(imported, options.image);
  });
  const optimized = timed("optimize", () => legalize(optimize(graph, { passes: passesFor(graph).filter((pass) => !disable.includes(pass.name)) })));
  const executables = targets.map((target) => {
    const kernels = timed("lower", () => lower(optimized, target, { layout, loadElimination, winograd, costs }), target.name);
    return timed("generate", () => generate(kernels), target.name);
  });
  return timed("pack", () => pack(graph, executables));
}

/** Measurements that are given come first, then those of the package. */
function costsOf(tuning: TuningLog | string | undefined): Costs {
  if (tuning === undefined) return defaultCosts;
  return planningCosts(typeof tuning === "string" ? parseTuningLog(tuning) : tuning, { shipped: defaultCosts });
}

function resolveTargets(names: readonly TargetOption[]): Target[] {
  const resolved = names.flatMap((name): Target[] => {
    if (name === "wasm") return [...commonTargets];
    const target = allTargets[name];
    if (target === undefined)
      throw new CadnnError("E_INVALID_OPTION", `there is no target ${String(name)}`, { at: String(name), hint: `Targets: wasm, ${Object.keys(allTargets).join(", ")}.` });
    return [target];
  });
  return [...new Set(resolved)];
}

function stopwatch(observer: CompileOptions["observer"]) {
  const timed = <T>(stage: CompileStage["stage"], work: () => T, target?: TargetName): T => {
    const start = performance.now();
    const result = work();
    observer?.({ stage, milliseconds: performance.now() - start, ...(target === undefined ? {} : { target }) });
    return result;
  };
  return { timed };
}
