import { CadnnError } from "../errors.ts";
import { type Graph, producers } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { takingBytes } from "./bytes.ts";
import { type Dataset, roomFor } from "./data/dataset.ts";
import { rebatch } from "./rebatch.ts";
import type { MakeStepper } from "./stepper.ts";

/** Outputs of a net for every image of a data set, row by row. */
export interface Predictions {
  readonly classes: number;
  readonly logits: Float32Array;
}

/** Runs the net's first output over the whole data set, never augmented; the last batch is filled up with its first image. */
export async function predict(
  graph: Graph,
  dataset: Dataset,
  makeStepper: MakeStepper,
  options: { readonly batch?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<Predictions> {
  const batch = options.batch ?? 64;
  const net = rebatch(takingBytes(graph, dataset), batch);
  const [input] = net.inputs;
  const [output] = net.outputs;
  if (input === undefined || output === undefined) throw new CadnnError("E_INVALID_GRAPH", "the net has no input or no output", { at: graph.name });
  const classes = elementCount(output.value.type.shape) / batch;
  const logits = new Float32Array(dataset.count * classes);
  const images = roomFor(dataset, batch);
  const labels = new Int32Array(batch);
  const stepper = await makeStepper(net);
  try {
    for (let start = 0; start < dataset.count; start += batch) {
      if (options.signal?.aborted) throw interrupted("evaluation");
      const indices = Array.from({ length: batch }, (_, i) => (start + i < dataset.count ? start + i : start));
      await dataset.batch(indices, images, labels);
      const out = (await stepper.run({ [input.name]: images }))[output.name] as Float32Array;
      logits.set(out.subarray(0, Math.min(batch, dataset.count - start) * classes), start * classes);
    }
  } finally {
    await stepper.dispose();
  }
  return { classes, logits };
}

/** The same net whose first output is what its closing Softmax takes; without one, the net itself. */
export function logitsNet(graph: Graph): Graph {
  const [output, ...others] = graph.outputs;
  const producer = producers(graph);
  let value = output?.value;
  let logits = value;
  for (let node = value && producer.get(value); node !== undefined && ["Softmax", "LogSoftmax", "Identity", "Reshape"].includes(node.op); node = value && producer.get(value)) {
    value = node.inputs[0];
    if (node.op.endsWith("Softmax")) logits = value;
  }
  return output === undefined || logits === undefined || logits === output.value ? graph : { ...graph, outputs: [{ name: output.name, value: logits }, ...others] };
}

/** The most likely class of each image, the first of equal ones. */
export function bestClasses({ logits, classes }: Predictions): number[] {
  return Array.from({ length: logits.length / classes }, (_, i) => {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    let best = 0;
    for (let c = 1; c < classes; c++) if ((row[c] as number) > (row[best] as number)) best = c;
    return best;
  });
}

/** Share of images, in percent, whose class is the most likely one. */
export function accuracyOf(predictions: Predictions, dataset: Dataset): number {
  return (100 * bestClasses(predictions).filter((best, i) => best === dataset.label(i)).length) / dataset.count;
}

/** softmax(logits / temperature), row by row. */
export function softTargets({ logits, classes }: Predictions, temperature: number): Float32Array {
  const out = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    let max = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) max = Math.max(max, logits[start + c] as number);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(((logits[start + c] as number) - max) / temperature);
    for (let c = 0; c < classes; c++) out[start + c] = Math.exp(((logits[start + c] as number) - max) / temperature) / sum;
  }
  return out;
}

export function interrupted(what: string): CadnnError {
  return new CadnnError("E_INTERRUPTED", `${what} was interrupted`, { hint: "Run the same command again to go on where it stopped." });
}
