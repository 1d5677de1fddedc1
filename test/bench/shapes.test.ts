import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatShape, layerGraph, parseShape, shapesOf } from "../../bench/shapes.ts";
import { optimize } from "../../src/passes/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

const folder = new URL("../../bench/shapes/", import.meta.url);

describe("bench/shapes", () => {
  test.each(readdirSync(folder))("%s: each line is a layer that can be built again", (file) => {
    for (const line of readFileSync(new URL(file, folder), "utf8").trim().split("\n")) {
      const shape = parseShape(line);
      expect(formatShape(shape)).toBe(line);
      if (shape.kernel.reduce((a, b) => a * b) < 50_000) expect(shapesOf(layerGraph(shape))).toEqual([{ ...shape, count: 1 }]);
    }
  });

  test("they are those of the zoo", () => {
    const lines = shapesOf(optimize(zooGraph("mobilenet_v1"))).map(formatShape);
    expect(readFileSync(new URL("mobilenet_v1.txt", folder), "utf8")).toBe(`${lines.join("\n")}\n`);
  });
});
