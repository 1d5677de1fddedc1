import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeConstant, encodeConstant } from "../../src/artifact/constant-codec.ts";
import { createRandom } from "../../src/zoo/random.ts";

/** Floats with runs of zeros of all lengths, as bit patterns, so that NaN payloads and subnormals occur. */
const sparseFloats = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 700 })), fc.integer({ min: 1, max: 0x7fffffff })), { maxLength: 60 })
  .chain((runs) => fc.integer({ min: 0, max: 90 }).map((tail) => ({ runs, tail })))
  .map(({ runs, tail }) => {
    const bits = runs.flatMap(([few, many, value]) => [...new Array<number>(few % 3 === 0 ? many : few).fill(0), value]);
    return Uint32Array.from([...bits, ...new Array<number>(tail).fill(0)]);
  });

function roundTrip(bits: Uint32Array) {
  const data = new Float32Array(bits.buffer, bits.byteOffset, bits.length);
  const encoded = encodeConstant(data, "float32");
  const decoded = decodeConstant({ name: "w", dtype: "float32", shape: [bits.length], encoding: encoded.encoding }, encoded.bytes);
  return { encoded, bits: new Uint32Array(decoded.buffer, decoded.byteOffset, decoded.length) };
}

describe("constant codec", () => {
  test("gives back every bit of any floats, never larger than dense", () => {
    fc.assert(
      fc.property(sparseFloats, (bits) => {
        const result = roundTrip(bits);
        expect(result.bits).toEqual(bits);
        expect(result.encoded.bytes.byteLength).toBeLessThanOrEqual(bits.byteLength);
      }),
      { numRuns: 300 },
    );
  });

  test("lays sparse constants out as documented: values, then fields from the least significant bit on", () => {
    // Gaps 2, 0, 4 in fields of 2 bits (3 means "3 more"): 2 | 0 | 3, 1 → 0b01_11_00_10.
    const encoding = { kind: "sparse", gapBits: 2, count: 3 } as const;
    const bytes = new Uint8Array([...new Uint8Array(Float32Array.of(1.5, -2, 3).buffer), 0b01110010, 0, 0, 0]);
    const data = Float32Array.of(0, 0, 1.5, -2, 0, 0, 0, 0, 3, 0, 0);
    expect(decodeConstant({ name: "w", dtype: "float32", shape: [11], encoding }, bytes)).toEqual(data);
  });

  test("fields run on across words", () => {
    // 64 non-zeros with gaps i mod 5: at 3 bits, field 10 covers bits 30–32.
    const gaps = Array.from({ length: 64 }, (_, i) => i % 5);
    const data = Float32Array.from(gaps.flatMap((gap, i) => [...new Array<number>(gap).fill(0), Math.sin(1 + i)]));
    const encoded = encodeConstant(data, "float32");
    expect(encoded.encoding).toEqual({ kind: "sparse", gapBits: 3, count: 64 });
    const words = new Uint32Array(encoded.bytes.slice(256).buffer);
    expect(words[0]).toBe(gaps.slice(0, 11).reduce((word, gap, i) => (word | (gap << (3 * i))) >>> 0, 0));
    expect((words[1] as number) & 1).toBe((gaps[10] as number) >> 2);
  });

  test("chooses the number of bits by size: 4 bits where nine of ten weights are zero", () => {
    const data = new Float32Array(100_000);
    for (let i = 0, state = 1; i < data.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      if (state < 0.1 * 2 ** 32) data[i] = state;
    }
    const encoded = encodeConstant(data, "float32");
    expect(encoded.encoding).toMatchObject({ kind: "sparse", gapBits: 4 });
    expect(encoded.bytes.byteLength).toBeLessThan(0.125 * data.byteLength);
  });

  test("counts −0 as zero, keeps NaN, and stores all-zero and empty constants in no bytes", () => {
    expect(encodeConstant(Float32Array.of(-0, 0, 0), "float32")).toEqual({ encoding: { kind: "sparse", gapBits: 8, count: 0 }, bytes: new Uint8Array(0) });
    expect(encodeConstant(new Float32Array(0), "float32").encoding).toEqual({ kind: "dense" });
    expect(decodeConstant({ name: "z", dtype: "float32", shape: [2, 2], encoding: { kind: "sparse", gapBits: 3, count: 0 } }, new Uint8Array(0))).toEqual(new Float32Array(4));
    const nan = new Float32Array(64).fill(0);
    nan[50] = Number.NaN;
    expect(roundTrip(new Uint32Array(nan.buffer)).encoded.encoding).toMatchObject({ kind: "sparse", count: 1 });
  });

  describe("levels", () => {
    /** `groups` runs of multiples −7…8 of a scale of their own, some of them zero. */
    const quantized = fc
      .record({ groups: fc.integer({ min: 1, max: 20 }), run: fc.integer({ min: 1, max: 90 }), seed: fc.integer({ min: 1, max: 1e9 }), zeros: fc.constantFrom(0, 0.5, 0.95) })
      .map(({ groups, run, seed, zeros }) => {
        const random = createRandom(seed, "levels");
        const scales = Array.from({ length: groups }, () => Math.fround(random.uniform() + 1e-3));
        const data = Float32Array.from({ length: groups * run }, (_, i) =>
          random.uniform() < zeros ? 0 : (scales[Math.floor(i / run)] as number) * (Math.floor(16 * random.uniform()) - 7),
        );
        return { groups, run, data: data.map((v) => v + 0) };
      });

    test("give back every bit, never larger than floats, and a few bits an element where groups are long", () => {
      fc.assert(
        fc.property(quantized, ({ groups, run, data }) => {
          const { encoding, bytes } = encodeConstant(data, "float32", [groups, run]);
          const decoded = decodeConstant({ name: "w", dtype: "float32", shape: [groups, run], encoding }, bytes);
          expect(decoded).toEqual(data);
          expect(bytes.byteLength).toBeLessThanOrEqual(data.byteLength);
          expect(bytes.byteLength).toBeLessThanOrEqual(8 * groups + 4 * 16 + 4 * Math.ceil(data.length / 8));
        }),
        { numRuns: 200 },
      );
    });

    test("take any few values, on a grid or not, of each group", () => {
      const data = Float32Array.from({ length: 4000 }, (_, i) => Math.sin(1 + ((i * i) % 7) + 10 * Math.floor(i / 1000)));
      const { encoding, bytes } = encodeConstant(data, "float32", [4, 1000]);
      expect(encoding).toMatchObject({ kind: "dense", levels: { groups: 4, bits: 2, palette: 16 } });
      expect(decodeConstant({ name: "w", dtype: "float32", shape: [4, 1000], encoding }, bytes)).toEqual(data);
    });

    test("that end early or lie outside the palette are E_CORRUPT", () => {
      const data = Float32Array.from({ length: 256 }, (_, i) => (i % 5) + 1);
      const { encoding, bytes } = encodeConstant(data, "float32", [256]);
      const record = { name: "w", dtype: "float32", shape: [256], encoding } as const;
      expect(encoding).toEqual({ kind: "dense", levels: { bits: 3, groups: 1, palette: 5 } });
      expect(() => decodeConstant(record, bytes.subarray(0, bytes.length - 4))).toThrowError(expect.objectContaining({ code: "E_CORRUPT" }));
      const damaged = bytes.slice();
      damaged[30] = 255;
      expect(() => decodeConstant(record, damaged)).toThrowError(expect.objectContaining({ code: "E_CORRUPT" }));
    });
  });

  test("keeps other types dense", () => {
    const int64 = BigInt64Array.of(0n, 0n, 5n, -(2n ** 40n));
    const encoded = encodeConstant(int64, "int64");
    expect(encoded.encoding).toEqual({ kind: "dense" });
    expect(decodeConstant({ name: "i", dtype: "int64", shape: [4], encoding: encoded.encoding }, encoded.bytes)).toEqual(int64);
    const bytes = encodeConstant(Int8Array.of(0, -1, 3).subarray(1), "int8");
    expect(decodeConstant({ name: "b", dtype: "int8", shape: [2], encoding: bytes.encoding }, bytes.bytes)).toEqual(Int8Array.of(-1, 3));
  });

  test("refuses gaps that leave the shape or end too early", () => {
    const encoding = { kind: "sparse", gapBits: 2, count: 1 } as const;
    const record = { name: "w", dtype: "float32", shape: [2], encoding } as const;
    expect(() => decodeConstant(record, Uint8Array.of(0, 0, 128, 63, 2, 0, 0, 0))).toThrow(expect.objectContaining({ code: "E_CORRUPT", at: "w" }));
    expect(() => decodeConstant(record, Uint8Array.of(0, 0, 128, 63, 255))).toThrow(expect.objectContaining({ code: "E_CORRUPT" }));
    expect(() => decodeConstant(record, Uint8Array.of(0, 0))).toThrow(expect.objectContaining({ code: "E_CORRUPT" }));
  });
});
