import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { netShapes } from "../../bench/make-shapes.ts";
import { formatShape, layerGraph, parseShape, pruned, shapesOf } from "../../bench/shapes.ts";
import { float32Tensor } from "../../src/ir/types.ts";

const folder = new URL("../../bench/shapes/", import.meta.url);

describe("bench/shapes", () => {
  test.each(readdirSync(folder))("%s: each line is a layer that can be built again", (file) => {
    for (const line of readFileSync(new URL(file, folder), "utf8").trim().split("\n")) {
      const shape = parseShape(line);
      expect(formatShape(shape)).toBe(line);
      if (shape.kernel.reduce((a, b) => a * b) < 50_000) expect(shapesOf(layerGraph(shape))).toEqual([{ ...shape, count: 1, weights: [] }]);
    }
  });

  test("they are those of the zoo", () => {
    const lines = netShapes("mobilenet_v1").map(formatShape);
    expect(readFileSync(new URL("mobilenet_v1.txt", folder), "utf8")).toBe(`${lines.join("\n")}\n`);
  });

  test("pruned blocks are the zeros of neighbouring filters, as many as asked for", () => {
    const w = float32Tensor(
      [5, 40],
      Float32Array.from({ length: 200 }, (_, i) => Math.sin(i * i + 1)),
    );
    const zeros = (rows: 1 | 2, sparsity: number) => (pruned(w, { sparsity, blockRows: rows }).data as Float32Array).map((v) => (v === 0 ? 1 : 0));
    expect(zeros(1, 0.75).reduce((a, b) => a + b)).toBe(150);
    const blocks = zeros(2, 0.75);
    for (let k = 0; k < 40; k++) for (const row of [0, 2]) expect(blocks[row * 40 + k]).toBe(blocks[(row + 1) * 40 + k]);
    expect(blocks.reduce((a, b) => a + b)).toBeGreaterThan(130);
  });
});
