import { type PostTrainingOptions, weightLayers } from "../../src/compress/index.ts";
import type { Graph } from "../../src/ir/graph.ts";

/** One way to compress a net without training, and what it may cost. */
export interface Case {
  readonly name: string;
  readonly options: PostTrainingOptions;
  /** Of the 1×1 convolutions alone, a classifier that is one included: share of zeros. Densities of layers are chosen by how much each suffers. */
  readonly pointwise?: number;
  /** Points of accuracy below the dense net that are allowed; missing where the figure is only reported. */
  readonly allowed?: number;
}

export interface Subject {
  readonly name: string;
  /** Below `nets/` of the data. */
  readonly file: string;
  /** Below the data: images to fit to and images to measure on, the same where they are to be divided. */
  readonly fit: string;
  readonly test: string;
  /** Images to fit to. */
  readonly images: number;
  /** Whether they are looked at mirrored as well. */
  readonly mirror?: boolean;
  readonly preprocess: string;
  readonly firstClass: number;
  readonly cases: readonly Case[];
}

const cifarCases: readonly Case[] = [
  { name: "70 % zeros", options: { sparsity: 0.7 }, allowed: 0.93 },
  { name: "80 % zeros", options: { sparsity: 0.8, distill: { epochs: 6 } }, allowed: 2.43 },
  { name: "90 % zeros", options: { sparsity: 0.9, distill: { epochs: 6 } }, allowed: 9.73 },
  { name: "4 bits", options: { bits: 4 }, allowed: 0.33 },
  { name: "3 bits", options: { bits: 3 }, allowed: 0.73 },
];
const cifar = { fit: "cifar10/train0.png", test: "cifar10/test.png", images: 2048, preprocess: "torch", firstClass: 0, cases: cifarCases } as const;

// Positions of one image tell much the same: few images fit many weights to chance, so that these are held nearer to the dense ones.
const photographCases: readonly Case[] = [
  { name: "4 bits", options: { bits: 4 }, allowed: 3 },
  { name: "3 bits", options: { bits: 3 } },
  { name: "50 % zeros in 1×1", options: { ridge: 0.02 }, pointwise: 0.5, allowed: 2.5 },
];
const photographs = { fit: "imagenet/images.csv", test: "imagenet/images.csv", images: 256, mirror: true, cases: photographCases } as const;

export const subjects: readonly Subject[] = [
  { name: "resnet20", file: "cifar10_resnet20.onnx", ...cifar },
  { name: "resnet56", file: "cifar10_resnet56.onnx", ...cifar },
  { name: "mobilenet-v2", file: "mobilenet_v2_1.0_224.onnx", preprocess: "tf", firstClass: 1, ...photographs },
  { name: "mobilenet-v1", file: "mobilenet_v1_1.0_224.onnx", preprocess: "mean=0.50196,std=0.50196", firstClass: 1, ...photographs },
  { name: "mobilenet-v1-0.25", file: "mobilenet_v1_0.25_224_bn.onnx", preprocess: "tf", firstClass: 0, ...photographs },
];

/** The case's options for this net. What is said of 1×1 convolutions holds for all of them together; unless densities are chosen, each takes its share of the zeros by what its weights add to outputs. */
export function optionsOf({ options, pointwise }: Case, graph: Graph): PostTrainingOptions {
  if (pointwise === undefined) return options;
  const layers = weightLayers(graph);
  const isPruned = (l: (typeof layers)[number]) => l.kind === "conv" && l.matrix.taps === 1 && !l.first;
  const count = (some: typeof layers) => some.reduce((sum, l) => sum + l.count, 0);
  const total = count(layers);
  return {
    ...options,
    rate: total / (total - pointwise * count(layers.filter(isPruned))),
    layers: Object.fromEntries(layers.filter((l) => !isPruned(l)).map((l) => [l.name, { density: 1 }])),
  };
}
