/** One system under test. It lives in a process of its own, which stands still while another one is measured. */
export interface Contender {
  readonly name: string;
  /** Everything from the bytes of an ONNX file up to being ready to run. */
  load(onnx: Uint8Array): Promise<void>;
  /** What it offers to get to full speed. Plain inferences follow in any case. */
  warmup?(): Promise<void>;
  /** One inference, from input in JavaScript to output in JavaScript. */
  run(input: Input): Promise<Float32Array>;
  dispose(): Promise<void>;
}

export type MakeContender = (threads: number) => Contender;

export interface Input {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What all contenders have to agree upon: the zoo's input and output. */
export const inputName = "input";
export const outputName = "logits";
