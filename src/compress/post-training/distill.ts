import type { Graph } from "../../ir/graph.ts";
import type { CheckpointStore } from "../../train/checkpoint.ts";
import type { Dataset } from "../../train/data/dataset.ts";
import type { TrainingProgress } from "../../train/phase.ts";
import { runPhases } from "../../train/run.ts";
import type { MakeStepper } from "../../train/stepper.ts";
import { makeTeacher } from "../../train/teacher.ts";
import { weightsOf, withWeights } from "../../train/weights.ts";
import type { CalibrationImages } from "./activations.ts";
import type { PostTrainingPlan } from "./plan.ts";

export interface DistillOptions {
  readonly makeStepper: MakeStepper;
  readonly observer: (progress: TrainingProgress) => void;
  readonly signal: AbortSignal | undefined;
  readonly store: CheckpointStore | undefined;
  readonly saveEverySeconds?: number;
  /** Weights that are pruned. */
  readonly masked: readonly string[];
}

const temperature = 3;

/**
 * Trains what is left of a pruned net on the images to answer like the dense net (Hinton et al., arXiv 1503.02531): the teacher's soft
 * answers take the place of labels. Zeros stay zeros. BatchNorm keeps its
 * statistics, which were fitted to the images and would only become noisier.
 */
export async function distill(
  dense: Graph,
  weights: ReadonlyMap<string, Float32Array>,
  plan: PostTrainingPlan,
  images: CalibrationImages,
  options: DistillOptions,
): Promise<Map<string, Float32Array>> {
  const { makeStepper, observer, signal, store, masked, saveEverySeconds } = options;
  const batch = Math.min(64, images.count, 2 * plan.batch);
  const classes = dense.outputs[0]?.value.type.shape.at(-1) ?? 1;
  const dataset: Dataset = { ...images, classes, label: () => 0 };
  const teacher = await makeTeacher(dense, dataset, { makeStepper, temperature, batch, signal });
  const graph = withWeights(dense, weights);
  const values = weightsOf(graph);
  const masks = new Map(masked.map((name) => [name, (values.get(name) as Float32Array).map((v) => Number(v !== 0))]));
  const state = await runPhases({
    graph,
    dataset,
    phases: [
      {
        name: "distill",
        epochs: plan.distill.epochs,
        schedule: { kind: "cosine", peak: plan.distill.peak },
        graph: () => ({ optimizer: { kind: "adam" }, distill: { temperature, weight: 1 }, masks: masked, frozenStatistics: true }),
      },
    ],
    report: {},
    masks,
    batch,
    seed: plan.seed,
    makeStepper,
    teacher,
    observer,
    signal,
    store,
    identity: plan,
    ...(saveEverySeconds === undefined ? {} : { saveEverySeconds }),
  }).finally(() => teacher.dispose());
  return state.weights;
}
