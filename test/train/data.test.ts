import { existsSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { augment, mirrored } from "../../src/train/data/augment.ts";
import { type BatchImages, type ByteScale, imageDataset, joined, roomFor, split, subset } from "../../src/train/data/dataset.ts";
import { digitsDataset } from "../../src/train/data/digits.ts";
import { idxDataset, parseIdx } from "../../src/train/data/idx.ts";
import { mosaicDataset } from "../../src/train/data/mosaic.ts";
import { learningRateAt } from "../../src/train/schedule.ts";
import { createRandom } from "../../src/zoo/random.ts";

const idx = (shape: readonly number[], data: ArrayLike<number>) => {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length);
  bytes.set([0, 0, 8, shape.length]);
  shape.forEach((d, i) => {
    new DataView(bytes.buffer).setUint32(4 + 4 * i, d);
  });
  bytes.set(Array.from(data), 4 + 4 * shape.length);
  return bytes;
};
const numbered = (count: number, classes = 3) =>
  imageDataset({ images: Uint8Array.from({ length: count * 4 }, (_, i) => i), labels: Array.from({ length: count }, (_, i) => i % classes), inputShape: [1, 2, 2], classes });

describe("data sets", () => {
  test("normalize by channel", () => {
    const dataset = imageDataset({ images: Uint8Array.of(0, 255, 51, 102), labels: [1], inputShape: [2, 1, 2], classes: 2, scale: 1 / 255, mean: [0.5, 0.2], std: [0.5, 0.1] });
    const images = new Float32Array(4);
    const labels = new Int32Array(1);
    dataset.batch([0], images, labels);
    expect([...images].map((v) => Number(v.toFixed(5)))).toEqual([-1, 1, 0, 2]);
    expect(labels[0]).toBe(1);
  });

  test("split: disjoint, complete, classes in proportion, equal for equal seeds", () => {
    const dataset = numbered(60);
    const ids = (part: typeof dataset) => {
      const images = new Float32Array(part.count * 4);
      part.batch([...new Array(part.count).keys()], images, new Int32Array(part.count));
      return Array.from({ length: part.count }, (_, i) => (images[4 * i] as number) / 4);
    };
    const { train, heldOut } = split(dataset, 0.2, 3);
    expect([train.count, heldOut.count]).toEqual([48, 12]);
    expect([...ids(train), ...ids(heldOut)].sort((a, b) => a - b)).toEqual([...new Array(60).keys()]);
    const perClass = [0, 1, 2].map((c) => [...new Array(12).keys()].filter((i) => heldOut.label(i) === c).length);
    expect(perClass).toEqual([4, 4, 4]);
    expect(ids(split(dataset, 12, 3).heldOut)).toEqual(ids(heldOut));
    expect(ids(split(dataset, 12, 4).heldOut)).not.toEqual(ids(heldOut));
  });

  test("joined: one after the other, of one size only", async () => {
    const all = joined([numbered(3), numbered(2), numbered(4)]);
    const images = new Float32Array(5 * 4);
    const labels = new Int32Array(5);
    await all.batch([0, 3, 4, 5, 8], images, labels);
    expect([all.count, ...labels]).toEqual([9, 0, 0, 1, 0, 0]);
    expect([0, 4, 8, 12, 16].map((i) => images[i])).toEqual([0, 0, 4, 0, 12]);
    expect([2, 3, 8].map((i) => all.label(i))).toEqual([2, 0, 0]);
    expect(() => joined([numbered(3), numbered(3, 4)])).toThrow(expect.objectContaining({ code: "E_INVALID_DATASET" }));
  });

  test("augmentation moves and mirrors, and only where it is given random numbers", async () => {
    const dataset = imageDataset({ images: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), labels: [0], inputShape: [1, 3, 3], classes: 1 });
    const varied = augment(dataset, { shift: 1, flip: true, fill: [-1] });
    const read = async (seed?: number) => {
      const images = new Float32Array(9);
      await varied.batch([0], images, new Int32Array(1), seed === undefined ? undefined : createRandom(seed));
      return images.join();
    };
    expect(await read()).toBe("1,2,3,4,5,6,7,8,9");
    const seen = new Set(await Promise.all(Array.from({ length: 400 }, (_, seed) => read(seed))));
    expect(seen.size).toBe(18);
    expect(seen).toContain("-1,-1,-1,-1,1,2,-1,4,5"); // one down, one to the right
    expect(seen).toContain("2,1,-1,5,4,-1,8,7,-1"); // mirrored, one to the left
  });

  test("bytes are varied as what they become", async () => {
    const scale = { scale: 1 / 255, mean: [0.2, 0.4], std: [0.5, 0.25] };
    const fill = [10, 200].map((b, c) => (b / 255 - (scale.mean[c] as number)) / (scale.std[c] as number));
    const part = imageDataset({ images: Uint8Array.from({ length: 5 * 24 }, (_, i) => (i * 37) % 256), labels: [0, 1, 0, 1, 1], inputShape: [2, 3, 4], classes: 2, ...scale });
    const all = augment(mirrored(subset(joined([part, part]), [3, 1, 9, 6])), { shift: 2, flip: true, fill });
    const bytes = roomFor(all, 8);
    const elements = new Float32Array(8 * 24);
    const order = [0, 7, 3, 2, 5, 1, 6, 4];
    for (const images of [bytes, elements]) await all.batch(order, images, new Int32Array(8), createRandom(4, "shifts"));
    expect(bytes).toBeInstanceOf(Uint8Array);
    const { gain, shift } = all.bytes as ByteScale;
    const wanted = Array.from(bytes, (b, i) => b * (gain[Math.floor(i / 12) % 2] as number) - (shift[Math.floor(i / 12) % 2] as number));
    elements.forEach((v, i) => expect(v).toBeCloseTo(wanted[i] as number, 5));
    expect(augment(part, { shift: 1, fill: [0.1234] }).bytes).toBeUndefined(); // no byte becomes that
    expect(joined([part, imageDataset({ images: new Uint8Array(24), labels: [1], inputShape: [2, 3, 4], classes: 2 })]).bytes).toBeUndefined();
  });

  test("warps images about their middle, bytes and elements alike", async () => {
    const side = 11;
    const ramp = Uint8Array.from({ length: side * side }, (_, i) => 20 + 9 * (i % side) + 7 * Math.floor(i / side));
    const dataset = imageDataset({ images: ramp, labels: [0], inputShape: [1, side, side], classes: 1 });
    const warp = { rotate: 10, scale: 0.1, shear: 0.1, share: 1 };
    const read = async (amounts: typeof warp, seed: number, images: BatchImages) => {
      await augment(dataset, { warp: amounts, fill: [7] }).batch([0], images, new Int32Array(1), createRandom(seed));
      return images;
    };
    expect(await read({ rotate: 0, scale: 0, shear: 0, share: 1 }, 1, new Uint8Array(ramp.length))).toEqual(ramp);
    expect(await read({ ...warp, share: 0 }, 1, new Uint8Array(ramp.length))).toEqual(ramp);
    for (let seed = 0; seed < 20; seed++) {
      const elements = (await read(warp, seed, new Float32Array(ramp.length))) as Float32Array;
      const bytes = await read(warp, seed, new Uint8Array(ramp.length));
      bytes.forEach((b, i) => expect(Math.abs(b - (elements[i] as number))).toBeLessThanOrEqual(0.5001));
      const at = (x: number, y: number) => elements[y * side + x] as number;
      expect(at(5, 5)).toBeCloseTo(ramp[5 * side + 5] as number, 4);
      // Of a plane that is linear, another one comes that is, but for what comes in.
      const [dx, dy] = [at(6, 5) - at(5, 5), at(5, 6) - at(5, 5)];
      for (let y = 3; y < 8; y++) for (let x = 3; x < 8; x++) expect(at(x, y)).toBeCloseTo(at(5, 5) + dx * (x - 5) + dy * (y - 5), 3);
      expect(Math.hypot(dx - 9, dy - 7)).toBeGreaterThan(1e-3);
      for (const v of elements) expect(v >= 6.999 && v <= 180.001).toBe(true);
    }
    expect(augment(dataset, { warp }).variations).toBeUndefined(); // they are not to be counted
    const few = await Promise.all(Array.from({ length: 400 }, (_, seed) => read({ ...warp, share: 0.3 }, seed, new Uint8Array(ramp.length))));
    expect(few.filter((image) => image.every((b, i) => b === ramp[i])).length).toBeGreaterThan(240);
    expect(few.filter((image) => image.some((b, i) => b !== ramp[i])).length).toBeGreaterThan(80);
  });

  test("warps a small thing in an empty image as it does in a full one", async () => {
    const [channels, height, width] = [2, 13, 17] as const;
    const size = channels * height * width;
    const full = Float32Array.from({ length: size }, (_, i) => 1 + (i % 5));
    const random = createRandom(3);
    for (let seed = 0; seed < 60; seed++) {
      const [y, x] = [Math.floor(13 * random.uniform()), Math.floor(17 * random.uniform())];
      const thing = new Float32Array(size);
      for (let c = 0; c < channels; c++)
        for (let v = y; v < Math.min(height, y + 1 + (seed % 6)); v++)
          for (let u = x; u < Math.min(width, x + 1 + (seed % 4)); u++) thing[(c * height + v) * width + u] = 3 + random.uniform();
      const warped = async (images: Float32Array): Promise<Float32Array> => {
        const dataset = imageDataset({ images, labels: [0], inputShape: [channels, height, width], classes: 1 });
        const into = new Float32Array(size);
        await augment(dataset, { warp: { rotate: seed < 30 ? 7 : 180, scale: 0.5, shear: 0.4, share: 1 } }).batch([0], into, new Int32Array(1), createRandom(seed));
        return into;
      };
      const [both, one, alone] = await Promise.all([warped(full.map((v, i) => v + (thing[i] as number))), warped(full), warped(thing)]);
      alone.forEach((v, i) => expect(Math.abs((both[i] as number) - (one[i] as number) - v)).toBeLessThan(1e-5));
    }
  });

  test("mirrored images come after the images as they are", async () => {
    const both = mirrored(imageDataset({ images: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), labels: [0, 1], inputShape: [1, 2, 2], classes: 2 }));
    const images = new Float32Array(12);
    const labels = new Int32Array(3);
    await both.batch([1, 2, 3], images, labels);
    expect([both.count, both.label(3), ...labels]).toEqual([4, 1, 1, 0, 1]);
    expect([...images]).toEqual([5, 6, 7, 8, 2, 1, 4, 3, 6, 5, 8, 7]);
  });

  test("mosaic: tiles row by row", () => {
    const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => i);
    const dataset = mosaicDataset({ width: 4, height: 4, channels: 3, data }, [0, 1, 0], { tile: 2, classes: 2, scale: 1 });
    const images = new Float32Array(12);
    dataset.batch([1], images, new Int32Array(1));
    expect([...images]).toEqual([6, 9, 18, 21, 7, 10, 19, 22, 8, 11, 20, 23]);
    expect(dataset.count).toBe(3);
  });

  test("digits by class", () => {
    const dataset = digitsDataset([new Float32Array(784 * 2), new Float32Array(784).fill(1)]);
    expect([dataset.count, dataset.classes, dataset.label(1), dataset.label(2)]).toEqual([3, 2, 0, 1]);
  });

  test("errors name what is wrong", () => {
    const make = (labels: number[]) => imageDataset({ images: new Uint8Array(8), labels, inputShape: [1, 2, 2], classes: 2 });
    expect(() => make([0])).toThrowError(expect.objectContaining({ code: "E_INVALID_DATASET", at: "images" }));
    expect(() => make([0, 2])).toThrowError(expect.objectContaining({ code: "E_INVALID_DATASET", at: "labels" }));
    expect(() => split(make([0, 1]), 2)).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION" }));
    expect(() => mosaicDataset({ width: 5, height: 4, channels: 1, data: new Uint8Array(20) }, [0], { tile: 2, classes: 1 })).toThrowError(
      expect.objectContaining({ at: "mosaic" }),
    );
  });

  test("subset", () => {
    const part = subset(numbered(6), [5, 1]);
    const images = new Float32Array(8);
    const labels = new Int32Array(2);
    part.batch([0, 1], images, labels);
    expect([images[0], images[4], ...labels, part.label(0)]).toEqual([20, 4, 2, 1, 2]);
  });
});

