/** The player of `.cadnn` files: small, without dependencies, for pages, workers and Node. Importing it does nothing. */
export type { RecordDType, StepRecord, TargetName, TensorRecord } from "../artifact/manifest.ts";
export { CadnnError, type ErrorCode } from "../errors.ts";
export { createSession, type SessionOptions } from "./create-session.ts";
export { detectFeatures, type Features } from "./features.ts";
export type { Session, StepProfile } from "./session.ts";
export type { ArtifactSource } from "./source.ts";
export type { Feed, Feeds, Results, ResultTensor, TensorData } from "./tensors.ts";
