import { writeFileSync } from "node:fs";
import { optimize } from "../src/passes/index.ts";
import { type ZooName, zooGraph } from "../src/zoo/index.ts";
import { formatShape, type LayerShape, shapesOf, weightsOf } from "./shapes.ts";

/** The nets, and how much of each is pruned away. */
export const benchNets = { resnet50: 0.891, mobilenet_v1: 0.85, mobilenet_v2: 0.85, inception_v3: 0.89 } as const satisfies Partial<Record<ZooName, number>>;

export const netShapes = (net: keyof typeof benchNets): LayerShape[] => shapesOf(optimize(zooGraph(net))).map((shape) => ({ ...shape, weights: weightsOf(shape, benchNets[net]) }));

// Writes bench/shapes/<net>.txt from the zoo: `npx tsx bench/make-shapes.ts`.
if (process.argv[1]?.endsWith("make-shapes.ts"))
  for (const net of Object.keys(benchNets) as (keyof typeof benchNets)[])
    writeFileSync(new URL(`shapes/${net}.txt`, import.meta.url), `${netShapes(net).map(formatShape).join("\n")}\n`);
