import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import { type ZooName, zoo, zooGraph, zooNames } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import type { Input } from "./contender.ts";

/** A net to measure, with uniform random zeros in its weights. */
export interface Case {
  readonly net: ZooName;
  readonly sparsity: number;
}

/** How much of each net is pruned away where nothing else is asked for. */
const usualSparsity: Readonly<Partial<Record<ZooName, number>>> = { resnet50: 0.891, mobilenet_v1: 0.85, mobilenet_v2: 0.85, inception_v3: 0.89 };

export const defaultNets = "resnet50,mobilenet_v1,mobilenet_v2";

/** `NET` stands for it dense and pruned as usual, `NET@SPARSITY` for one of the two, `NET@0` being dense. */
export function parseCases(text: string): Case[] {
  return text.split(",").flatMap((part): Case[] => {
    const [name, sparsity] = part.trim().split("@");
    const net = zooNames.find((n) => n === name);
    if (net === undefined) throw new Error(`there is no net ${name}; the zoo has ${zooNames.join(", ")}`);
    if (sparsity === undefined)
      return [
        { net, sparsity: 0 },
        { net, sparsity: usualSparsity[net] ?? 0.9 },
      ];
    const share = Number(sparsity);
    if (!(share >= 0 && share < 1)) throw new Error(`${part}: the sparsity has to be from 0 to below 1`);
    return [{ net, sparsity: share }];
  });
}

export function caseName({ net, sparsity }: Case): string {
  return sparsity === 0 ? `${net} dense` : `${net} ${sparsity}`;
}

/** The same bytes and the same pixels for every contender. */
export function makeCase({ net, sparsity }: Case): { readonly onnx: Uint8Array; readonly input: Input } {
  const onnx = exportOnnx(zooGraph(net, { sparsity, seed: 1 }));
  const random = createRandom(1, "pixels");
  const shape = zoo[net].inputShape;
  const count = shape.reduce((a, b) => a * b, 1);
  return { onnx, input: { shape, data: Float32Array.from({ length: count }, () => random.normal()) } };
}
