import type { Layout } from "./contenders/index.ts";

/** What is asked of a contender's process; each request has one answer. Addresses are file: or http: URLs, whichever the host reads. */
export type Request =
  | {
      readonly kind: "load";
      readonly module: string;
      readonly library: string;
      readonly threads: number;
      readonly model: string;
      /** Float32 values in `shape`, which is NCHW. */
      readonly input: string;
      readonly shape: readonly number[];
      /** How this contender wants the input. */
      readonly layout: Layout;
      /** What the browser is to have in its cache before the clock starts. */
      readonly cached: readonly string[];
      /** A pause between reading files and starting the clock. */
      readonly settleMs: number;
      /** Inferences before the first turn go on for so long at least. Below 0: none at all after the first one. */
      readonly warmupMs: number;
    }
  /** After inferences that are not timed, one at least, for so long. */
  | { readonly kind: "turn"; readonly runs: number; readonly wakeMs: number };

export interface Loaded {
  readonly kind: "loaded";
  readonly loadMs: number;
  readonly firstMs: number;
  readonly output: readonly number[];
  /** Sizes of all WebAssembly memories after the first inference, where the host can tell. They never shrink, so this is the peak. */
  readonly memoryBytes?: number | undefined;
}

export type Answer = Loaded | { readonly kind: "times"; readonly times: readonly number[] } | { readonly kind: "failed"; readonly message: string };

export type AnswerOf<K extends Request["kind"]> = Extract<Answer, { kind: K extends "load" ? "loaded" : "times" }>;
