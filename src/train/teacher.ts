import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { takingBytes } from "./bytes.ts";
import type { BatchImages, Dataset } from "./data/dataset.ts";
import { logitsNet, predict, softTargets } from "./evaluate.ts";
import { rebatch } from "./rebatch.ts";
import type { MakeStepper } from "./stepper.ts";

/** What a net that is trained learns from beside labels: softmax(a better net's logits / temperature) of each image. */
export interface Teacher {
  /** Writes the soft targets of a batch, row by row: of the data set's images of these indices, which as they were varied are `images`. */
  targets(indices: Int32Array, images: BatchImages, out: Float32Array): Promise<void>;
  dispose(): Promise<void>;
}

export interface TeacherOptions {
  readonly makeStepper: MakeStepper;
  readonly temperature: number;
  /** Answer once for each image, as it is before it is varied: cheaper, and less to learn from. */
  readonly once?: boolean | undefined;
  /** Images a step. */
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A net that teaches (Hinton et al., arXiv 1503.02531). Where images are always the same it answers once for each; where they are varied it answers
 * for each batch as it is (Beyer et al., arXiv 2106.05237), which costs a forward pass a step.
 */
export async function makeTeacher(graph: Graph, dataset: Dataset, { makeStepper, temperature, once = false, batch, signal }: TeacherOptions): Promise<Teacher> {
  const logits = logitsNet(graph);
  if (dataset.augmentation === undefined || once) {
    const predictions = await predict(logits, dataset, makeStepper, { batch, signal });
    return tableTeacher(softTargets(predictions, temperature), predictions.classes);
  }
  const net = rebatch(takingBytes(logits, dataset), batch);
  const [input] = net.inputs;
  const [output] = net.outputs;
  if (input === undefined || output === undefined) throw new CadnnError("E_INVALID_GRAPH", "the net has no input or no output", { at: graph.name });
  const stepper = await makeStepper(net);
  return {
    async targets(indices, images, out) {
      const answer = (await stepper.run({ [input.name]: images }))[output.name] as Float32Array;
      out.set(softTargets({ logits: answer, classes: answer.length / indices.length }, temperature));
    },
    dispose: () => stepper.dispose(),
  };
}

/** Soft targets of every image of a data set, a row each. */
export function tableTeacher(rows: Float32Array, classes: number): Teacher {
  return {
    async targets(indices, _images, out) {
      indices.forEach((index, n) => {
        out.set(rows.subarray(index * classes, (index + 1) * classes), n * classes);
      });
    },
    dispose: async () => undefined,
  };
}
