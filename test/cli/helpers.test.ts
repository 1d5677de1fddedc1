import { describe, expect, test } from "vitest";
import { parseLabels, probabilities, rankOf, topIndices } from "../../src/cli/classify.ts";
import { formatBytes, formatCount, formatDuration, formatMs, median, quantile } from "../../src/cli/format.ts";
import { createProgress } from "../../src/cli/progress.ts";
import { formatTable } from "../../src/cli/table.ts";

describe("classify", () => {
  test("ranks break ties by index, and a NaN never wins", () => {
    expect([0, 1, 2, 3].map((i) => rankOf([1, 3, 3, 0], i))).toEqual([2, 0, 1, 3]);
    expect(rankOf([1, Number.NaN, 0], 1)).toBe(3);
  });

  test("top classes, probabilities", () => {
    expect(topIndices([1, 3, 3, 0], 3)).toEqual([1, 2, 0]);
    expect(topIndices([9, 3, 3, 4], 2, 1)).toEqual([3, 1]);
    expect([...probabilities([0.25, 0.75])]).toEqual([0.25, 0.75]);
    expect([...probabilities([1000, 1000])]).toEqual([0.5, 0.5]);
  });

  test("labels may begin with a background class", () => {
    expect(parseLabels("a\r\nb\n\n", 2, "x")).toEqual(["a", "b"]);
    expect(parseLabels("background\na\nb", 2, "x")).toEqual(["a", "b"]);
    expect(() => parseLabels("a", 2, "x")).toThrow(expect.objectContaining({ code: "E_INVALID_DATASET", at: "x" }));
  });
});

describe("format", () => {
  test.each([
    [812, "812"],
    [999_960, "1.000 M"],
    [4_089_184_256, "4.089 G"],
    [25_557_032, "25.56 M"],
    [0, "0"],
  ])("%d is %s", (value, text) => {
    expect(formatCount(value)).toBe(text);
  });

  test("bytes, times, medians", () => {
    expect([formatBytes(12), formatBytes(102_500_000)]).toEqual(["12 B", "102.5 MB"]);
    expect([formatMs(0.1234), formatMs(26), formatMs(123.45), formatMs(1234)]).toEqual(["0.123 ms", "26.0 ms", "123.5 ms", "1.23 s"]);
    expect([formatDuration(5), formatDuration(65), formatDuration(3661)]).toEqual(["0:05", "1:05", "1:01:01"]);
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), quantile([5, 1, 2, 3, 4], 0.9)]).toEqual([2, 2.5, 5]);
  });

  test("tables align", () => {
    expect(
      formatTable(
        [{ title: "net" }, { title: "ms", align: "right" }],
        [
          ["a", 10],
          ["long", undefined],
        ],
      ),
    ).toBe("net   ms\n────  ──\na     10\nlong");
  });
});

describe("progress", () => {
  function record(isTTY: boolean, forced: boolean) {
    const written: string[] = [];
    const clock = { ms: 0 };
    return { written, clock, progress: createProgress({ isTTY, columns: 80, write: (text) => written.push(text) }, { forced, now: () => clock.ms }) };
  }

  test("shows share, count and the time left, ten times a second at most", () => {
    const { written, clock, progress } = record(true, false);
    for (const [ms, done] of [
      [0, 0],
      [50, 1],
      [2000, 5],
      [4000, 10],
    ] as const) {
      clock.ms = ms;
      progress.update(done, 10, "top-1 50 %");
    }
    progress.end();
    expect(written.filter((t) => !t.startsWith("\r"))).toEqual([
      "░░░░░░░░░░░░░░░░░░░░ 0 % (0/10) top-1 50 %",
      "██████████░░░░░░░░░░ 50 % (5/10, 0:02 left) top-1 50 %",
      "████████████████████ 100 % (10/10) top-1 50 %",
    ]);
    expect(written.at(-1)).toBe("\r\u001b[2K");
  });

  test("writes a line every ten seconds into a pipe, from the start if forced", () => {
    const { written, clock, progress } = record(false, false);
    for (const [ms, done] of [
      [0, 0],
      [9_000, 9],
      [10_000, 10],
      [15_000, 15],
      [20_000, 20],
    ] as const) {
      clock.ms = ms;
      progress.update(done, 20, "epoch 1", done === 10 ? 75 : undefined);
    }
    expect(written).toEqual(["██████████░░░░░░░░░░ 50 % (10/20, 1:15 left) epoch 1\n", "████████████████████ 100 % (20/20) epoch 1\n"]);
    const forced = record(false, true);
    forced.progress.update(1, 2);
    forced.progress.update(2, 2);
    forced.progress.note("done");
    expect(forced.written).toHaveLength(3);
    expect(forced.written.every((t) => t.endsWith("\n"))).toBe(true);
  });
});
