import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeConstant, encodeConstant } from "../../src/artifact/constant-codec.ts";
import { encodeLevels } from "../../src/artifact/levels-codec.ts";
import type { ConstantEncoding } from "../../src/artifact/manifest.ts";
import { i32Params, ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { emitPrepare, prepareFunctions } from "../../src/generate/prepare.ts";
import { hasPairedFilters, type StreamShape, streamBytes } from "../../src/kernels/weight-stream.ts";
import type { WinogradTaps } from "../../src/kernels/winograd.ts";
import type { PrepareSpec, StoredConstant } from "../../src/lower/kernel-graph.ts";
import { stagingOf } from "../../src/lower/staging.ts";
import { noise } from "../kernels/problems.ts";
import { packed, paired, prune, stream, winogradWeights } from "../kernels/weights.ts";

type Stored = Pick<StoredConstant, "encoding" | "bytes">;

/** The sparse encoding at any width of its gaps: values, then gaps in fields of `gapBits`, all ones meaning "that many more". */
function sparse(data: Float32Array, gapBits: number): Stored {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const values: number[] = [];
  const fields: boolean[] = [];
  const more = 2 ** gapBits - 1;
  const push = (field: number) => {
    for (let b = 0; b < gapBits; b++) fields.push(((field >> b) & 1) === 1);
  };
  let gap = 0;
  for (const word of bits) {
    if (word << 1 === 0) {
      gap++;
      continue;
    }
    values.push(word);
    for (; gap >= more; gap -= more) push(more);
    push(gap);
    gap = 0;
  }
  const words = new Uint32Array(values.length + Math.ceil(fields.length / 32));
  words.set(values);
  fields.forEach((set, i) => {
    if (set) words[values.length + (i >> 5)] = ((words[values.length + (i >> 5)] as number) | (1 << (i & 31))) >>> 0;
  });
  const encoding: ConstantEncoding = { kind: "sparse", gapBits, count: values.length };
  const bytes = new Uint8Array(words.buffer);
  expect(decodeConstant({ name: "w", dtype: "float32", shape: [data.length], encoding }, bytes)).toEqual(data);
  return { encoding, bytes };
}

/** All elements, or all non-zeros, as levels of so many groups, where they are few enough. */
function leveled(data: Float32Array, groups: number): Stored[] {
  const runs = Array.from({ length: groups }, (_, g) => data.subarray((g * data.length) / groups, ((g + 1) * data.length) / groups));
  const count = data.reduce((sum, v) => sum + Number(v !== 0), 0);
  const all = encodeLevels({ runs, withoutZeros: false, count: data.length }, Number.POSITIVE_INFINITY);
  const kept = encodeLevels({ runs, withoutZeros: true, count }, Number.POSITIVE_INFINITY);
  const gaps = sparse(data, 3);
  return [
    ...(all === undefined || data.some((v) => Object.is(v, -0)) ? [] : [{ encoding: { kind: "dense", levels: all.levels } as const, bytes: all.bytes }]),
    ...(kept === undefined
      ? []
      : [{ encoding: { kind: "sparse", gapBits: 3, count, levels: kept.levels } as const, bytes: new Uint8Array([...kept.bytes, ...gaps.bytes.subarray(4 * count)]) }]),
  ];
}

const encodings = (data: Float32Array, shape: readonly number[]): Stored[] => [
  { encoding: { kind: "dense" }, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) },
  ...Array.from({ length: 8 }, (_, i) => sparse(data, i + 1)),
  encodeConstant(data, "float32", shape),
  ...leveled(data, 1),
  ...leveled(data, shape[0] as number),
];

const canary = 0x5a5a5a5a;

/** Runs the generated function for every encoding; it must leave `wanted` at its destination: exactly, or as floats within the tolerance. */
function check(data: Float32Array, shape: readonly number[], spec: PrepareSpec, wanted: Int32Array, tolerance = 0): void {
  const stored = encodings(data, shape);
  const builder = new ModuleBuilder();
  const functions = prepareFunctions(builder);
  stored.forEach((s, i) => {
    const constant: StoredConstant = { name: "w", dtype: "float32", shape, ...s };
    builder.export(
      String(i),
      builder.function(i32Params(2), (fn) => emitPrepare(fn, constant, spec, fn.param(0), fn.param(1), functions)),
    );
  });
  const staging = 64 + wanted.byteLength + 64;
  const largest = Math.max(...stored.map((s) => stagingOf({ name: "w", dtype: "float32", shape, ...s }, spec).bytes));
  const pages = Math.ceil((staging + largest) / 65536);
  const { bytes, sharedFlagOffset } = builder.finish({ import: ["m", "memory"], pages });
  bytes[sharedFlagOffset] = 1;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { memory } });
  const words = new Int32Array(memory.buffer);
  stored.forEach((s, i) => {
    words.fill(canary);
    new Uint8Array(memory.buffer, staging).set(s.bytes);
    (exports[String(i)] as (from: number, to: number) => void)(staging, 64);
    const what = JSON.stringify(s.encoding);
    const actual = words.slice(16, 16 + wanted.length);
    if (tolerance === 0) expect(actual, what).toEqual(wanted);
    else {
      const floats = new Float32Array(wanted.buffer, wanted.byteOffset, wanted.length);
      expect(Math.max(0, ...new Float32Array(actual.buffer).map((v, k) => Math.abs(v - (floats[k] as number)))), what).toBeLessThanOrEqual(tolerance);
    }
    expect(words.slice(0, 16).every((w) => w === canary) && words.slice(16 + wanted.length, staging / 4).every((w) => w === canary), what).toBe(true);
  });
}

