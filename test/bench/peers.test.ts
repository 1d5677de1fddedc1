import { describe, expect, test } from "vitest";
import { coldRowsOf, coldTableOf } from "../../bench/peers/cold.ts";
import { contenders } from "../../bench/peers/contenders/index.ts";
import { browserMakers, nodeMakers } from "../../bench/peers/makers.ts";
import { parseOptions } from "../../bench/peers/options.ts";
import { chartGroups, keyOf, type Measurement, type PeersRun, relativeError, rowsOf, tableOf } from "../../bench/peers/report.ts";
import { channelsLast, makeServer } from "../../bench/peers/serve.ts";

const measured = (contender: string, variant: "dense" | "sparse", times: number[], rest: Partial<Measurement> = {}): Measurement => ({
  ...{ net: "net", threads: 1, contender, variant, against: "cadnn", engine: "Chromium 1", loadMs: 5, firstMs: 3, times, error: 0, lossy: false },
  ...rest,
});

const all = [
  measured("cadnn", "dense", [10, 12, 14]),
  measured("cadnn", "sparse", [2, 3, 4]),
  measured("onnxruntime-web", "dense", [20, 24, 25]),
  measured("cadnn", "sparse", [1, 1.5, 5], { threads: 2 }),
];

describe("report", () => {
  test("errors count by the reference's range, and a NaN or another length is as wrong as can be", () => {
    expect(relativeError([1, 2.5, 3], [1, 2, 3])).toBe(0.25);
    expect(relativeError([1, Number.NaN, 3], [1, 2, 3])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeError([1, 2], [1, 2, 3])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeError([4, 4], [4, 4])).toBe(0);
  });

  test("ratios are a contender's minimum and median over cadnn's, dense and pruned, with as many threads", () => {
    const [dense, sparse, peer, two] = rowsOf(all);
    expect(peer).toMatchObject({ minMs: 20, medianMs: 24, over: { dense: { ofMins: 2, ofMedians: 2 }, sparse: { ofMins: 10, ofMedians: 8 } } });
    expect(dense?.over).toEqual({ sparse: { ofMins: 5, ofMedians: 4 } });
    expect(sparse?.over).toEqual({ dense: { ofMins: 0.2, ofMedians: 0.25 } });
    expect(two).toMatchObject({ over: {}, speedup: 2 });
    expect(sparse?.speedup).toBeUndefined();
  });

  test("a contender may be compared with another one than cadnn in Chromium", () => {
    const rows = rowsOf([...all, measured("cadnn-node", "dense", [40]), measured("onnxruntime-web-node", "dense", [60], { against: "cadnn-node" })]);
    expect(rows.at(-1)?.over).toEqual({ dense: { ofMins: 1.5, ofMedians: 1.5 } });
  });

  test("the table names each net once and leaves out what was not measured", () => {
    expect(`\n${tableOf(rowsOf(all))}\n`).toMatchInlineSnapshot(`
      "
      net  threads  contender        weights      min   median  spread  min / cadnn dense  median  min / cadnn sparse  median  1 thread / this   error     load    first
      ───  ───────  ───────────────  ───────  ───────  ───────  ──────  ─────────────────  ──────  ──────────────────  ──────  ───────────────  ──────  ───────  ───────
      net        1  cadnn            dense    10.0 ms  12.0 ms    33 %                                          5.00×   4.00×                   0.0e+0  5.00 ms  3.00 ms
                    cadnn            sparse   2.00 ms  3.00 ms    67 %              0.20×   0.25×                                               0.0e+0  5.00 ms  3.00 ms
                    onnxruntime-web  dense    20.0 ms  24.0 ms    21 %              2.00×   2.00×              10.00×   8.00×                   0.0e+0  5.00 ms  3.00 ms
                 2  cadnn            sparse   1.00 ms  1.50 ms   267 %                                                                   2.00×  0.0e+0  5.00 ms  3.00 ms
      "
    `);
  });
});

const starts = (contender: string, times: readonly (readonly [number, number])[], memoryBytes?: number) => ({
  ...{ net: "net", threads: 1, contender, variant: "sparse" as const, engine: "Chromium 1", memoryBytes },
  starts: times.map(([loadMs, firstMs]) => ({ loadMs, firstMs })),
});
const rows = coldRowsOf([
  starts(
    "cadnn",
    [
      [80, 40],
      [60, 40],
    ],
    50e6,
  ),
  starts("litert", [[300, 200]]),
]);

