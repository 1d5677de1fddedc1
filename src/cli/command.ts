import type { ArgsDef } from "citty";
import type { Options } from "./options.ts";
import type { Progress } from "./progress.ts";

/** One command of the command line. */
export interface Command {
  readonly name: string;
  readonly description: string;
  /** Without `--json`, `--progress` and `--help`, which every command has. */
  readonly args: ArgsDef;
  readonly examples: readonly string[];
  run(options: Options, context: CommandContext): Promise<Report>;
}

export interface CommandContext {
  readonly progress: Progress;
  /** Aborted by the first Ctrl-C of a command that says it can be interrupted; see `interruptible`. */
  readonly signal: AbortSignal;
  /** From now on Ctrl-C aborts `signal` instead of ending the process; a second one ends it. */
  interruptible(): void;
}

/** What a command has found out: as text for people, or with `--json` as a document. */
export interface Report {
  readonly text: string;
  readonly json: unknown;
}

export const commonArgs = {
  json: { type: "boolean", description: "Print one JSON document on stdout" },
  progress: { type: "boolean", description: "Show progress from the start even where stderr is no terminal" },
} as const satisfies ArgsDef;

/** Options that several commands share. */
export const sharedArgs = {
  threads: { type: "string", description: "Number of threads", valueHint: "N" },
  target: { type: "string", description: "Wasm target to run, in place of the best one", valueHint: "NAME" },
  revectorize: { type: "boolean", description: "Let V8 use vectors of 256 bits (experimental; x64, Node 24 or newer)" },
  "input-shape": { type: "string", description: "Shape of an input whose dimensions are dynamic; may be repeated", valueHint: "name=1x3x224x224" },
  preprocess: { type: "string", description: "tf, torch, caffe, none, or mean=a,b,c,std=a,b,c on the 0…1 scale; optionally followed by ,bgr", valueHint: "SPEC" },
  disable: { type: "string", description: "Optimizations to leave out: fuse, layout, loadElimination, winograd, tune, or names of passes", valueHint: "LIST" },
  "first-class": { type: "string", description: "Output index of class 0; 1 for nets with a background class", valueHint: "N" },
  reference: { type: "boolean", description: "Run ops by their reference semantics instead of compiling (slow)" },
} as const satisfies ArgsDef;
