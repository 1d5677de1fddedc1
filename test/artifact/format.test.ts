import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checksum } from "../../src/artifact/checksum.ts";
import { decodeArtifact, encodeArtifact } from "../../src/artifact/format.ts";
import type { Manifest } from "../../src/artifact/manifest.ts";

const manifest: Manifest = {
  name: "net",
  producer: "cadnn test",
  inputs: [{ name: "x", dtype: "float32", shape: [1, 4] }],
  outputs: [{ name: "y", dtype: "int64", shape: [1] }],
  constants: [{ name: "w", dtype: "float32", shape: [2], encoding: { kind: "dense" }, offset: 4, bytes: 8 }],
  modules: [
    {
      target: "wasm-x64-plain",
      offset: 2,
      bytes: 3,
      sharedFlagOffset: 1,
      pages: 1,
      inputOffsets: [256],
      outputOffsets: [65532],
      prepare: [{ constant: 0, staging: 512 }],
      parameters: [{ name: "p", dtype: "float32", shape: [], offset: 1024 }],
      steps: [{ node: "Conv_0", kernel: "f32-conv", macs: 12 }],
    },
  ],
};
const weights = Uint8Array.from({ length: 13 }, (_, i) => i + 1);
const code = Uint8Array.of(9, 9, 0, 3, 7);
const file = encodeArtifact({ manifest, weights, code });

function change(at: number, by = 1): Uint8Array {
  const bytes = file.slice();
  bytes[at] = (bytes[at] as number) ^ by;
  return bytes;
}

/** Encodes with one part of the manifest replaced, at a path like "modules.0.pages". */
function encodeWith(path: string, value: unknown): () => void {
  const copy = structuredClone(manifest) as unknown as Record<string, unknown>;
  const keys = path.split(".");
  const last = keys.pop() as string;
  const parent = keys.reduce((o, key) => o[key] as Record<string, unknown>, copy);
  parent[last] = value;
  return () => encodeArtifact({ manifest: copy as unknown as Manifest, weights, code });
}

describe("artifact format", () => {
  test("round trip, with sections as views of the file, aligned to 16 bytes", () => {
    const decoded = decodeArtifact(file);
    expect(decoded).toEqual({ manifest, weights, code });
    expect(decoded.weights.buffer).toBe(file.buffer);
    expect([decoded.weights.byteOffset % 16, decoded.code.byteOffset % 16]).toEqual([0, 0]);
    const padded = new Uint8Array(file.byteLength + 3);
    padded.set(file, 3);
    expect(decodeArtifact(padded.subarray(3))).toEqual({ manifest, weights, code });
  });

  test("equal artifacts give equal bytes, whatever the order of keys", () => {
    const reordered = Object.fromEntries(Object.entries(manifest).reverse()) as unknown as Manifest;
    expect(encodeArtifact({ manifest: reordered, weights: weights.slice(), code })).toEqual(file);
  });

  test("a foreign file is named as such", () => {
    const html = new TextEncoder().encode("<!doctype html><title>404</title>");
    expect(() => decodeArtifact(html)).toThrow(expect.objectContaining({ code: "E_INVALID_FILE", hint: expect.stringContaining("HTML") }));
    expect(() => decodeArtifact(new Uint8Array(0))).toThrow(/it is empty/);
    expect(() => decodeArtifact(Uint8Array.of(8, 7, 18, 4))).toThrow(/not a .cadnn file: it starts with 08 07 12 04/);
  });

  test("every truncation is E_INVALID_FILE and says how much is missing", () => {
    for (let length = 1; length < file.byteLength; length++) {
      const missing = length < 64 ? 64 - length : file.byteLength - length;
      expect(() => decodeArtifact(file.subarray(0, length))).toThrow(
        expect.objectContaining({ code: "E_INVALID_FILE", message: expect.stringContaining(`${missing} bytes are missing`) }),
      );
    }
    expect(() => decodeArtifact(Uint8Array.from([...file, 0]))).toThrow(/1 bytes follow the end/);
  });

  test("any changed bit outside the padding is noticed, and the section is named", () => {
    const { weights: w, code: c } = decodeArtifact(file);
    expect(() => decodeArtifact(change(w.byteOffset + 12, 0x80))).toThrow(expect.objectContaining({ code: "E_CORRUPT", at: "weights" }));
    expect(() => decodeArtifact(change(c.byteOffset))).toThrow(expect.objectContaining({ code: "E_CORRUPT", at: "code" }));
    expect(() => decodeArtifact(change(64))).toThrow(expect.objectContaining({ code: "E_CORRUPT", at: "manifest" }));
    expect(() => decodeArtifact(change(17))).toThrow(expect.objectContaining({ code: "E_CORRUPT", at: "header" }));
    expect(() => decodeArtifact(change(8))).toThrow(expect.objectContaining({ code: "E_UNSUPPORTED_VERSION" }));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: file.byteLength - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const isPadding = (at >= 56 && at < 64) || (at >= w.byteOffset + 13 && at < c.byteOffset) || (at < w.byteOffset && file[at] === 0 && at > 64);
        if (!isPadding) expect(() => decodeArtifact(change(at, 1 << bit))).toThrow();
      }),
    );
  });

  test("modules for targets of other versions of cadnn are no error", () => {
    expect(encodeWith("modules.0.target", "wasm-riscv")).not.toThrow();
  });

  test("a manifest that does not fit its sections is refused, by path", () => {
    const cases: [string, unknown, RegExp][] = [
      ["inputs", {}, /^manifest\.inputs must be a list/],
      ["inputs.0.dtype", "float64", /^manifest\.inputs\[0\]\.dtype "float64" is unknown/],
      ["inputs.0.shape", [1, -1], /^manifest\.inputs\[0\]\.shape\[1\] must be a non-negative integer/],
      ["constants.0.offset", 6, /^manifest\.constants\[0\]\.offset 6 with 8 bytes lies outside the weights section of 13 bytes/],
      ["constants.0.bytes", 4, /must be 8, is 4/],
      ["constants.0.encoding", { kind: "sparse", gapBits: 9, count: 1 }, /gapBits must be 1…8, is 9/],
      ["modules.0.offset", 3, /lies outside the code section/],
      ["modules.0.sharedFlagOffset", 0, /sharedFlagOffset does not point/],
      ["modules.0.target", 1, /target must be a string/],
      ["modules.0.inputOffsets", [], /must have 1 entries, has 0/],
      ["modules.0.outputOffsets", [65533], /lies outside the memory/],
      ["modules.0.prepare", [{ constant: 1, staging: 0 }], /1 is none of 1 constants/],
      ["modules.0.prepare", [{ constant: 0, staging: 65530 }], /lies outside the memory/],
      ["modules.0.steps", [{ node: "a", kernel: 1, macs: 0 }], /kernel must be a string/],
    ];
    for (const [path, value, message] of cases) expect(encodeWith(path, value), path).toThrow(message);
  });

  test("the checksum tells single changes, swaps and lengths apart, at any alignment", () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * i) & 255);
    const shifted = new Uint8Array(1001);
    shifted.set(bytes, 1);
    expect(checksum(shifted.subarray(1))).toBe(checksum(bytes));
    const sums = new Set<number>();
    for (let length = 0; length < 64; length++) sums.add(checksum(new Uint8Array(length)));
    for (let bit = 0; bit < 8000; bit++) {
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      sums.add(checksum(bytes));
    }
    expect(sums.size).toBe(64 + 8000);
  });
});
