import { describe, expect, test } from "vitest";
import { barsOf, isMet } from "../../bench/arm/bars.ts";
import type { Measurement } from "../../bench/arm/measure.ts";
import { parseOptions } from "../../bench/arm/options.ts";
import { barTableOf, chartOf, tableOf } from "../../bench/arm/report.ts";

function measured(contender: Measurement["contender"], variant: Measurement["variant"], cycles: number): Measurement {
  const perCore = { a55: cycles, a73: cycles, a76: cycles, a710: cycles, x1: cycles };
  return { net: "resnet50", variant, contender, instructions: cycles, classes: {}, cycles: perCore, bound: perCore, error: 1e-6 };
}

describe("the benchmark on ARM64", () => {
  const dense = ["litert", "tfjs", "onnxruntime-web"] as const;
  const all = [measured("cadnn", "dense", 300e6), measured("cadnn", "sparse", 70e6), ...dense.map((name, i) => measured(name, "dense", (500 + 100 * i) * 1e6))];

  test("compares with the best peer, and only where all of them were measured", () => {
    const find = (what: string, core: string, measurements = all) => barsOf(measurements).find((b) => b.what === what && b.core === core && b.net === "resnet50");
    expect(find("dense / best dense peer", "a76")).toMatchObject({ value: 500 / 300, limit: 1.5 });
    expect(find("dense / best dense peer", "a76", all.slice(0, 4))?.value).toBeUndefined();
    expect(find("sparse, 26 ms", "x1")).toMatchObject({ value: 70, limit: 72.8, atMost: true });
  });

  test("a bar is met, missed or not measured", () => {
    const bars = barsOf(all);
    expect(bars.filter((bar) => isMet(bar) === true).map((b) => `${b.what} ${b.core}`)).toEqual([
      "dense / best dense peer a76",
      "dense / best dense peer a710",
      "dense / best dense peer x1",
      "sparse / best dense peer a76",
      "sparse / best dense peer x1",
      "sparse, 26 ms x1",
      "sparse, 26 ms a73",
      "sparse, 26 ms a76",
    ]);
    expect(barTableOf(bars)).toMatch(/26 ms +resnet50 +X1 +70\.0 M +≤ 72\.8 M +met/);
  });

  test("shows millions, and in the chart ratios to the pruned net", () => {
    expect(tableOf(all)).toMatch(/^resnet50 +cadnn +dense +300 +300 \(300\)/m);
    expect(chartOf(all, ["x1"]).groups).toMatchObject([{ bars: [{ name: "cadnn, dense", value: 4.29 }, { value: 7.14 }, { value: 8.57 }, { value: 10 }] }]);
  });

  test("refuses what it does not know", () => {
    expect(parseOptions(["--contenders", "cadnn,tfjs", "--jobs", "1"])).toMatchObject({ contenders: ["cadnn", "tfjs"], jobs: 1 });
    expect(() => parseOptions(["--contenders", "mine"])).toThrow("there is no contender mine");
    expect(() => parseOptions(["--jobs", "0"])).toThrow("--jobs");
  });
});
