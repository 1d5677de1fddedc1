import { writeFileSync } from "node:fs";
import { optimize } from "../src/passes/index.ts";
import { type ZooName, zooGraph } from "../src/zoo/index.ts";
import { formatShape, shapesOf } from "./shapes.ts";

// Writes bench/shapes/<net>.txt from the zoo: `npx tsx bench/make-shapes.ts`.
const nets: readonly ZooName[] = ["resnet50", "mobilenet_v1", "mobilenet_v2", "inception_v3"];
for (const net of nets) {
  const lines = shapesOf(optimize(zooGraph(net))).map(formatShape);
  writeFileSync(new URL(`shapes/${net}.txt`, import.meta.url), `${lines.join("\n")}\n`);
}