describe("cold starts", () => {
  test("the fastest start counts, load and first inference together", () => {
    expect(rows[0]).toMatchObject({ minMs: 100, medianMs: 110, loadMs: 60, firstMs: 40, starts: 2, overCadnn: undefined, memoryBytes: 50e6 });
    expect(rows[1]).toMatchObject({ minMs: 500, overCadnn: 5 });
  });

  test("as a table", () => {
    expect(`\n${coldTableOf(rows)}\n`).toMatchInlineSnapshot(`
      "
      cold start  threads  contender  weights       min    median      load     first  min / cadnn  Wasm memory
      ──────────  ───────  ─────────  ───────  ────────  ────────  ────────  ────────  ───────────  ───────────
      net               1  cadnn      sparse   100.0 ms  110.0 ms   60.0 ms   40.0 ms                  50.00 MB
                        1  litert     sparse   500.0 ms  500.0 ms  300.0 ms  200.0 ms        5.00×
      "
    `);
  });
});

describe("runs in a file", () => {
  const run = (rows: readonly Measurement[], rest: Partial<PeersRun> = {}): PeersRun => ({
    ...{ host: { date: "2026-01-01", engine: "Chromium 1", cpu: "c", processors: 2 }, net: "net", threads: 1, variants: ["dense", "sparse"], rounds: 1, runs: 3 },
    ...{ rows: rowsOf(rows), times: rows.map((m) => m.times), cold: [] },
    ...rest,
  });

  test("a run takes the place of one of the same net, threads and variants; cold starts stand by themselves", () => {
    const one = run(all);
    expect(keyOf(one)).toBe(keyOf(run([])));
    expect(new Set([one, run(all, { threads: 2 }), run(all, { net: "other" }), run(all, { variants: ["sparse"] }), run([], { cold: rows })].map(keyOf)).size).toBe(5);
  });

  test("bars are times over cadnn's with the pruned net", () => {
    const [group] = chartGroups([run(all.slice(0, 3)), run([], { cold: rows })]);
    expect(group?.name).toBe("net, 1 thread: cadnn sparse takes 2.00 ms");
    expect(group?.bars).toEqual([
      { name: "cadnn, dense", value: 5, label: "5.00× (10.0 ms)" },
      { name: "onnxruntime-web, dense", value: 10, label: "10.00× (20.0 ms)" },
    ]);
  });

  test("or over cadnn's with the dense one", () => {
    const groups = chartGroups([run(all.filter((m) => m.variant === "dense"))]);
    expect(groups).toEqual([{ name: "net, 1 thread: cadnn dense takes 10.0 ms", bars: [{ name: "onnxruntime-web, dense", value: 2, label: "2.00× (20.0 ms)" }] }]);
  });
});

describe("options", () => {
  test("lists and numbers", () => {
    const options = parseOptions(["--nets", "resnet50", "--variants", "sparse", "--threads", "2", "--rounds", "0", "--contenders", "cadnn,litert", "--models", "m"]);
    expect(options).toMatchObject({ nets: ["resnet50"], variants: ["sparse"], threads: [2], rounds: 0, contenders: ["cadnn", "litert"], models: expect.stringMatching(/\/m$/) });
  });

  test.each([
    [["--variants", "pruned"], "there is no variant pruned; there are dense, sparse"],
    [["--contenders", "nobody"], "there is no contender nobody"],
    [["--threads", "0"], "--threads takes integers from 1, not 0"],
  ])("%j is refused", (args, message) => {
    expect(() => parseOptions(args)).toThrow(message);
  });
});

describe("contenders", () => {
  test.each(Object.entries(contenders))("%s has a module for its host, and a contender to be compared with", (_, { host, module, against }) => {
    if (host !== "python") expect(host === "chromium" ? browserMakers : nodeMakers).toHaveProperty(module);
    expect(contenders).toHaveProperty(against ?? "cadnn");
  });
});

describe("a contender's process", () => {
  const request = {
    kind: "load",
    module: "sum",
    library: "",
    threads: 1,
    model: "m",
    input: "x",
    shape: [1, 2, 1, 2],
    layout: "nhwc",
    cached: ["c"],
    warmupMs: -1,
    settleMs: 0,
  } as const;
  const read: string[] = [];
  const answer = makeServer({
    makers: { sum: async () => () => ({ load: async () => {}, run: async ({ data }) => data }) },
    async read(url) {
      read.push(url);
      return new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
    },
  });

  test("puts channels last where the contender wants them there", () => {
    const { shape, data } = channelsLast({ shape: [2, 2, 1, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
    expect(shape).toEqual([2, 1, 2, 2]);
    expect([...data]).toEqual([1, 3, 2, 4, 5, 7, 6, 8]);
  });

  test("loads, answers with its first output, and times as many inferences as asked", async () => {
    expect(await answer(request)).toMatchObject({ kind: "loaded", output: [1, 3, 2, 4] });
    expect(read).toEqual(["x", "m", "c"]);
    const turn = await answer({ kind: "turn", runs: 4, wakeMs: 0 });
    expect(turn.kind === "times" && turn.times).toHaveLength(4);
  });

  test("answers failures as text", async () => {
    expect(await answer({ ...request, module: "nobody" })).toMatchObject({ kind: "failed", message: expect.stringContaining("there is no contender nobody") });
  });
});
