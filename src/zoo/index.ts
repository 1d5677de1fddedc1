import { CadnnError } from "../errors.ts";
import type { Graph } from "../ir/graph.ts";
import { alexnet, lenet5, vgg16 } from "./classic.ts";
import { inceptionV3 } from "./inception.ts";
import type { ZooOptions } from "./layers.ts";
import { mobilenetV1, mobilenetV2 } from "./mobilenet.ts";
import { resnet18, resnet50 } from "./resnet.ts";

export { countMacs, countParameters, nodeMacs, nodeParameters } from "./count.ts";
export type { ZooOptions } from "./layers.ts";

export type ZooName = "lenet5" | "alexnet" | "vgg16" | "resnet18" | "resnet50" | "mobilenet_v1" | "mobilenet_v2" | "inception_v3";

export interface ZooEntry {
  readonly make: (options: ZooOptions) => Graph;
  readonly inputShape: readonly [1, number, number, number];
  /** Published figures. */
  readonly macs: number;
  readonly parameters: number;
}

/** The nets of the zoo. */
export const zoo: Readonly<Record<ZooName, ZooEntry>> = {
  lenet5: { make: lenet5, inputShape: [1, 1, 28, 28], macs: 2_293_000, parameters: 431_080 },
  alexnet: { make: alexnet, inputShape: [1, 3, 227, 227], macs: 724_406_816, parameters: 60_965_224 },
  vgg16: { make: vgg16, inputShape: [1, 3, 224, 224], macs: 15_470_264_320, parameters: 138_357_544 },
  resnet18: { make: resnet18, inputShape: [1, 3, 224, 224], macs: 1_814_073_344, parameters: 11_689_512 },
  resnet50: { make: resnet50, inputShape: [1, 3, 224, 224], macs: 4_089_184_256, parameters: 25_557_032 },
  mobilenet_v1: { make: mobilenetV1, inputShape: [1, 3, 224, 224], macs: 568_740_352, parameters: 4_231_976 },
  mobilenet_v2: { make: mobilenetV2, inputShape: [1, 3, 224, 224], macs: 300_774_272, parameters: 3_504_872 },
  inception_v3: { make: inceptionV3, inputShape: [1, 3, 299, 299], macs: 5_713_216_096, parameters: 23_834_568 },
};

export const zooNames = Object.keys(zoo) as readonly ZooName[];

/**
 * A net of the zoo: input `input` (NCHW, normalized pixels), output `logits`, seeded random weights, BatchNormalization separate.
 * Throws `E_INVALID_OPTION` for an unknown name, a sparsity outside 0 ≤ s < 1, or a seed or batch that is no integer.
 */
export function zooGraph(name: ZooName, options: ZooOptions = {}): Graph {
  const { sparsity = 0, seed = 1, batch = 1 } = options;
  const entry = zoo[name] as ZooEntry | undefined;
  if (entry === undefined) throw new CadnnError("E_INVALID_OPTION", `the zoo has no net "${name}"`, { at: "name", hint: `Choose one of ${zooNames.join(", ")}.` });
  if (!(sparsity >= 0 && sparsity < 1))
    throw new CadnnError("E_INVALID_OPTION", `sparsity is ${sparsity}`, { at: "sparsity", hint: "Give a number from 0 to below 1, for instance 0.9." });
  if (!Number.isSafeInteger(seed) || seed < 0) throw new CadnnError("E_INVALID_OPTION", `seed is ${seed}`, { at: "seed", hint: "Give a whole number that is not negative." });
  if (!Number.isSafeInteger(batch) || batch < 1) throw new CadnnError("E_INVALID_OPTION", `batch is ${batch}`, { at: "batch", hint: "Give a positive whole number." });
  return entry.make({ sparsity, seed, batch });
}
