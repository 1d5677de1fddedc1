import type { Manifest, ModuleRecord, ParameterRecord, StepRecord, TargetName, TensorRecord } from "../artifact/manifest.ts";
import { CadnnError } from "../errors.ts";
import type { Region } from "./executor.ts";
import type { Engine } from "./host.ts";
import { type Feed, type Feeds, feedWrites, inputRegionOf, listNames, memoryForm, type Results, type ResultTensor, regionOf, resultOf } from "./tensors.ts";

/** Time of one kernel call. */
export interface StepProfile extends StepRecord {
  readonly minMs: number;
  readonly medianMs: number;
}

export interface SessionInfo {
  readonly backend: "wasm";
  readonly target: TargetName;
  readonly threads: number;
  readonly notes: readonly string[];
}

/**
 * A loaded net. Calls take effect in the order in which they are made, whether awaited or not.
 * All methods throw E_DISPOSED after `dispose`.
 */
export class Session {
  readonly name: string;
  readonly inputs: readonly TensorRecord[];
  readonly outputs: readonly TensorRecord[];
  /** Values that stay between runs and that runs may change: those of a training step. */
  readonly parameters: readonly TensorRecord[];
  readonly backend: "wasm";
  readonly target: TargetName;
  /** Threads in use, which may be fewer than asked for: `notes` says why. */
  readonly threads: number;
  /** What was chosen otherwise than asked or than best, and why. Empty if nothing was. */
  readonly notes: readonly string[];
  readonly #engine: Engine;
  readonly #module: ModuleRecord;
  readonly #reads: readonly Region[];
  #disposed: Promise<void> | undefined;

  /** @internal */
  constructor(engine: Engine, manifest: Manifest, module: ModuleRecord, info: SessionInfo) {
    this.name = manifest.name;
    this.inputs = manifest.inputs;
    this.outputs = manifest.outputs;
    this.parameters = module.parameters;
    this.backend = info.backend;
    this.target = info.target;
    this.threads = info.threads;
    this.notes = info.notes;
    this.#engine = engine;
    this.#module = module;
    this.#reads = manifest.outputs.map((output, i) => regionOf(output, module.outputOffsets[i] as number));
  }

  /**
   * One inference. Feeds are copied before the call returns; results are copies too.
   * Throws E_INPUT_NAME, E_SHAPE_MISMATCH, E_DTYPE_MISMATCH.
   *
   * @example const { logits } = await session.run({ input: { shape: [1, 3, 224, 224], data: pixels } });
   */
  async run(feeds: Feeds): Promise<Results> {
    this.#live();
    const buffers = await this.#engine.invoke({ writes: this.#writes(feeds), runs: 1, reads: this.#reads });
    return Object.fromEntries(this.outputs.map((output, i) => [output.name, resultOf(output, buffers[i] as ArrayBuffer)]));
  }

  /** Runs on zeros until the engine has optimized the code (a fraction of a second to 2.5 s). Parameters keep their values. */
  async warmup(): Promise<void> {
    this.#live();
    await this.#engine.warmup(this.#warmupRegions());
  }

  /** The value of a parameter. Throws E_INPUT_NAME. */
  async readParameter(name: string): Promise<ResultTensor> {
    this.#live();
    const record = this.#parameter(name);
    const [buffer] = await this.#engine.invoke({ writes: [], runs: 0, reads: [regionOf(record, record.offset)] });
    return resultOf(record, buffer as ArrayBuffer);
  }

  /** Sets the value of a parameter. Throws E_INPUT_NAME, E_SHAPE_MISMATCH, E_DTYPE_MISMATCH. */
  async writeParameter(name: string, value: Feed): Promise<void> {
    this.#live();
    const record = this.#parameter(name);
    await this.#engine.invoke({ writes: [{ offset: record.offset, data: memoryForm(record, value, !this.#engine.sync) }], runs: 0, reads: [] });
  }

  /**
   * Times of every kernel call, in order, over some runs (10). Each call is started and awaited alone, which costs microseconds
   * with one thread and tens of them with more. Parameters keep their values. Without feeds it runs on zeros.
   */
  async profile(options: { readonly feeds?: Feeds; readonly runs?: number } = {}): Promise<StepProfile[]> {
    this.#live();
    const runs = options.runs ?? 10;
    if (!Number.isSafeInteger(runs) || runs < 1)
      throw new CadnnError("E_INVALID_OPTION", `runs must be a positive integer, not ${runs}`, { at: "runs", hint: "Leave it out for 10." });
    const steps = this.#module.steps;
    const writes = options.feeds === undefined ? [] : this.#writes(options.feeds);
    const times = await this.#engine.profile({ ...this.#warmupRegions(), writes, steps: steps.length, runs });
    return steps.map((step, i) => {
      const sorted = Array.from({ length: runs }, (_, run) => times[run * steps.length + i] as number).sort((a, b) => a - b);
      return { ...step, minMs: sorted[0] as number, medianMs: sorted[runs >> 1] as number };
    });
  }

  /** Ends the workers and frees the memory once the calls made before are done. May be called again. */
  async dispose(): Promise<void> {
    this.#disposed ??= this.#engine.dispose();
    await this.#disposed;
  }

  #writes(feeds: Feeds) {
    return feedWrites(this.inputs, this.#module.inputOffsets, feeds, !this.#engine.sync);
  }

  #warmupRegions(): { inputs: Region[]; keep: Region[] } {
    return {
      inputs: this.inputs.map((input, i) => inputRegionOf(input, this.#module.inputOffsets[i] as number)),
      keep: this.#module.parameters.map((parameter) => regionOf(parameter, parameter.offset)),
    };
  }

  #parameter(name: string): ParameterRecord {
    const record = this.#module.parameters.find((parameter) => parameter.name === name);
    if (record === undefined) throw new CadnnError("E_INPUT_NAME", `the net has no parameter "${name}"`, { at: name, hint: `Its parameters are: ${listNames(this.parameters)}.` });
    return record;
  }

  #live(): void {
    if (this.#disposed !== undefined) throw new CadnnError("E_DISPOSED", `the session of "${this.name}" was disposed of`, { at: this.name, hint: "Create a new session." });
  }
}
