import type { Graph } from "../ir/graph.ts";
import type { CheckpointStore } from "./checkpoint.ts";
import type { Dataset } from "./data/dataset.ts";
import type { Optimizer } from "./optimizer.ts";
import type { TrainingObserver } from "./phase.ts";
import { type Phase, runPhases } from "./run.ts";
import type { Schedule } from "./schedule.ts";
import type { MakeStepper } from "./stepper.ts";
import type { TrainingGraphOptions } from "./training-graph.ts";
import { prepareNet, withWeights } from "./weights.ts";

export interface TrainOptions {
  readonly epochs: number;
  readonly schedule: Schedule;
  readonly makeStepper: MakeStepper;
  readonly optimizer?: Optimizer;
  /** A multiple of 4 suits the kernels. */
  readonly batch?: number;
  readonly seed?: number;
  readonly trainable?: TrainingGraphOptions["trainable"];
  readonly batchNormMomentum?: number;
  readonly observer?: TrainingObserver | undefined;
  /** Aborting it saves to `store` and throws `E_INTERRUPTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Taken up from where it holds a checkpoint of the same run. */
  readonly store?: CheckpointStore | undefined;
  readonly saveEverySeconds?: number;
}

/**
 * Trains a net with cross-entropy and gives it back with its new weights. Equal options and seeds give equal weights, interrupted or not.
 *
 * @example
 * const trained = await train(zooGraph("lenet5"), digits, { epochs: 4, schedule: { kind: "cosine", peak: 2e-3 }, makeStepper });
 */
export async function train(graph: Graph, dataset: Dataset, options: TrainOptions): Promise<Graph> {
  const { optimizer = { kind: "adam" }, batch = 64, seed = 1 } = options;
  const phase: Phase<undefined> = {
    name: "train",
    epochs: options.epochs,
    schedule: options.schedule,
    graph: () => ({
      optimizer,
      ...(options.trainable === undefined ? {} : { trainable: options.trainable }),
      ...(options.batchNormMomentum === undefined ? {} : { batchNormMomentum: options.batchNormMomentum }),
    }),
  };
  const net = prepareNet(graph);
  const { weights } = await runPhases({ ...options, graph: net, dataset, batch, seed, phases: [phase], report: undefined, identity: { optimizer } });
  return withWeights(net, weights);
}
