import { decodeArtifact } from "../artifact/format.ts";
import type { Manifest, TargetName, TensorRecord } from "../artifact/manifest.ts";
import { targetNames } from "../artifact/validate.ts";
import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { elementCount, type Tensor } from "../ir/types.ts";
import { enableRelaxedSimd, enableRevectorize } from "../node/engine.ts";
import { externalDataBeside } from "../node/external-data.ts";
import { readFile } from "../node/files.ts";
import type { Feed, Feeds, ResultTensor } from "../runtime/index.ts";
import { usage } from "./options.ts";

/** What a model file holds: an ONNX net as a graph, or an artifact. */
export type ModelFile =
  | { readonly kind: "onnx"; readonly graph: Graph; readonly bytes: number }
  | { readonly kind: "cadnn"; readonly manifest: Manifest; readonly file: Uint8Array };

export interface ReadModelOptions {
  readonly inputShapes?: Readonly<Record<string, readonly number[]>> | undefined;
}

/** Tells the two formats apart by content. Errors name the file. */
export async function readModel(path: string, options: ReadModelOptions = {}): Promise<ModelFile> {
  const file = await readFile(path);
  try {
    if (isArtifact(file)) {
      if (options.inputShapes !== undefined) throw usage("shapes are fixed in a .cadnn file", "--input-shape", "Give the shapes when compiling.");
      return { kind: "cadnn", manifest: decodeArtifact(file).manifest, file };
    }
    const { importOnnx } = await import("../frontend/onnx/index.ts");
    return { kind: "onnx", graph: importOnnx(file, { ...options, externalData: externalDataBeside(path) }), bytes: file.length };
  } catch (error) {
    throw inFile(path, error);
  }
}

/** Reads an ONNX net; a `.cadnn` file is an error. */
export async function readGraph(path: string, options: ReadModelOptions = {}): Promise<Graph> {
  const model = await readModel(path, options);
  if (model.kind === "onnx") return model.graph;
  throw new CadnnError("E_INVALID_FILE", "this is a compiled .cadnn file, an ONNX net is expected", { at: path, hint: "Give the ONNX file that it was compiled from." });
}

const artifactMagic = [0x89, 0x63, 0x61, 0x64, 0x6e, 0x6e];
const isArtifact = (bytes: Uint8Array): boolean => bytes.length >= 6 && artifactMagic.every((b, i) => bytes[i] === b);

/** Puts the file before what an error says about a place within it. */
function inFile(path: string, error: unknown): unknown {
  if (!(error instanceof CadnnError) || error.code === "E_INTERNAL" || error.code === "E_INVALID_OPTION") return error;
  const at = error.at === undefined ? path : `${path}: ${error.at}`;
  return new CadnnError(error.code, error.message, { at, hint: error.hint, cause: error, problems: error.problems });
}

/** A net that is ready to run. */
export interface OpenModel {
  readonly name: string;
  readonly inputs: readonly TensorRecord[];
  readonly outputs: readonly TensorRecord[];
  readonly backend: string;
  readonly target: string | undefined;
  readonly threads: number;
  readonly notes: readonly string[];
  /** Multiply-accumulates of one inference. */
  readonly macs: number;
  /** How long it took to compile, where the file was an ONNX net, and to load. */
  readonly compileMs: number | undefined;
  readonly loadMs: number;
  run(feeds: Feeds): Promise<Record<string, ResultTensor>>;
  warmup(): Promise<void>;
  dispose(): Promise<void>;
}

export interface OpenModelOptions extends ReadModelOptions {
  readonly threads?: number | undefined;
  readonly target?: string | undefined;
  /** Optimizations to leave out where the net is compiled. */
  readonly disable?: readonly string[];
  /** Let V8 use vectors of 256 bits, where it can. */
  readonly revectorize?: boolean;
  /** Run ops by their reference semantics. */
  readonly reference?: boolean;
}

