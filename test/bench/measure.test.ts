import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Classified, classOf, gainsOf, summarize } from "../../bench/classes.ts";
import { record, thisHost } from "../../bench/host.ts";
import { candidateOf, everyChoice, mainCall, peakOf, turnsOf } from "../../bench/measure.ts";
import { layerGraph, parseShape } from "../../bench/shapes.ts";
import { targets } from "../../src/codegen/target.ts";

const target = targets["wasm-x64-plain"];
const line = "2 conv 8x6x3x3 of 6 channels 14x14 stride 1x1 pads 1,1,1,1 bias relu weights dense,0.75,0.75/2x1 # layer";
const shape = parseShape(line);

test("a layer is what its kernels are called for, without copies", () => {
  const { calls } = candidateOf(layerGraph(shape), target);
  expect(calls.map((c) => c.template.name).filter((name) => name.startsWith("x32-"))).toEqual([]);
  expect(mainCall(calls).macs).toBe(8 * 6 * 9 * 14 * 14);
});

test("every choice of the kernel is lowered as such", () => {
  const usual = mainCall(candidateOf(layerGraph(shape), target).calls);
  const all = everyChoice(layerGraph(shape), target).map(({ candidate }) => mainCall(candidate.calls));
  expect(all.map((c) => c.template.name)).toEqual(all.map(() => usual.template.name));
  expect(all.map((c) => c.choice)).toEqual(usual.template.choices(usual.problem, target));
});

test("turns interleave", () => {
  const order: string[] = [];
  const turns = turnsOf([() => order.push("a"), () => order.push("b"), peakOf(target)], 0);
  order.length = 0;
  turns.round();
  turns.round();
  expect(order).toEqual(["a", "b", "a", "b"]);
  expect(turns.seconds.map((s) => s.length)).toEqual([2, 2, 2]);
});

test("classes and their shares of the peak", () => {
  expect(shape.weights.map((w) => classOf(shape, w, false))).toEqual(["dense, ≥ 196 pixels", "sparse, ≥ 196 pixels", "sparse, 2×1 blocks, ≥ 196 pixels"]);
  const layer = (net: string, minUs: number, ofPeak: number): Classified => ({ net, class: "dense", count: 1, macs: 1, minUs, ofPeak });
  const rows = summarize([layer("a", 10, 0.9), layer("a", 30, 0.5), layer("b", 10, 0.2)]);
  expect(rows.map((r) => [r.net, r.layers, r.min, r.overall])).toEqual([
    ["all", 3, 0.2, 0.52],
    ["a", 2, 0.5, 0.6],
    ["b", 1, 0.2, 0.2],
  ]);
});

test("ways to compute a layer are compared on the layers that have both", () => {
  const layer = (name: string, kind: string, minUs: number) => ({ net: "a", layer: name, class: kind, count: 1, macs: 100, minUs, ofPeak: 1 });
  const gains = gainsOf([
    layer("x", "dense, Winograd", 10),
    layer("x", "dense, ≥ 196 pixels", 25),
    layer("y", "dense, Winograd", 10),
    layer("y", "dense, ≥ 196 pixels", 35),
    layer("z", "sparse, 2×1 blocks, ≥ 196 pixels", 10),
  ]);
  expect(gains).toEqual([{ what: "Winograd over direct", net: "a", layers: 2, min: 2.5, median: 3 }]);
});

test("a run takes the place of the same engine's", () => {
  const folder = mkdtempSync(join(tmpdir(), "cadnn-bench-"));
  try {
    const file = join(folder, "results", "kernels.json");
    const host = thisHost();
    record(file, { host, n: 1 });
    record(file, { host: { ...host, engine: "another" }, n: 2 });
    record(file, { host, n: 3 });
    expect((JSON.parse(readFileSync(file, "utf8")) as { n: number }[]).map((r) => r.n)).toEqual([2, 3]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
