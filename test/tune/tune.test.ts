import { describe, expect, test } from "vitest";
import { decodeArtifact } from "../../src/artifact/format.ts";
import { targets } from "../../src/codegen/target.ts";
import { compile } from "../../src/compile/index.ts";
import { CadnnError } from "../../src/errors.ts";
import { canonicalText, estimatedCosts, parseCanonical } from "../../src/kernels/costs.ts";
import { f32Gemm, type GemmProblem } from "../../src/kernels/wasm/f32-gemm.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";
import { detectFeatures, targetsFor } from "../../src/runtime/features.ts";
import { type Candidate, createWasmMeasurer, formatLog, type Measurer, measuredCosts, parseTuningLog, planningCosts, type TuningRecord, tune } from "../../src/tune/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

const target = targets["wasm-x64-plain"];
const net = zooGraph("lenet5", { seed: 3 });

/** Times by a formula; counts what it is asked for. */
function fakeMeasurer(time: (candidate: Candidate) => number): Measurer & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    engine: "fake",
    asked,
    measure(candidates) {
      asked.push(...candidates.map((c) => `${c.call.template.name} ${c.choice}`));
      return Promise.resolve(candidates.map(time));
    },
  };
}

const estimate = ({ call, target: t }: Candidate) => call.template.cost(call.problem, call.choice, t);

/** The more a choice is expected to cost, the less time it takes; no two choices take the same. */
const upsideDown = (c: Candidate) => 1e12 / (estimate(c) + [...c.choice].reduce((n, ch) => (n * 31 + ch.charCodeAt(0)) % 997, 0) / 1000);

const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a).equals(b);

describe("tune", () => {
  test("measures some choices of every problem once, the best guesses first", async () => {
    const measurer = fakeMeasurer(estimate);
    const { measured, complete } = await tune(net, { target, measurer });
    expect(complete).toBe(true);
    expect(measured.map((r) => r.kernel)).toEqual(expect.arrayContaining(["f32-gemm", "f32-window", "f32-matvec"]));
    for (const { times, space } of measured) {
      expect(times.length).toBeLessThanOrEqual(Math.max(3, space / 10));
      expect(times.map((t) => t.ns)).toEqual(times.map((t) => t.ns).toSorted((a, b) => a - b));
    }
    expect(new Set(measured.map((r) => `${r.kernel} ${r.problem}`)).size).toBe(measured.length);
  });

  test("measures nothing that the log has for this engine", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer(estimate) });
    const again = fakeMeasurer(estimate);
    expect(await tune(net, { target, measurer: again, log })).toEqual({ log, measured: [], proved: [], complete: true });
    expect(again.asked).toEqual([]);
    const elsewhere = await tune(net, { target, measurer: { ...fakeMeasurer(estimate), engine: "other" }, log });
    expect(elsewhere.measured.length).toBeGreaterThan(0);
  });

  test("looks a second time where measurements are exact, at what is ranked first then and at what the models rank first, and never again", async () => {
    const measurer = { ...fakeMeasurer(upsideDown), exact: true };
    const options = { target, measurer, candidates: (space: number) => Math.min(space, 2) };
    const once = await tune(net, { ...options, refine: () => false });
    const twice = await tune(net, options);
    const counts = (log: typeof once.log) => new Map(log.records.map((r) => [`${r.kernel} ${r.problem}`, r.times.length]));
    expect([...counts(once.log).values()].every((n) => n <= 2)).toBe(true);
    const seconds = [...counts(twice.log).values()];
    expect(seconds.every((n) => n <= 2 + 5)).toBe(true);
    expect(seconds.some((n) => n > 2)).toBe(true);
    expect(await tune(net, { ...options, log: twice.log })).toMatchObject({ measured: [] });
  });

  test("hands out each record as it comes, stops when it is told to, and goes on from there", async () => {
    const records: TuningRecord[] = [];
    const controller = new AbortController();
    const onRecord = (record: TuningRecord) => {
      records.push(record);
      if (records.length === 2) controller.abort();
    };
    const large = zooGraph("mobilenet_v1");
    const first = await tune(large, { target, measurer: fakeMeasurer(estimate), signal: controller.signal, onRecord });
    expect(first).toMatchObject({ complete: false, measured: records });
    const rest = await tune(large, { target, measurer: fakeMeasurer(estimate), log: first.log });
    expect(rest.complete).toBe(true);
    expect(rest.measured.length).toBeGreaterThan(0);
    const known = new Set(records.map(nameOf));
    expect(rest.measured.filter((r) => known.has(nameOf(r)))).toEqual([]);
    expect(rest.log.records).toEqual([...records, ...rest.measured]);
    expect((await tune(net, { target, measurer: fakeMeasurer(estimate), budgetSeconds: 0 })).complete).toBe(false);
  });

  test("tells how far it is", async () => {
    const steps: string[] = [];
    await tune(net, { target, measurer: fakeMeasurer(estimate), onProgress: ({ done, total }) => steps.push(`${done < total}`) });
    expect(new Set(steps)).toEqual(new Set(["true"]));
  });

  test("leaves out candidates that fail", async () => {
    const { measured, complete } = await tune(net, { target, measurer: fakeMeasurer((c) => (c.call.template.name === "f32-gemm" ? Number.POSITIVE_INFINITY : estimate(c))) });
    expect(complete).toBe(true);
    expect(measured.some((r) => r.kernel === "f32-gemm")).toBe(false);
  });
});

