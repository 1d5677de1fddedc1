import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Target, targets } from "../../src/codegen/target.ts";
import { estimatedCosts } from "../../src/kernels/costs.ts";
import { f32Spmm, type SpmmChoice, type SpmmProblem, spmmScratch } from "../../src/kernels/wasm/f32-spmm.ts";
import { packedTile } from "../../src/kernels/wasm/spmm-packing.ts";
import { alikeFilters } from "../../src/kernels/wasm/spmm-space.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";
import { activated, activations, at, forEachOutput, inSpan, noise, outSpan, regions, tapLists } from "./problems.ts";
import { paired, prune, stream } from "./weights.ts";

interface Case {
  readonly problem: SpmmProblem;
  readonly zeros: number;
  readonly emptyRows: readonly number[];
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    m: fc.constantFrom(5, 7, 1, 2, 3, 4, 11, 16),
    channels: fc.constantFrom(3, 5, 1, 2, 7, 16),
    channelStep: fc.constantFrom(0, 1, 5, 64),
    taps: tapLists,
    region: regions,
    outGap: fc.constantFrom(0, 1, 6),
    bias: fc.boolean(),
    residual: fc.boolean(),
    activation: activations,
    zeros: fc.constantFrom(0.5, 0.9, 0, 1),
    pairs: fc.boolean(),
    emptyRows: fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { maxLength: 4 }),
  })
  .map(({ m, channels, channelStep, taps, region, outGap, bias, residual, activation, zeros, pairs, emptyRows }) => {
    const block = pairs && m % 2 === 0 ? (2 as const) : (1 as const);
    const planes = { channels, channelStride: inSpan(region) + channelStep, taps };
    const problem = { m, nonZeros: m * channels * taps.length, ...planes, block, region, outStride: outSpan(region) + outGap, bias, residual, activation };
    return { problem, zeros, emptyRows };
  });

/** y[m, p] = act(bias[m] + Σ over the non-zeros of row m of weight · x[p + offset] + residual[m, p]) */
function check({ problem: p, zeros, emptyRows }: Case, seed: number, more: (choices: readonly SpmmChoice[]) => readonly SpmmChoice[]): void {
  const { region, channels, channelStride, taps } = p;
  const depth = channels * taps.length;
  const offsetOf = (k: number) => Math.floor(k / taps.length) * channelStride + at(taps, k % taps.length);
  const x = noise(seed, "x", (channels - 1) * channelStride + Math.max(...taps) + inSpan(region));
  const pruned = prune(noise(seed, "w", p.m * depth), depth, zeros, emptyRows);
  const w = p.block === 2 ? paired(pruned, p.m) : pruned;
  const bias = noise(seed, "bias", p.m);
  const outputSize = (p.m - 1) * p.outStride + outSpan(region);
  const residual = noise(seed, "residual", outputSize);
  const expected = new Map<number, { value: number; tolerance: number }>();
  forEachOutput(p, (m, row, column, index) => {
    let sum = (p.bias ? at(bias, m) : 0) + (p.residual ? at(residual, index) : 0);
    let magnitude = (p.bias ? Math.abs(at(bias, m)) : 0) + (p.residual ? Math.abs(at(residual, index)) : 0);
    for (let k = 0; k < depth; k++) {
      const product = at(w, m * depth + k) === 0 ? 0 : at(w, m * depth + k) * at(x, offsetOf(k) + row * region.inPitch + column);
      sum += product;
      magnitude += Math.abs(product);
    }
    expected.set(index, activated(p.activation, sum, magnitude, depth + 2));
  });
  const streamOf = ({ group, filters, channels: pass, packed, tile }: SpmmChoice) => {
    const whole = packed ? packedTile(p, tile) : undefined;
    const packedOffset = (k: number) => (Math.floor(k / taps.length) % pass) * (whole?.stride ?? 0) + at(whole?.taps ?? [], k % taps.length);
    return stream(w, { m: p.m, channels, taps, group, filters, alike: alikeFilters(p, { filters }), pass, relative: packed }, packed ? packedOffset : offsetOf);
  };
  const choices = Object.values(targets).flatMap((target) => [...f32Spmm.choices(p, target), ...more(f32Spmm.choices(p, target))]);
  const longest = choices.map(streamOf).reduce((a, b) => (b.length > a.length ? b : a));
  checkKernel({
    template: f32Spmm,
    problem: p,
    operands: {
      x: { data: x },
      w: { data: longest },
      ...(p.bias ? { bias: { data: bias } } : {}),
      ...(p.residual ? { residual: { data: residual } } : {}),
      scratch: { data: blank(Math.max(...choices.map((c) => spmmScratch(p, c)))), scratch: true },
      y: { data: blank(outputSize) },
    },
    weights: streamOf,
    expected,
    more,
  });
}

