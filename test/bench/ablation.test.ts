import { expect, test } from "vitest";
import { race } from "../../bench/ablation/race.ts";
import { rowsOf, tableOf } from "../../bench/ablation/report.ts";
import { barChart } from "../../bench/chart.ts";
import { compile } from "../../src/compile/index.ts";
import { createSession } from "../../src/node/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

test("variants run in turns and are compared with the first", async () => {
  const graph = zooGraph("lenet5");
  const variants = [
    { name: "all on", artifact: () => compile(graph, { targets: ["wasm-x64-plain"] }) },
    { name: "all off", artifact: () => compile(graph, { targets: ["wasm-x64-plain"], optimize: { fuse: false, layout: false } }) },
  ];
  const laps = await race(createSession, variants, new Float32Array(784).fill(0.5), { threads: 1, rounds: 2, runs: 3, warmupMs: 0 });
  expect(laps.map((l) => [l.name, l.times.length])).toEqual([
    ["all on", 6],
    ["all off", 6],
  ]);
  const rows = rowsOf(laps, new Map(variants.map((v) => [v.name, { kernelCalls: 1, memoryBytes: 65536 }])));
  expect(rows[0]).toMatchObject({ variant: "all on", gainOfMins: 1, gainOfMedians: 1, error: 0 });
  expect(rows[1]?.error).toBeLessThan(1e-5);
  expect(tableOf("lenet5", rows)).toContain("all off");
});

test("wrong outputs show", () => {
  const lap = (name: string, ...output: number[]) => ({ name, times: [1], output: Float32Array.from(output) });
  const sizes = new Map(["a", "b", "c", "d"].map((name) => [name, { kernelCalls: 1, memoryBytes: 1 }]));
  const rows = rowsOf([lap("a", 0, 4), lap("b", 0, 5), lap("c", Number.NaN, 4), lap("d", 0)], sizes);
  expect(rows.map((r) => r.error)).toEqual([0, 0.25, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
});

test("a chart has a bar a value, and its names are escaped", () => {
  const svg = barChart({
    title: "a < b",
    unit: "ms",
    groups: [
      {
        name: "g",
        bars: [
          { name: "x", value: 1, label: "1" },
          { name: "y", value: 2, label: "2" },
        ],
      },
    ],
  });
  expect(svg.match(/<rect x=/g)).toHaveLength(2);
  expect(svg).toContain("a &lt; b");
});
