import { checksum } from "../artifact/checksum.ts";
import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { takingBytes } from "./bytes.ts";
import { type CheckpointStore, decodeCheckpoint, encodeCheckpoint } from "./checkpoint.ts";
import type { Dataset } from "./data/dataset.ts";
import { interrupted } from "./evaluate.ts";
import { phaseSteps, runPhase, type TrainingObserver } from "./phase.ts";
import type { Schedule } from "./schedule.ts";
import type { MakeStepper, Stepper } from "./stepper.ts";
import { supportOf, wholeParameters } from "./support.ts";
import type { Teacher } from "./teacher.ts";
import { makeTrainingGraph, type TrainingGraph, type TrainingGraphOptions } from "./training-graph.ts";
import { weightsOf, withWeights } from "./weights.ts";

/** What lasts from phase to phase, and all that a checkpoint between phases holds. */
export interface RunState<Report> {
  /** The net as it is now, but for the elements of its weights. */
  graph: Graph;
  /** The net's weights and running statistics. */
  readonly weights: Map<string, Float32Array>;
  /** 0 where weights are not trained any more: those that are pruned, and those that are frozen on a level. */
  readonly masks: Map<string, Float32Array>;
  /** Plain JSON. */
  report: Report;
}

/** What a phase does between its steps. */
export interface PhaseDriver {
  /** Before step `step`; also before the first. */
  before?(step: number): Promise<void>;
  /** What a checkpoint must hold beside the graph's parameters. */
  save?(): ReadonlyMap<string, Float32Array>;
  /** After the last step, before the weights are read back. */
  finish?(): Promise<void>;
}

export interface Phase<Report> {
  /** Unique within its run. */
  readonly name: string;
  readonly epochs: number;
  readonly schedule: Schedule;
  /** The graph, given the state at the phase's start. */
  graph(state: RunState<Report>): Omit<TrainingGraphOptions, "batch">;
  /** `saved` is what the driver had saved, after a resume within the phase. */
  driver?(context: {
    readonly stepper: Stepper;
    readonly training: TrainingGraph;
    readonly steps: number;
    readonly state: RunState<Report>;
    readonly saved: ReadonlyMap<string, Float32Array> | undefined;
  }): PhaseDriver;
  /** Afterwards: prunes, measures, reports. */
  after?(state: RunState<Report>): Promise<void>;
  /** Then: the net to go on with, of fewer weights by the same names. It follows from the net, weights included, alone. */
  reshape?(graph: Graph): Graph;
}

export interface RunOptions<Report> {
  readonly graph: Graph;
  readonly dataset: Dataset;
  readonly phases: readonly Phase<Report>[];
  readonly report: Report;
  /** Masks from the start. */
  readonly masks?: ReadonlyMap<string, Float32Array>;
  readonly batch: number;
  readonly seed: number;
  readonly makeStepper: MakeStepper;
  readonly teacher?: Teacher | undefined;
  readonly observer?: TrainingObserver | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly store?: CheckpointStore | undefined;
  readonly saveEverySeconds?: number;
  /** Tells runs apart: a checkpoint is taken up only by the run that wrote it. */
  readonly identity: unknown;
}

interface Meta<Report> {
  readonly identity: number;
  readonly phase: number;
  readonly step: number;
  readonly report: Report;
}

