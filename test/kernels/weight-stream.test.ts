import fc from "fast-check";
import { expect, test } from "vitest";
import { type StreamShape, streamPlaces } from "../../src/kernels/weight-stream.ts";
import { fuzz } from "./harness.ts";
import { noise } from "./problems.ts";
import { prune, stream } from "./weights.ts";

const shapes: fc.Arbitrary<StreamShape> = fc
  .record({
    m: fc.constantFrom(3, 1, 5),
    channels: fc.constantFrom(5, 1, 8),
    taps: fc.constantFrom([0], [0, 1, 7]),
    group: fc.constantFrom(1, 2, 4),
    pass: fc.constantFrom(2, 1, 5, 9),
  })
  .map((s) => ({ ...s, pass: Math.min(s.pass, s.channels), filters: 1, alike: true, relative: false }));

test("streamPlaces tells where the stream has each non-zero", () => {
  fuzz(shapes, 60, (shape, seed) => {
    const depth = shape.channels * shape.taps.length;
    const w = prune(noise(seed, "w", shape.m * depth), depth, 0.6, [seed % 4]);
    const indices = Int32Array.from([...w.keys()].filter((i) => w[i] !== 0));
    const words = stream(w, shape, (k) => k);
    const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
    expect([...streamPlaces(shape, indices)].map((word) => floats[word])).toEqual([...indices].map((i) => w[i]));
  });
});
