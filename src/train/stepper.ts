import type { Graph } from "../ir/graph.ts";

export type FeedData = Float32Array | Int32Array | Uint8Array;

/** Runs one graph again and again; its parameters stay resident in between. */
export interface Stepper {
  /** Input names → elements; gives output names → elements. */
  run(feeds: Readonly<Record<string, FeedData>>): Promise<Readonly<Record<string, Float32Array>>>;
  /** A copy. */
  readParameter(name: string): Promise<Float32Array>;
  writeParameter(name: string, data: Float32Array): Promise<void>;
  dispose(): Promise<void>;
}

export type MakeStepper = (graph: Graph) => Promise<Stepper>;