describe("f32-spmm", () => {
  test("every choice computes the product, with empty rows, taps anywhere, and gaps between rows and planes", () => {
    fuzz(cases, 6, (c, seed) => check(c, seed, () => []));
  });

  test("the depth in passes of few channels", () => {
    const inPasses = (channels: number) => (choice: SpmmChoice, i: number) => ({ ...choice, channels, split: i % 2 === 0 ? ("tiles" as const) : ("filters" as const) });
    fuzz(cases, 3, (c, seed) => check(c, seed, (choices) => [1, 2, 5].flatMap((channels) => choices.slice(0, 6).map(inPasses(channels)))));
  });

  test("either way of sharing the work", () => {
    const other = (choice: SpmmChoice) => ({ ...choice, split: choice.split === "tiles" ? ("filters" as const) : ("tiles" as const) });
    fuzz(cases, 4, (c, seed) => check(c, seed, (choices) => choices.filter((choice) => !choice.packed).map(other)));
  });

  test("tiles put together, in one pass and in several", () => {
    const packed = (p: SpmmProblem) => (choice: SpmmChoice) =>
      packedTile(p, choice.tile) === undefined ? [] : [1, 2, 100].map((most) => ({ ...choice, packed: true, channels: Math.min(most, p.channels), split: "tiles" as const }));
    fuzz(cases, 6, (c, seed) => check(c, seed, (choices) => choices.filter((_, i) => i % 5 === seed % 5).flatMap(packed(c.problem))));
  });

  test("two filters with non-zeros at different places in one row, put together or not, in one pass and in several", () => {
    const inPairs = (p: SpmmProblem) => (choice: SpmmChoice, i: number) => {
      const pair = { ...choice, filters: 2, group: 1, ahead: 0 } as const;
      const ways = [pair, { ...pair, channels: 1 + (i % 3) }];
      return p.m % 2 === 1 || p.block === 2 ? [] : packedTile(p, choice.tile) === undefined ? ways : [...ways, { ...pair, channels: 2, packed: true, split: "tiles" as const }];
    };
    fuzz(cases, 5, (c, seed) => check(c, seed, (choices) => choices.filter((choice, i) => choice.filters === 1 && i % 5 === seed % 5).flatMap(inPairs(c.problem))));
  });

  test("pairs are offered where single filters do not use all registers, and are switched off with what else shares loads", () => {
    const region = { h: 1, w: 196, inPitch: 0, outPitch: 0 };
    const p: SpmmProblem = {
      m: 64,
      nonZeros: 1600,
      channels: 256,
      channelStride: 196,
      taps: [0],
      block: 1,
      region,
      outStride: 196,
      bias: true,
      residual: false,
      activation: { kind: "clamp", low: 0, high: Number.POSITIVE_INFINITY },
    };
    const pairs = (problem: SpmmProblem, target: Target) => f32Spmm.choices(problem, target).filter((choice) => choice.filters === 2);
    const target = targets["wasm-x64-relaxed"];
    expect(pairs(p, target).length).toBeGreaterThan(0);
    expect(pairs(p, target).every((choice) => f32Spmm.sharesLoads?.(p, choice))).toBe(true);
    expect(estimatedCosts.best(f32Spmm, p, target)?.choice.filters).toBe(2);
    expect(pairs({ ...p, m: 63 }, target)).toEqual([]);
    for (const other of ["wasm-arm64-relaxed", "wasm-x64-plain", "wasm-x64-relaxed-loadsfirst"] as const) expect(pairs(p, targets[other])).toEqual([]);
  });
});
