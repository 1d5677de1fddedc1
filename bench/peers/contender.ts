/** One system under test. It lives in a process of its own (a browser, Node, Python), which stands still while another one is measured. */
export interface Contender {
  /** Everything from the model in memory up to being ready to run, the library's own files included. */
  load(model: Model): Promise<void>;
  /** What it offers to get to full speed. Plain inferences follow in any case. */
  warmup?(): Promise<void>;
  /** One inference, from input in JavaScript to output in JavaScript. */
  run(input: Input): Promise<Float32Array>;
}

export interface Setup {
  readonly threads: number;
  /** Where the contender's library lies: what `import` takes. */
  readonly library: string;
}

export type MakeContender = (setup: Setup) => Contender;

/** A file that was read before the clock starts. */
export interface Model {
  readonly url: string;
  readonly bytes: Uint8Array;
}

export interface Input {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