describe("tune in the net", () => {
  /** In the net the choices take as long as alone, but in the opposite order: each way to compile it is faster than the one before. */
  const turning = (asked: number[]) => ({
    ...fakeMeasurer(estimate),
    profile(files: readonly Uint8Array[]) {
      asked.push(files.length);
      return Promise.resolve(files.map((file, v) => (decodeArtifact(file).manifest.modules[0]?.steps ?? []).map((_, i) => (i + 1) / (v + 1))));
    },
  });

  test("lets turns of whole nets decide between the best choices, once", async () => {
    const asked: number[] = [];
    const alone = await tune(net, { target, measurer: turning(asked), inNet: false });
    expect([asked, alone.proved]).toEqual([[], []]);
    const { log, measured, proved, complete } = await tune(net, { target, measurer: turning(asked), log: alone.log });
    expect([measured, complete, asked.length]).toEqual([[], true, 1]);
    expect(asked[0]).toBeGreaterThan(2);
    expect(proved.length).toBeGreaterThan(1);
    for (const record of proved) {
      const before = alone.log.records.find((r) => nameOf(r) === nameOf(record)) as TuningRecord;
      expect(record.inNet).toBe(true);
      expect(record.times[0]?.ns).toBe(before.times[0]?.ns);
      expect(record.times[0]?.choice).not.toBe(before.times[0]?.choice);
      expect(before.times.map((t) => t.choice)).toEqual(expect.arrayContaining(record.times.map((t) => t.choice)));
      expect(log.records.filter((r) => nameOf(r) === nameOf(record))).toEqual([record]);
      if (record.kernel !== "f32-gemm") continue;
      const best = measuredCosts(log).best(f32Gemm, parseCanonical(record.problem) as GemmProblem, target);
      expect(canonicalText(best?.choice)).toBe(record.times[0]?.choice);
    }
    const again = await tune(net, { target, measurer: turning(asked), log: parseTuningLog(formatLog(log)) });
    expect([again.proved, again.complete, asked.length]).toEqual([[], true, 1]);
  });

  test("keeps what was measured alone where memory or the clock do not do", async () => {
    const failing = () => Promise.reject(new CadnnError("E_OUT_OF_MEMORY", "no memory"));
    const coarse = (files: readonly Uint8Array[]) => Promise.resolve(files.map((file) => (decodeArtifact(file).manifest.modules[0]?.steps ?? []).map(() => 0)));
    for (const profile of [failing, coarse]) {
      const { log, measured, proved, complete } = await tune(net, { target, measurer: { ...fakeMeasurer(estimate), profile } });
      expect([log.records, proved, complete]).toEqual([measured, [], true]);
    }
  });

  test("can be stopped", async () => {
    const measurer = { ...fakeMeasurer(estimate), profile: () => Promise.resolve(undefined) };
    expect(await tune(net, { target, measurer })).toMatchObject({ complete: false, proved: [] });
  });
});

const nameOf = (r: TuningRecord) => `${r.kernel} ${r.problem}`;

