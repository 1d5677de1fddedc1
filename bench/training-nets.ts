import { existsSync, readFileSync } from "node:fs";
import { importOnnx } from "../src/frontend/onnx/index.ts";
import type { Graph } from "../src/ir/graph.ts";
import { weightRoles } from "../src/train/training-graph.ts";
import { prepareNet, withWeights } from "../src/train/weights.ts";
import { zooGraph } from "../src/zoo/index.ts";
import { createLayers } from "../src/zoo/layers.ts";
import { createRandom } from "../src/zoo/random.ts";

const resnet20File = "../shared/data/nets/cifar10_resnet20.onnx";

/** A net to train, ready for `makeTrainingGraph`. */
export function trainingNet(name: string): Graph {
  if (name === "lenet5") return prepareNet(zooGraph("lenet5"));
  if (name === "resnet20" && existsSync(resnet20File)) return prepareNet(importOnnx(readFileSync(resnet20File), { inputShapes: { input: [1, 3, 32, 32] } }));
  throw new Error(name === "resnet20" ? `${resnet20File} is missing` : `there is no net ${name}: take lenet5 or resnet20`);
}

/** Weights that are left of LeNet-5 at 348×, and the units that it then has. */
const left348 = { conv1: 120, conv2: 500, ip1: 430, ip2: 187 } as const;
const units348 = { conv1: 8, conv2: 20, ip1: 40 } as const;

/** LeNet-5 as it is at 348×: 1,237 weights at random places, dead units removed. */
export function lenet348(): PrunedNet {
  const net = createLayers("lenet5", {});
  let x = net.maxPool(net.conv(net.input(1, 28), "conv1", units348.conv1, { kernel: 5, bias: true }), "pool1", { kernel: 2, stride: 2 });
  x = net.maxPool(net.conv(x, "conv2", units348.conv2, { kernel: 5, bias: true }), "pool2", { kernel: 2, stride: 2 });
  x = net.relu(net.linear(net.flatten(x, "flatten"), "ip1", units348.ip1, "relu"), "relu1");
  return pruned(prepareNet(net.finish(net.linear(x, "ip2", 10, "output"))), (layer) => left348[layer.split(".")[0] as keyof typeof left348]);
}

/** A net whose weights are 0 but at some places, and these places. */
export interface PrunedNet {
  readonly graph: Graph;
  readonly supports: ReadonlyMap<string, Int32Array>;
}

/** Leaves so many weights of each layer, at random places; `undefined` leaves all. */
export function pruned(graph: Graph, count: (layer: string, size: number, shape: readonly number[]) => number | undefined): PrunedNet {
  const random = createRandom(1, "places");
  const supports = new Map<string, Int32Array>();
  const weights = new Map<string, Float32Array>();
  for (const [{ name, data, type }, role] of weightRoles(graph)) {
    const left = role === "weight" ? count(name, data.length, type.shape) : undefined;
    if (left === undefined || left >= data.length) continue;
    const keys = Float64Array.from({ length: data.length }, () => random.uniform());
    const places = Int32Array.from({ length: data.length }, (_, i) => i).sort((a, b) => (keys[a] as number) - (keys[b] as number));
    const support = places.slice(0, left).sort();
    const values = new Float32Array(data.length);
    for (const i of support) values[i] = data[i] as number;
    supports.set(name, support);
    weights.set(name, values);
  }
  return { graph: withWeights(graph, weights), supports };
}
