import { readdirSync, readFileSync } from "node:fs";
import { dense, formatWeights, type LayerShape, type LayerWeights, parseShape } from "./shapes.ts";

/** A layer of bench/shapes/*.txt with one of its kinds of weights. */
export interface Layer {
  readonly net: string;
  readonly line: string;
  readonly shape: LayerShape;
  readonly weights: LayerWeights;
}

/** The layers whose line, with the net's name in front and the weights behind, contains all filters; of filters that are nets, one. */
export function layersThat(filters: readonly string[]): Layer[] {
  const folder = new URL("shapes/", import.meta.url);
  const files = readdirSync(folder).filter((f) => f.endsWith(".txt"));
  const lines = files.flatMap((file) =>
    readFileSync(new URL(file, folder), "utf8")
      .trim()
      .split("\n")
      .map((line) => ({ net: file.slice(0, -4), line })),
  );
  const layers = lines.flatMap(({ net, line }): Layer[] => {
    const shape = parseShape(line);
    const text = line.replace(/ weights \S+/, "");
    return (shape.weights.length === 0 ? [dense] : shape.weights).map((weights) => ({ net, line: `${text} ${formatWeights(weights)}`, shape, weights }));
  });
  const nets = filters.filter((f) => layers.some((l) => l.net === f));
  const rest = filters.filter((f) => !nets.includes(f));
  return layers.filter(({ net, line }) => (nets.length === 0 || nets.includes(net)) && rest.every((f) => `${net} ${line}`.includes(f)));
}