/** Opens a model file; an ONNX net is compiled in memory, for this engine's target alone. */
export async function openModel(path: string, options: OpenModelOptions): Promise<OpenModel> {
  const model = await readModel(path, options);
  if (options.reference === true) {
    if (model.kind === "onnx") return openReference(model.graph);
    throw usage("--reference needs an ONNX net", "--reference", "A .cadnn file holds kernels, not ops.");
  }
  const target = options.target === undefined ? undefined : readTarget(options.target);
  enableRelaxedSimd();
  const revectorize = options.revectorize === true && enableRevectorize();
  const { createSession } = await import("../node/session.ts");
  const started = performance.now();
  let artifact: Uint8Array;
  if (model.kind === "cadnn") {
    if (options.disable !== undefined && options.disable.length > 0)
      throw usage("a .cadnn file is compiled already", "--disable", "Give the option when compiling, or the ONNX net.");
    artifact = model.file;
  } else {
    const [{ compile }, { detectFeatures, targetsFor }] = await Promise.all([import("../compile/index.ts"), import("../runtime/features.ts")]);
    const chosen = target ?? (revectorize ? "wasm-x64-relaxed-pairs" : targetsFor(detectFeatures())[0]) ?? "wasm-x64-plain";
    try {
      artifact = await compile(model.graph, { targets: [chosen], optimize: { disable: options.disable ?? [] } });
    } catch (error) {
      throw inFile(path, error);
    }
  }
  const compiled = performance.now();
  const { manifest } = model.kind === "cadnn" ? model : decodeArtifact(artifact);
  const session = await createSession(artifact, { threads: options.threads, target, revectorize });
  const steps = manifest.modules.find((m) => m.target === session.target)?.steps ?? [];
  return {
    name: session.name,
    inputs: session.inputs,
    outputs: session.outputs,
    backend: session.backend,
    target: session.target,
    threads: session.threads,
    notes: options.revectorize === true && !revectorize ? [...session.notes, "no vectors of 256 bits: they need x64 and Node 24 or newer"] : session.notes,
    macs: steps.reduce((sum, step) => sum + step.macs, 0),
    compileMs: model.kind === "cadnn" ? undefined : compiled - started,
    loadMs: performance.now() - compiled,
    run: (feeds) => session.run(feeds),
    warmup: () => session.warmup(),
    dispose: () => session.dispose(),
  };
}

export function readTarget(name: string): TargetName {
  const target = targetNames.find((t) => t === name);
  if (target === undefined) throw usage(`there is no target "${name}"`, "--target", `Targets are: ${targetNames.join(", ")}.`);
  return target;
}

async function openReference(graph: Graph): Promise<OpenModel> {
  const [{ interpret }, { countMacs }] = await Promise.all([import("../ops/interpret.ts"), import("../zoo/count.ts")]);
  const inputs = graph.inputs.map(({ name, type }) => ({ name, ...type }));
  return {
    name: graph.name,
    inputs,
    outputs: graph.outputs.map(({ name, value }) => ({ name, ...value.type })),
    backend: "reference",
    target: undefined,
    threads: 1,
    notes: [],
    macs: countMacs(graph),
    compileMs: undefined,
    loadMs: 0,
    async run(feeds) {
      const tensors = Object.entries(feeds).map(
        ([name, feed]) =>
          [
            name,
            feedTensor(
              inputs.find((i) => i.name === name),
              feed,
            ),
          ] as const,
      );
      const { outputs } = interpret(graph, new Map(tensors));
      return Object.fromEntries([...outputs].map(([name, t]) => [name, { shape: [...t.shape], dtype: t.dtype, data: t.data }]));
    },
    warmup: async () => undefined,
    dispose: async () => undefined,
  };
}

function feedTensor(input: TensorRecord | undefined, feed: Feed): Tensor {
  const { data, shape } = ArrayBuffer.isView(feed) ? { data: feed, shape: undefined } : feed;
  return { dtype: input?.dtype ?? "float32", shape: shape ?? input?.shape ?? [data.length], data } as Tensor;
}

/** The input that takes the image: the only one, or the one that has the form of an image. */
export function imageInput(model: OpenModel): TensorRecord {
  const images = model.inputs.filter(({ shape }) => shape.length === 4 || shape.length === 3);
  const only = model.inputs.length === 1 ? model.inputs[0] : images.length === 1 ? images[0] : undefined;
  if (only !== undefined) return only;
  throw new CadnnError("E_INPUT_NAME", `the net has ${model.inputs.length} inputs (${model.inputs.map((i) => i.name).join(", ")}), an image goes to one`, {
    hint: "Feed the inputs as arrays by --input name=file.npy.",
  });
}

/** Elements of one image's scores: the output's last dimension or, where all others are 1, all of it. */
export function classCount(output: TensorRecord, batch: number): number {
  return elementCount(output.shape) / batch;
}
