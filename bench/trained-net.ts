import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { openImages, trainingSet } from "../src/cli/datasets.ts";
import { importOnnx } from "../src/frontend/onnx/index.ts";
import { imageGeometry, parsePreprocessing } from "../src/image/index.ts";
import type { Graph } from "../src/ir/graph.ts";
import { type Dataset, shuffled, subset } from "../src/train/data/dataset.ts";
import { digitNormalization, idxDataset, train } from "../src/train/index.ts";
import type { MakeStepper } from "../src/train/stepper.ts";
import { zooGraph } from "../src/zoo/index.ts";
import { createRandom } from "../src/zoo/random.ts";

const silent = { update: () => undefined, note: () => undefined, end: () => undefined };

/** A trained net, images to fit it to and others to measure it on. */
export interface TrainedNet {
  readonly graph: Graph;
  readonly fit: Dataset;
  readonly test: Dataset;
}

/** ResNet-20 for CIFAR-10: `images` at random of the first training part, and the first `limit` of the test images. */
export async function resnet20(data: string, images: number, limit: number): Promise<TrainedNet> {
  const graph = importOnnx(readFileSync(join(data, "nets/cifar10_resnet20.onnx")));
  const input = graph.inputs[0] as Graph["inputs"][0];
  const read = async (file: string) =>
    trainingSet(
      await openImages(join(data, "cifar10", file), undefined),
      { geometry: imageGeometry(input.type.shape, input.name), preprocessing: parsePreprocessing("torch"), outputs: 10, firstClass: 0, limit: undefined },
      silent,
    );
  const [train, test] = [await read("train0.png"), await read("test.png")];
  const order = [...shuffled(train.count, createRandom(1, "calibration"))];
  return {
    graph,
    fit: subset(train, order.slice(0, images)),
    test: subset(
      test,
      Array.from({ length: Math.min(limit, test.count) }, (_, i) => i),
    ),
  };
}

/** LeNet-5, trained for some epochs on `count` images of MNIST; it is fitted to the same ones. */
export async function lenet5(data: string, count: number, epochs: number, makeStepper: MakeStepper): Promise<TrainedNet> {
  const read = (part: string) => {
    const [images, labels] = ["images-idx3", "labels-idx1"].map((kind) => gunzipSync(readFileSync(join(data, "mnist", `${part}-${kind}-ubyte.gz`))));
    return idxDataset(images as Uint8Array, labels as Uint8Array, { ...digitNormalization, classes: 10, names: { images: part, labels: part } });
  };
  const all = await read("train");
  const fit = subset(all, [...shuffled(all.count, createRandom(1, "calibration"))].slice(0, count));
  const graph = await train(zooGraph("lenet5"), fit, { epochs, batch: 128, schedule: { kind: "cosine", peak: 2e-3, warmup: 100 }, makeStepper });
  return { graph, fit, test: await read("t10k") };
}
