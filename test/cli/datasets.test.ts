import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openImages, type TrainingSetOptions, trainingSet } from "../../src/cli/datasets.ts";
import { imageGeometry, parsePreprocessing } from "../../src/image/index.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-classes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  for (const [i, name] of ["n01/a.png", "n01/b.png", "n03/c.png", "n02/deep/d.png"].entries()) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    await sharp({ create: { width: 5, height: 4, channels: 3, background: { r: 40 * i, g: 100, b: 200 } } })
      .png()
      .toFile(join(folder, name));
  }
  writeFileSync(join(folder, "n01", "notes.txt"), "no image");
});

const options: TrainingSetOptions = { geometry: imageGeometry([1, 3, 4, 4], "x"), preprocessing: parsePreprocessing("torch"), outputs: 4, firstClass: 1, limit: undefined };
const progress = { update: () => undefined, note: () => undefined, end: () => undefined };

describe("a folder for each class", () => {
  test("gives classes in the order of the folders' names", async () => {
    const images = await openImages(folder, undefined);
    expect([images.kind, images.count]).toEqual(["folder", 4]);
    expect([0, 1, 2, 3].map((i) => images.label(i))).toEqual([0, 0, 1, 2]);
    await expect(openImages(join(folder, "n02", "deep"), undefined)).rejects.toMatchObject({ code: "E_INVALID_DATASET" });
  });

  test("is the same data set decoded at once and batch by batch", async () => {
    const images = await openImages(folder, undefined);
    const [eager, lazy] = [await trainingSet(images, options, progress), await trainingSet(images, options, progress, 100)];
    const read = async (set: typeof eager) => {
      const [out, labels] = [new Float32Array(3 * 48), new Int32Array(3)];
      await set.batch([3, 0, 2], out, labels);
      return { out, labels };
    };
    expect(await read(lazy)).toEqual(await read(eager));
    expect((await read(lazy)).labels).toEqual(Int32Array.of(3, 1, 2));
    expect([lazy.count, lazy.classes, lazy.label(3)]).toEqual([4, 4, 3]);
  });
});