const words = (data: Float32Array) => new Int32Array(data.buffer, data.byteOffset, data.length);

const weights = fc
  .record({
    m: fc.constantFrom(5, 7, 1, 2, 3, 4, 11),
    channels: fc.constantFrom(3, 5, 1, 2, 40),
    taps: fc.constantFrom([0], [5], [0, 1, 2, 20, 21, 22, 40, 41, 42], [7, 3, 1]),
    zeros: fc.constantFrom(0.5, 0.9, 0.99, 0, 1),
    emptyRows: fc.uniqueArray(fc.integer({ min: 0, max: 10 }), { maxLength: 4 }),
    levels: fc.constantFrom(0, 3, 100),
    seed: fc.integer({ min: 1, max: 1 << 30 }),
  })
  .map(({ m, channels, taps, zeros, emptyRows, levels, seed }) => {
    const depth = channels * taps.length;
    const floats = prune(noise(seed, "w", m * depth), depth, zeros, emptyRows);
    return { m, channels, depth, taps, w: levels === 0 ? floats : floats.map((v, i) => Math.fround(0.1 + Math.floor(i / depth) / 7) * Math.round(levels * v) + 0) };
  });

describe("prepare", () => {
  test("expand gives the dense row-major elements", () => {
    fc.assert(
      fc.property(weights, ({ m, depth, w }) => check(w, [m, depth], { kind: "expand" }, words(w))),
      { numRuns: 25 },
    );
  });

  test("pack gives blocks of filters, the last one narrower", () => {
    fc.assert(
      fc.property(weights, fc.constantFrom(4, 1, 2, 3, 5, 6, 8), ({ m, depth, w }, filters) =>
        check(w, [m, depth], { kind: "pack", m, depth, filters }, words(packed(w, m, depth, filters))),
      ),
      { numRuns: 25 },
    );
  });

  test("stream gives the rows of f32-spmm in passes, empty rows and nets without any weight among them", () => {
    const passes = fc.constantFrom(100, 1, 2, 3);
    fc.assert(
      fc.property(
        weights,
        fc.constantFrom<1 | 2 | 4>(1, 4, 2),
        passes,
        fc.boolean(),
        fc.constantFrom(100, 49, 1000),
        fc.boolean(),
        ({ m, channels, depth, taps, w }, group, pass, pairs, channelStride, relative) => {
          const channelOf = (k: number) => Math.floor(k / taps.length) % (relative ? Math.min(pass, channels) : channels);
          const offsetOf = (k: number) => channelOf(k) * channelStride + (taps[k % taps.length] as number);
          const filters = pairs && m % 2 === 0 ? 2 : 1;
          const alike = filters === 1 || channelStride !== 49;
          const values = filters === 2 && alike ? paired(w, m) : w;
          const shape: StreamShape = { m, channels, taps, group, filters, alike, pass: Math.min(pass, channels), relative };
          const wanted = stream(values, shape, offsetOf);
          expect(wanted.byteLength).toBe(streamBytes(shape, values));
          expect(filters === 1 || !alike || hasPairedFilters(values, m)).toBe(true);
          check(values, [m, depth], { kind: "stream", channelStride, ...shape }, wanted);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("winograd gives the transformed filters of f32-winograd, whatever the encoding", () => {
    const sizes = {
      m: fc.constantFrom(5, 7, 1, 11, 13, 20),
      channels: fc.constantFrom(3, 1, 2),
      filters: fc.constantFrom(4, 6, 1, 5, 3, 8),
      blocks: fc.constantFrom(1, 2, 5),
      zeros: fc.constantFrom(0.5, 0.9, 0, 1),
      window: fc.constantFrom<readonly [number, number]>([3, 1], [5, 1], [7, 2], [4, 1], [6, 2], [5, 2], [11, 4]),
    };
    fc.assert(
      fc.property(fc.record(sizes), fc.boolean(), fc.integer({ min: 1, max: 1 << 30 }), ({ m, channels, filters, blocks, zeros, window: [kernel, stride] }, small, seed) => {
        const side = small && kernel === 3 ? 4 : 6;
        const size = kernel ** 2;
        const w = prune(noise(seed, "w", m * channels * size), channels * size, zeros, [2]).map((v) => Math.round(v * 50) / 50 + 0);
        const taps = Math.ceil(kernel / stride) as WinogradTaps;
        // The phases of each channel follow one another.
        const phases = Float32Array.from({ length: m * channels * (stride * taps) ** 2 }, (_, i) => {
          const [plane, phase, tap] = [Math.floor(i / (stride * taps) ** 2), Math.floor(i / taps ** 2) % stride ** 2, i % taps ** 2];
          const [y, x] = [Math.floor(tap / taps) * stride + Math.floor(phase / stride), (tap % taps) * stride + (phase % stride)];
          return y < kernel && x < kernel ? (w[plane * size + y * kernel + x] as number) : 0;
        });
        const wanted = winogradWeights(phases, m, channels * stride ** 2, filters * blocks, filters, taps, side);
        check(w, [m, channels, kernel, kernel], { kind: "winograd", m, channels, filters, group: filters * blocks, kernel, stride, side }, words(wanted), 2e-6);
      }),
      { numRuns: 25 },
    );
  });

  test("keeps bits: NaN, subnormals, and −0 only where it is stored densely", () => {
    const w = Float32Array.of(0, Number.NaN, 2 ** -149, 0, Number.NEGATIVE_INFINITY, 0, 0, -1);
    check(w, [8], { kind: "expand" }, words(w));
  });
});