describe("costs from a log", () => {
  test("choose what was fastest, and rank whole plans by it", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer(upsideDown) });
    const costs = measuredCosts(log);
    const products = log.records.filter((r) => r.kernel === "f32-gemm");
    const changed = products.map(({ problem: text, times }) => {
      const problem = parseCanonical(text) as GemmProblem;
      const best = canonicalText(costs.best(f32Gemm, problem, target)?.choice);
      expect(best).toBe(times[0]?.choice);
      return best !== canonicalText(estimatedCosts.best(f32Gemm, problem, target)?.choice);
    });
    expect(changed).toContain(true);
  });

  test("of clocks choose between a kernel's choices, but not between plans", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer(upsideDown), inNet: false });
    for (const record of log.records.filter((r) => r.kernel === "f32-gemm")) {
      const problem = parseCanonical(record.problem) as GemmProblem;
      const [times, models] = [measuredCosts(log), estimatedCosts].map((costs) => costs.best(f32Gemm, problem, target));
      expect(planningCosts(log).best(f32Gemm, problem, target)).toEqual({ choice: times?.choice, cost: models?.cost });
      const counts = { records: log.records.map((r) => ({ ...r, engine: "fake/llvm-22/one core" })) };
      expect(planningCosts(counts).best(f32Gemm, problem, target)).toEqual(measuredCosts(counts).best(f32Gemm, problem, target));
    }
  });

  test("have the unit of the estimates", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer((c) => 0.25 * estimate(c)) });
    const costs = measuredCosts(log);
    for (const record of log.records) {
      const problem = parseCanonical(record.problem) as GemmProblem;
      if (record.kernel !== "f32-gemm") continue;
      const [measured, estimated] = [costs, estimatedCosts].map((c) => c.best(f32Gemm, problem, target)?.cost as number) as [number, number];
      expect(measured / estimated).toBeCloseTo(1, 2);
    }
  });

  test("of several engines choose what is good for all of them", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer(estimate) });
    const record = log.records.find((r) => r.kernel === "f32-gemm" && r.times.length > 2) as TuningRecord;
    const problem = parseCanonical(record.problem) as GemmProblem;
    const [a, b, c] = record.times.map((t) => t.choice) as [string, string, string];
    const timed = (engine: string, ...ns: [number, number, number]) => ({ ...record, engine, times: [a, b, c].map((choice, i) => ({ choice, ns: ns[i] as number })) });
    const best = (...records: TuningRecord[]) => canonicalText(measuredCosts({ records }).best(f32Gemm, problem, target)?.choice);
    const [first, second] = [timed("one", 100, 120, 300), timed("other", 300, 120, 100)];
    expect([best(first), best(second), best(first, second)]).toEqual([a, c, b]);
  });

  test("leave other targets, unknown kernels and choices that no longer exist alone", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer(upsideDown) });
    const strange = parseTuningLog(formatLog(log).replaceAll('"filters":', '"strangers":').replaceAll("f32-matvec", "f32-mystery"));
    const plain = await compile(net, { targets: ["wasm-x64-plain"] });
    expect(same(await compile(net, { targets: ["wasm-x64-plain"], tuning: { records: strange.records.filter((r) => r.kernel !== "f32-window") } }), plain)).toBe(true);
    const other = await compile(net, { targets: ["wasm-arm64-plain"] });
    expect(same(await compile(net, { targets: ["wasm-arm64-plain"], tuning: log }), other)).toBe(true);
  });
});

describe("compile with a log", () => {
  test("gives the same bytes for the same log, other ones than without, and equal ones when tuning is off", async () => {
    const { log } = await tune(net, { target, measurer: fakeMeasurer(upsideDown) });
    const options = { targets: ["wasm-x64-plain"] } as const;
    const plain = await compile(net, options);
    const tuned = await compile(net, { ...options, tuning: log });
    expect(same(tuned, plain)).toBe(false);
    expect(same(await compile(net, { ...options, tuning: formatLog(log) }), tuned)).toBe(true);
    expect(same(await compile(net, { ...options, tuning: { records: log.records.toReversed() } }), tuned)).toBe(true);
    expect(same(await compile(net, { ...options, tuning: log, optimize: { tune: false } }), plain)).toBe(true);
    expect(decodeArtifact(tuned).manifest.outputs).toEqual(decodeArtifact(plain).manifest.outputs);
  });
});

test("the measurer runs kernels of this engine, dense and sparse", async () => {
  enableRelaxedSimd();
  const measurer = createWasmMeasurer({ warmupMs: 1 });
  expect(measurer.engine).toMatch(/^v8-\d+\.\d+\/(x64|arm64)\/[0-9a-f]{8}$/);
  const { measured, proved, complete } = await tune(zooGraph("lenet5", { sparsity: 0.9 }), { measurer });
  expect(complete).toBe(true);
  expect(proved.length).toBeGreaterThan(0);
  expect(measured.map((r) => r.kernel)).toEqual(expect.arrayContaining(["f32-spmm", "f32-gemm"]));
  expect(new Set(measured.map((r) => r.target))).toEqual(new Set([targetsFor(detectFeatures())[0]]));
  for (const { times } of measured) for (const { ns } of times) expect(ns).toBeGreaterThan(100);
});