/** Runs all phases, taking up a checkpoint where the store holds one. */
export async function runPhases<Report>(options: RunOptions<Report>): Promise<RunState<Report>> {
  const { graph, dataset, phases, store, batch } = options;
  const state: RunState<Report> = { graph, weights: weightsOf(graph), masks: new Map(options.masks), report: options.report };
  const identity = identityOf(options);
  /** All weights before each change of the net, from which a resumed run gets to its present shape. */
  const shapes: [string, Float32Array][] = [];
  const bytes = await store?.load();
  let start: { phase: number; step: number; arrays?: ReadonlyMap<string, Float32Array> } = { phase: 0, step: 0 };
  if (bytes !== undefined) {
    const { meta, arrays } = decodeCheckpoint<Meta<Report>>(bytes);
    if (meta.identity !== identity)
      throw new CadnnError("E_INVALID_OPTION", "the checkpoint belongs to another net, data set or plan", {
        at: "checkpoint",
        hint: "Delete it, or go back to the options it was written with.",
      });
    state.report = meta.report;
    for (const [index, phase] of phases.slice(0, meta.phase).entries())
      if (phase.reshape !== undefined) {
        const before = unprefixed(arrays, `reshape ${index}:`);
        shapes.push(...prefixed(before, `reshape ${index}:`));
        state.graph = phase.reshape(withWeights(state.graph, before));
      }
    state.weights.clear();
    restore(state.weights, arrays, "weight:");
    restore(state.masks, arrays, "mask:");
    start = { phase: meta.phase, step: meta.step, arrays };
  }
  const save = async (phase: number, step: number, extra: ReadonlyMap<string, Float32Array>) => {
    const arrays = new Map([...prefixed(state.weights, "weight:"), ...prefixed(state.masks, "mask:"), ...shapes, ...extra]);
    await store?.save(encodeCheckpoint({ meta: { identity, phase, step, report: state.report } satisfies Meta<Report>, arrays }));
  };

  const stepsOf = (some: readonly Phase<Report>[]) => some.reduce((sum, { epochs }) => sum + phaseSteps(dataset, batch, epochs), 0);
  for (let index = start.phase; index < phases.length; index++) {
    const phase = phases[index] as Phase<Report>;
    const resumed = index === start.phase && start.step > 0 ? start.arrays : undefined;
    if (options.signal?.aborted) {
      if (resumed === undefined) await save(index, 0, new Map());
      throw interrupted(phase.name);
    }
    const training = makeTrainingGraph(takingBytes(withWeights(state.graph, state.weights), dataset), { ...sparsely(phase.graph(state), state, batch), batch });
    const resident = [...new Set(training.graph.updates.map((u) => u.parameter.name)), ...training.targets, ...training.rhos, ...training.masks];
    const stepper = wholeParameters(await options.makeStepper(training.graph), training);
    try {
      for (const name of training.masks) await stepper.writeParameter(name, state.masks.get(name.slice(0, -".mask".length)) as Float32Array);
      if (resumed !== undefined) for (const name of resident) await stepper.writeParameter(name, resumed.get(`parameter:${name}`) as Float32Array);
      const steps = phaseSteps(dataset, batch, phase.epochs);
      const driver = phase.driver?.({ stepper, training, steps, state, saved: resumed && unprefixed(resumed, "driver:") });
      await runPhase({
        ...options,
        name: phase.name,
        training,
        stepper,
        epochs: phase.epochs,
        schedule: phase.schedule,
        run: { before: stepsOf(phases.slice(0, index)), steps: stepsOf(phases) },
        from: resumed === undefined ? 0 : start.step,
        before: driver?.before?.bind(driver),
        save:
          store === undefined
            ? undefined
            : async (step) => {
                const parameters = new Map<string, Float32Array>();
                for (const name of resident) parameters.set(`parameter:${name}`, await stepper.readParameter(name));
                await save(index, step, new Map([...parameters, ...prefixed(driver?.save?.() ?? new Map(), "driver:")]));
              },
      });
      await driver?.finish?.();
      for (const name of training.weights) state.weights.set(name, await stepper.readParameter(name));
    } finally {
      await stepper.dispose();
    }
    await phase.after?.(state);
    if (phase.reshape !== undefined) {
      shapes.push(...prefixed(state.weights, `reshape ${index}:`));
      reshape(state, phase.reshape(withWeights(state.graph, state.weights)));
    }
    await save(index + 1, 0, new Map());
  }
  return state;
}

/** Masks are those of weights that are 0; layers that have none of these lose theirs. */
function reshape<Report>(state: RunState<Report>, graph: Graph): void {
  state.graph = graph;
  state.weights.clear();
  for (const [name, data] of weightsOf(graph)) state.weights.set(name, data);
  for (const name of state.masks.keys()) {
    const mask = state.weights.get(name)?.map((v) => Number(v !== 0));
    if (mask?.includes(0)) state.masks.set(name, mask);
    else state.masks.delete(name);
  }
}

/**
 * Masked weights of which few elements are left become lists of these, which need no mask unless some of them are frozen. Those whose gradients are of interest elsewhere
 * too stay whole.
 */
function sparsely<Report>(graph: Omit<TrainingGraphOptions, "batch">, { weights, masks }: RunState<Report>, batch: number): Omit<TrainingGraphOptions, "batch"> {
  if (batch % 4 !== 0) return graph;
  const supports = new Map<string, Int32Array>();
  const masked = (graph.masks ?? []).filter((name) => {
    const mask = masks.get(name) as Float32Array;
    const support = graph.moments?.includes(name) ? undefined : supportOf(weights.get(name) as Float32Array, mask);
    if (support !== undefined) supports.set(name, support);
    return support === undefined || support.some((index) => mask[index] === 0);
  });
  return { ...graph, supports, masks: masked };
}

function identityOf<Report>({ graph, dataset, batch, seed, identity, phases }: RunOptions<Report>): number {
  const weights = [...weightsOf(graph)].map(([name, data]) => [name, checksum(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))]);
  const plan = phases.map(({ name, epochs, schedule }) => ({ name, epochs, schedule }));
  return checksum(
    new TextEncoder().encode(JSON.stringify({ weights, count: dataset.count, shape: dataset.inputShape, augmentation: dataset.augmentation, batch, seed, plan, identity })),
  );
}

function prefixed(map: ReadonlyMap<string, Float32Array>, prefix: string): [string, Float32Array][] {
  return [...map].map(([name, data]) => [prefix + name, data]);
}

function unprefixed(map: ReadonlyMap<string, Float32Array>, prefix: string): ReadonlyMap<string, Float32Array> {
  return new Map([...map].filter(([name]) => name.startsWith(prefix)).map(([name, data]) => [name.slice(prefix.length), data]));
}

function restore(into: Map<string, Float32Array>, arrays: ReadonlyMap<string, Float32Array>, prefix: string): void {
  for (const [name, data] of unprefixed(arrays, prefix)) into.set(name, data);
}
