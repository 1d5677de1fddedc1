import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage, readImage } from "../../src/node/image.ts";

const photograph = new URL("../../../shared/data/imagenet/images/000b7d55b6184b08.jpg", import.meta.url).pathname;

describe("decodeImage", () => {
  test("drops alpha and turns gray into R, G, B", async () => {
    const rgba = await sharp(Buffer.from([10, 20, 30, 0, 40, 50, 60, 255]), { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    expect(await decodeImage(rgba)).toMatchObject({ width: 2, height: 1, channels: 3, data: Buffer.from([10, 20, 30, 40, 50, 60]) });
    const gray = await sharp(Buffer.from([7, 9]), { raw: { width: 1, height: 2, channels: 1 } })
      .toColourspace("b-w")
      .png()
      .toBuffer();
    expect([...(await decodeImage(gray)).data]).toEqual([7, 7, 7, 9, 9, 9]);
  });

  test("turns an image upright as its metadata says", async () => {
    const sideways = await sharp(Buffer.from([1, 1, 1, 2, 2, 2]), { raw: { width: 2, height: 1, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    expect(await decodeImage(sideways)).toMatchObject({ width: 1, height: 2 });
  });

  test("names a file that is no image", async () => {
    await expect(decodeImage(Buffer.from("hello"), "x.jpg")).rejects.toMatchObject({ code: "E_INVALID_IMAGE", at: "x.jpg", hint: expect.any(String) });
  });

  test.skipIf(!existsSync(photograph))("decodes a photograph to the bytes that Pillow gives (skipped where ../shared/data is missing)", async () => {
    const { width, height, data } = await readImage(photograph);
    expect([width, height]).toEqual([299, 299]);
    expect(createHash("sha1").update(data).digest("hex")).toBe("d8b500511394f136836fa7e374dd5093d23c67c3");
  });
});
