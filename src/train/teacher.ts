import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { takingBytes } from "./bytes.ts";
import { inEachWay } from "./data/augment.ts";
import type { BatchImages, Dataset } from "./data/dataset.ts";
import { logitsNet, predict, softTargets } from "./evaluate.ts";
import { rebatch } from "./rebatch.ts";
import type { MakeStepper } from "./stepper.ts";

/** What a net that is trained learns from beside labels: softmax(a better net's logits / temperature) of each image. */
export interface Teacher {
  /** Writes the soft targets of a batch, row by row: of the data set's images of these indices, which as they were varied, in these ways if it tells them, are `images`. */
  targets(indices: Int32Array, images: BatchImages, out: Float32Array, chosen?: Int32Array): Promise<void>;
  dispose(): Promise<void>;
}

export interface TeacherOptions {
  readonly makeStepper: MakeStepper;
  readonly temperature: number;
  /** Answer once for each image, as it is before it is varied: cheaper, and less to learn from. */
  readonly once?: boolean | undefined;
  /** How many images will be asked for, as far as that is known. Where all variations of all images are fewer, it answers for them beforehand. */
  readonly images?: number | undefined;
  /** Images a step. */
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A net that teaches (Hinton et al., arXiv 1503.02531). Where images are always the same it answers once for each; where they are varied it answers
 * for each as it is (Beyer et al., arXiv 2106.05237): beforehand for all variations, if there are few, or else in a forward pass a step.
 */
export async function makeTeacher(graph: Graph, dataset: Dataset, options: TeacherOptions): Promise<Teacher> {
  const { makeStepper, temperature, once = false, images = 0, batch, signal } = options;
  const logits = logitsNet(graph);
  const rowsOf = async (data: Dataset) => {
    const predictions = await predict(logits, data, makeStepper, { batch, signal });
    return { rows: softTargets(predictions, temperature), classes: predictions.classes };
  };
  if (dataset.augmentation === undefined || once) {
    const { rows, classes } = await rowsOf(dataset);
    return tableTeacher(rows, classes);
  }
  const { variations } = dataset;
  if (variations !== undefined && variations.count * dataset.count < images) {
    const { rows, classes } = await rowsOf(inEachWay(dataset, variations));
    const table = tableTeacher(rows, classes);
    return {
      ...table,
      targets: (indices, varied, out, chosen) => {
        if (chosen === undefined) throw new CadnnError("E_INTERNAL", "the data set does not tell how it varies images");
        return table.targets(
          indices.map((index, n) => (chosen[n] as number) * dataset.count + index),
          varied,
          out,
        );
      },
    };
  }
  const net = rebatch(takingBytes(logits, dataset), batch);
  const [input] = net.inputs;
  const [output] = net.outputs;
  if (input === undefined || output === undefined) throw new CadnnError("E_INVALID_GRAPH", "the net has no input or no output", { at: graph.name });
  const stepper = await makeStepper(net);
  return {
    async targets(_indices, varied, out) {
      const answer = (await stepper.run({ [input.name]: varied }))[output.name] as Float32Array;
      out.set(softTargets({ logits: answer, classes: answer.length / batch }, temperature));
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
