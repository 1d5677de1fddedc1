/** Training on generated kernels: differentiation, training steps, data sets, trainer. */
export { type Checkpoint, type CheckpointStore, decodeCheckpoint, encodeCheckpoint } from "./checkpoint.ts";
export { type Augmentation, augment, mildWarp, mirrored, type Warp } from "./data/augment.ts";
export { type Dataset, type ImageSource, imageDataset, joined, type Normalization, split, subset } from "./data/dataset.ts";
export { digitBlack, digitNormalization, digitsDataset } from "./data/digits.ts";
export { gunzip, type IdxArray, type IdxDatasetOptions, idxDataset, parseIdx } from "./data/idx.ts";
export { type Mosaic, mosaicDataset } from "./data/mosaic.ts";
export { type Differentiated, type DifferentiateOptions, differentiate } from "./differentiate.ts";
export { accuracyOf, type Predictions, predict } from "./evaluate.ts";
export { interpreterStepper } from "./interpreter-stepper.ts";
export type { Optimizer } from "./optimizer.ts";
export type { TrainingObserver, TrainingProgress } from "./phase.ts";
export { rebatch } from "./rebatch.ts";
export { learningRateAt, type Schedule } from "./schedule.ts";
export { sessionStepper } from "./session-stepper.ts";
export type { FeedData, MakeStepper, Stepper } from "./stepper.ts";
export { type TrainOptions, train } from "./trainer.ts";
export { makeTrainingGraph, type TrainingGraph, type TrainingGraphOptions } from "./training-graph.ts";
export { prepareNet, weightsOf, withWeights } from "./weights.ts";
