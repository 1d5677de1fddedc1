import { CadnnError } from "../errors.ts";
import { createRandom } from "../zoo/random.ts";
import { type BatchImages, type Dataset, roomFor, shuffled } from "./data/dataset.ts";
import { interrupted } from "./evaluate.ts";
import { scalarFeeds } from "./optimizer.ts";
import { learningRateAt, type Schedule } from "./schedule.ts";
import type { FeedData, Stepper } from "./stepper.ts";
import type { Teacher } from "./teacher.ts";
import type { TrainingGraph } from "./training-graph.ts";

/** How a run gets on. */
export interface TrainingProgress {
  readonly phase: string;
  /** Steps done, of the phase. */
  readonly step: number;
  readonly steps: number;
  /** From 1 on. */
  readonly epoch: number;
  readonly epochs: number;
  /** Means over the epoch so far; accuracy in percent of the training images. */
  readonly loss: number;
  readonly accuracy: number;
  readonly learningRate: number;
  /** Of the phase. */
  readonly etaSeconds: number;
  /** All phases together, steps done and to be done; of the time left, as if all steps took as long as those of this phase. */
  readonly run: { readonly step: number; readonly steps: number; readonly etaSeconds: number };
}
export type TrainingObserver = (progress: TrainingProgress) => void;

export interface PhaseOptions {
  readonly name: string;
  readonly training: TrainingGraph;
  readonly stepper: Stepper;
  readonly dataset: Dataset;
  readonly epochs: number;
  readonly schedule: Schedule;
  readonly seed: number;
  /** Needed where the graph distills. */
  readonly teacher?: Teacher | undefined;
  /** The step to begin with, after a resume. */
  readonly from?: number;
  /** Runs before each step. */
  readonly before?: ((step: number) => Promise<void>) | undefined;
  readonly observer?: TrainingObserver | undefined;
  /** Steps of the phases before this one, and of all. */
  readonly run?: { readonly before: number; readonly steps: number };
  readonly signal?: AbortSignal | undefined;
  /** Called when it is time to save, and on interruption; `step` is the next one to run. */
  readonly save?: ((step: number) => Promise<void>) | undefined;
  readonly saveEverySeconds?: number;
}

/** Steps of a phase; the last, incomplete batch of each epoch is left out. */
export function phaseSteps(dataset: Dataset, batch: number, epochs: number): number {
  const perEpoch = Math.floor(dataset.count / batch);
  if (perEpoch === 0)
    throw new CadnnError("E_INVALID_DATASET", `${dataset.count} images do not fill a batch of ${batch}`, { at: "batch", hint: "Use a smaller batch or more images." });
  return epochs === 0 ? 0 : Math.max(1, Math.round(perEpoch * epochs));
}

/**
 * Runs the steps of one phase. What a step sees follows from `seed`, `name` and the step's number alone, so that a resumed phase
 * gives the same bits as one that was never interrupted.
 * @throws `E_INTERRUPTED` after saving; `E_NON_FINITE` if the loss leaves the finite numbers.
 */
export async function runPhase(options: PhaseOptions): Promise<void> {
  const { name, training, stepper, dataset, seed } = options;
  const { batch, inputs } = training;
  const perEpoch = Math.floor(dataset.count / batch);
  const steps = phaseSteps(dataset, batch, options.epochs);
  const images = roomFor(dataset, batch);
  const labels = new Int32Array(batch);
  const chosen = new Int32Array(batch);
  const teacher = inputs.teacher === undefined ? undefined : new Float32Array(batch * training.classes);
  const first = options.from ?? 0;
  const { before: earlier, steps: all } = options.run ?? { before: 0, steps };
  const begun = performance.now();
  let saved = begun;
  let order = new Int32Array(0);
  let epoch = -1;
  let [loss, correct, seen] = [0, 0, 0];

  for (let step = first; step < steps; step++) {
    if (options.signal?.aborted) {
      await options.save?.(step);
      throw interrupted(name);
    }
    if (Math.floor(step / perEpoch) !== epoch) {
      epoch = Math.floor(step / perEpoch);
      order = shuffled(dataset.count, createRandom(seed, `${name}/order/${epoch}`)) as Int32Array<ArrayBuffer>;
      [loss, correct, seen] = [0, 0, 0];
    }
    await options.before?.(step);
    const start = (step % perEpoch) * batch;
    const indices = order.subarray(start, start + batch);
    await dataset.batch(indices, images, labels, createRandom(seed, `${name}/augment/${step}`), chosen);
    const learningRate = learningRateAt(options.schedule, step, steps);
    const scalars = scalarFeeds(training.optimizer, learningRate, step + 1);
    const feeds: Record<string, FeedData> = { [inputs.images]: images, [inputs.labels]: labels, [inputs.learningRate]: Float32Array.of(scalars.learningRate) };
    if (inputs.momentScale !== undefined) feeds[inputs.momentScale] = Float32Array.of(scalars.momentScale);
    if (inputs.teacher !== undefined && teacher !== undefined) feeds[inputs.teacher] = await answers(options.teacher, indices, images, chosen, teacher);

    const out = await stepper.run(feeds);
    const stepLoss = out.loss?.[0] ?? Number.NaN;
    if (!Number.isFinite(stepLoss))
      throw new CadnnError("E_NON_FINITE", `the loss became ${stepLoss} in step ${step + 1} of ${name}`, { at: name, hint: "Lower the learning rate, or warm it up." });
    loss += stepLoss;
    correct += out.correct?.[0] ?? 0;
    seen++;
    const now = performance.now();
    const done = step + 1;
    const secondsAStep = (now - begun) / (done - first) / 1000;
    const run = { step: earlier + done, steps: all };
    options.observer?.({
      phase: name,
      step: done,
      steps,
      epoch: epoch + 1,
      epochs: Math.ceil(steps / perEpoch),
      loss: loss / seen,
      accuracy: (100 * correct) / (seen * batch),
      learningRate,
      etaSeconds: secondsAStep * (steps - done),
      run: { ...run, etaSeconds: secondsAStep * (run.steps - run.step) },
    });
    if (options.save !== undefined && now - saved > 1000 * (options.saveEverySeconds ?? 60) && done < steps) {
      await options.save(done);
      saved = performance.now();
    }
  }
}

async function answers(teacher: Teacher | undefined, indices: Int32Array, images: BatchImages, chosen: Int32Array, out: Float32Array): Promise<Float32Array> {
  if (teacher === undefined) throw new CadnnError("E_INTERNAL", "the graph distills, but there is no teacher");
  await teacher.targets(indices, images, out, chosen);
  return out;
}
