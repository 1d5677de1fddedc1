import { encodeArtifact } from "../artifact/format.ts";
import type { ConstantRecord, Manifest, ModuleRecord, TargetName } from "../artifact/manifest.ts";
import { targets as allTargets, commonTargets, type Target } from "../codegen/target.ts";
import { CadnnError } from "../errors.ts";
import { type ImportOptions, importOnnx } from "../frontend/onnx/index.ts";
import { type Executable, generate } from "../generate/index.ts";
import type { Graph } from "../ir/graph.ts";
import { type Costs, estimatedCosts } from "../kernels/costs.ts";
import { lower } from "../lower/index.ts";
import type { StoredConstant } from "../lower/kernel-graph.ts";
import { legalize } from "../lower/legalize.ts";
import { optimize, passesFor } from "../passes/index.ts";
import { defaultCosts, measuredCosts, parseTuningLog, type TuningLog } from "../tune/index.ts";
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
  /** Measurements to choose kernels, tiles and layouts by, as `tune` makes them or as their text; before those that come with the package for ARM64. */
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

/** Puts executables and their weights, each once, into one file. */
export function pack(graph: Graph, executables: readonly Executable[]): Uint8Array {
  // Modules share the bytes of a weight.
  const constants = [...new Map(executables.flatMap((x) => x.prepare.map((p) => [p.constant.bytes, p.constant]))).values()];
  const weights = concatenate(constants.map((c) => c.bytes));
  const code = concatenate(executables.map((x) => x.module));
  const manifest: Manifest = {
    name: graph.name,
    producer: "cadnn 0.1.0",
    inputs: graph.inputs.map((v) => ({ name: v.name, dtype: v.type.dtype, shape: v.type.shape })),
    outputs: graph.outputs.map((o) => ({ name: o.name, dtype: o.value.type.dtype, shape: o.value.type.shape })),
    constants: constants.map(
      (c, i): ConstantRecord => ({ name: c.name, dtype: c.dtype, shape: c.shape, encoding: c.encoding, offset: weights.offsets[i] as number, bytes: c.bytes.byteLength }),
    ),
    modules: executables.map((x, i): ModuleRecord => ({ ...x.record, offset: code.offsets[i] as number, bytes: x.module.byteLength, prepare: prepareRecords(x, constants) })),
  };
  return encodeArtifact({ manifest, weights: weights.bytes, code: code.bytes });
}

function prepareRecords(executable: Executable, constants: readonly StoredConstant[]): ModuleRecord["prepare"] {
  const index = new Map(constants.map((c, i) => [c.bytes, i]));
  return executable.prepare.map((p) => ({ constant: index.get(p.constant.bytes) as number, staging: p.staging }));
}

function concatenate(parts: readonly Uint8Array[]): { readonly bytes: Uint8Array; readonly offsets: readonly number[] } {
  const offsets: number[] = [];
  let size = 0;
  for (const part of parts) {
    size = Math.ceil(size / 16) * 16;
    offsets.push(size);
    size += part.byteLength;
  }
  const bytes = new Uint8Array(size);
  parts.forEach((part, i) => bytes.set(part, offsets[i] as number));
  return { bytes, offsets };
}

/** Measurements that are given come first, then those of the package. */
function costsOf(tuning: TuningLog | string | undefined): Costs {
  if (tuning === undefined) return defaultCosts;
  return measuredCosts(typeof tuning === "string" ? parseTuningLog(tuning) : tuning, { shipped: defaultCosts });
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
