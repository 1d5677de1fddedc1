import type { Graph } from "../../src/ir/graph.ts";
import { float32Tensor, tensorType } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";
import { type Dataset, imageDataset } from "../../src/train/data/dataset.ts";
import { createRandom } from "../../src/zoo/random.ts";

/** 6×6 pictures of noise with a horizontal (0), vertical (1) or diagonal (2) bar of three pixels somewhere. */
export function bars(count: number, seed = 1): Dataset {
  const random = createRandom(seed, "bars");
  const images = new Float32Array(count * 36);
  const labels = new Uint8Array(count);
  for (let n = 0; n < count; n++) {
    const label = n % 3;
    labels[n] = label;
    for (let i = 0; i < 36; i++) images[n * 36 + i] = 0.3 * random.normal();
    const y = Math.floor(random.uniform() * 4);
    const x = Math.floor(random.uniform() * 4);
    for (let k = 0; k < 3; k++) {
      const at = n * 36 + (y + (label === 0 ? 1 : k)) * 6 + x + (label === 1 ? 1 : k);
      images[at] = (images[at] as number) + 1.5;
    }
  }
  return imageDataset({ images, labels, inputShape: [1, 6, 6], classes: 3 });
}

/** Conv, BatchNorm, Relu, MaxPool, Conv, residual Add, global pooling, Gemm: one of each that nets are made of. */
export function tinyNet(seed = 1): Graph {
  const builder = new GraphBuilder("tiny");
  const random = (name: string, shape: readonly number[], scale: number) => {
    const source = createRandom(seed, name);
    const count = shape.reduce((a, b) => a * b, 1);
    return builder.constant(
      name,
      float32Tensor(
        shape,
        Float32Array.from({ length: count }, () => scale * source.normal()),
      ),
    );
  };
  const filled = (name: string, count: number, value: number) => builder.constant(name, float32Tensor([count], new Float32Array(count).fill(value)));
  const conv = { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 };
  const x = builder.input("image", tensorType("float32", [1, 1, 6, 6]));
  let y = builder.add("Conv", [x, random("conv1.weight", [8, 1, 3, 3], 0.4)], conv, "conv1");
  y = builder.add("BatchNormalization", [y, filled("bn.scale", 8, 1), filled("bn.bias", 8, 0), filled("bn.mean", 8, 0), filled("bn.var", 8, 1)], { epsilon: 1e-5 }, "bn");
  y = builder.add("Relu", [y], {}, "relu1");
  const branch = builder.add("Conv", [y, random("conv2.weight", [8, 8, 3, 3], 0.15), filled("conv2.bias", 8, 0)], conv, "conv2");
  y = builder.add("Relu", [builder.add("Add", [branch, y], {}, "add")], {}, "relu2");
  y = builder.add("MaxPool", [y], { kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false }, "pool");
  y = builder.add("Reshape", [y], { shape: [1, 72] }, "flatten");
  y = builder.add("Gemm", [y, random("fc.weight", [3, 72], 0.15), filled("fc.bias", 3, 0)], { alpha: 1, beta: 1, transA: false, transB: true }, "fc");
  builder.output("probabilities", builder.add("Softmax", [y], { axis: 1 }, "softmax"));
  return builder.finish();
}

/** Keeps the checkpoint that was saved last. */
export function memoryStore(): CheckpointStore {
  let bytes: Uint8Array | undefined;
  return {
    save: async (b) => {
      bytes = b;
    },
    load: async () => bytes,
  };
}