describe("idx files", () => {
  const images = idx([2, 2, 2], [0, 255, 0, 255, 255, 0, 0, 0]);
  const labels = idx([2], [1, 0]);

  test("plain and gzipped", async () => {
    for (const file of [images, new Uint8Array(gzipSync(images))]) {
      const dataset = await idxDataset(file, labels);
      const out = new Float32Array(4);
      dataset.batch([0], out, new Int32Array(1));
      expect([...out]).toEqual([0, 1, 0, 1]);
      expect(dataset).toMatchObject({ count: 2, classes: 2, inputShape: [1, 2, 2] });
    }
  });

  test.each([
    [Uint8Array.of(1, 2, 3, 4), "E_INVALID_DATASET"],
    [idx([3], [1, 2]), "E_INVALID_DATASET"],
    [Uint8Array.of(0, 0, 0x0d, 1, 0, 0, 0, 0), "E_INVALID_DATASET"],
    [new Uint8Array(gzipSync(images)).slice(0, 20), "E_CORRUPT"],
  ])("a bad file is refused", async (bytes, code) => {
    await expect(parseIdx(bytes, "train.idx")).rejects.toMatchObject({ code, at: "train.idx" });
  });

  const folder = "../shared/data/mnist";
  test.skipIf(!existsSync(folder))("MNIST (skipped where ../shared/data is missing)", async () => {
    const file = (name: string) => readFileSync(`${folder}/${name}-ubyte.gz`);
    const dataset = await idxDataset(file("t10k-images-idx3"), file("t10k-labels-idx1"));
    expect(dataset).toMatchObject({ count: 10_000, classes: 10, inputShape: [1, 28, 28] });
    expect([0, 1, 2, 3, 4].map((i) => dataset.label(i))).toEqual([7, 2, 1, 0, 4]);
  });
});

describe("schedules", () => {
  const at = (schedule: Parameters<typeof learningRateAt>[0], steps: readonly number[]) => steps.map((step) => Number(learningRateAt(schedule, step, 100).toFixed(6)));
  test("constant, cosine, step, warm-up", () => {
    expect(at({ kind: "constant", peak: 0.1, warmup: 2 }, [0, 1, 2, 99])).toEqual([0.05, 0.1, 0.1, 0.1]);
    expect(at({ kind: "cosine", peak: 1, floor: 0.1 }, [0, 50, 100])).toEqual([1, 0.55, 0.1]);
    expect(at({ kind: "step", peak: 1, factor: 0.1, at: [0.5, 0.75] }, [49, 50, 75])).toEqual([1, 0.1, 0.01]);
  });
});
