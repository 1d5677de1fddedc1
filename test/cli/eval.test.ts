import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32Tensor } from "../../src/ir/types.ts";
import { readNpy, writeNpy } from "../../src/node/npy.ts";
import { colourNet, writeColours } from "./colours.ts";
import { cadnn } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-eval-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  writeFileSync(at("net.onnx"), colourNet(0));
  writeFileSync(at("background.onnx"), colourNet(1));
  await writeColours(folder);
});

const evaluate = (net: string, data: string, ...more: string[]) => cadnn("eval", at(net), "--data", data, "--reference", "--json", ...more);

describe("nets that take pixels", () => {
  test("eval and run feed bytes, which the net preprocesses", async () => {
    expect(await cadnn("compile", at("net.onnx"), "-o", at("net.cadnn"), "--image", "none")).toMatchObject({ code: 0 });
    const outcome = await cadnn("eval", at("net.cadnn"), "--data", at("mosaic.png"), "--json");
    expect(outcome.json()).toMatchObject({ images: 9, top1: 100, top5: 100 });
    expect(await cadnn("run", at("net.cadnn"), "--image", at("1.png"))).toMatchObject({ code: 0 });
    const again = await cadnn("eval", at("net.cadnn"), "--data", at("mosaic.png"), "--preprocess", "tf");
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("--preprocess") });
  });

  test("a size that is none is said", async () => {
    expect(await cadnn("compile", at("net.onnx"), "-o", at("other.cadnn"), "--image-size", "480")).toMatchObject({ code: 2, stderr: expect.stringContaining("--image-size") });
  });
});

describe("eval", () => {
  test("a csv, its files beside it or in --images", async () => {
    expect((await evaluate("net.onnx", at("data.csv"))).json()).toMatchObject({ images: 4, top1: 75, top5: 100, backend: "reference" });
    writeFileSync(join(tmpdir(), "cadnn-elsewhere.csv"), readFileSync(at("data.csv")));
    expect((await evaluate("net.onnx", join(tmpdir(), "cadnn-elsewhere.csv"), "--images", folder)).json()).toMatchObject({ images: 4, top1: 75 });
    rmSync(join(tmpdir(), "cadnn-elsewhere.csv"));
  });

  test("a mosaic with labels beside it", async () => {
    expect((await evaluate("net.onnx", at("mosaic.png"))).json()).toMatchObject({ images: 9, top1: 100, top5: 100 });
    expect((await evaluate("net.onnx", at("mosaic.png"), "--limit", "5")).json()).toMatchObject({ images: 5, top1: 100 });
  });

  test("an idx pair", async () => {
    expect((await evaluate("net.onnx", `${at("images.idx")},${at("labels.idx")}`)).json()).toMatchObject({ images: 2, top1: 100 });
  });

  test("channels in the wrong order cost accuracy, --first-class skips a background class", async () => {
    expect((await evaluate("net.onnx", at("mosaic.png"), "--preprocess", "none,bgr")).json()).toMatchObject({ top1: 33.333 });
    expect((await evaluate("background.onnx", at("mosaic.png"), "--first-class", "1")).json()).toMatchObject({ top1: 100 });
  });

  test("errors name the culprit", async () => {
    writeFileSync(at("many.csv"), "file,class\n0.png,3\n");
    expect(await evaluate("net.onnx", at("many.csv"))).toMatchObject({ code: 1, stderr: expect.stringContaining("class 3 of the data set has no output, the net has 3") });
    writeFileSync(at("missing.csv"), "file,class\nnone.png,0\n");
    expect(await evaluate("net.onnx", at("missing.csv"))).toMatchObject({ code: 1, stderr: expect.stringContaining(`E_FILE_NOT_FOUND at ${at("none.png")}`) });
    writeFileSync(at("bad.csv"), "file,class\nnet.onnx,0\n");
    expect(await evaluate("net.onnx", at("bad.csv"))).toMatchObject({ code: 1, stderr: expect.stringContaining(`E_INVALID_IMAGE at ${at("net.onnx")}`) });
    expect(await evaluate("net.onnx", `${at("images.idx")},${at("images.idx")}`)).toMatchObject({ code: 1, stderr: expect.stringContaining("E_INVALID_DATASET") });
    expect(await evaluate("net.onnx", at("mosaic.png"), "--output", "none")).toMatchObject({ code: 2, stderr: expect.stringContaining("Its outputs are: scores.") });
  });
});

describe("run", () => {
  test("names the best classes of an image", async () => {
    writeFileSync(at("names.txt"), "background\nred\ngreen\nblue\n");
    const outcome = await cadnn("run", at("net.onnx"), "--image", at("1.png"), "--labels", at("names.txt"), "--top", "2", "--reference", "--json");
    expect(outcome.json().top).toMatchObject([
      { class: 1, label: "green", score: 250 },
      { class: 0, label: "red" },
    ]);
    const text = (await cadnn("run", at("background.onnx"), "--image", at("2.png"), "--labels", at("names.txt"), "--first-class", "1", "--reference")).stdout;
    expect(text.split("\n")[2]).toMatch(/^ +2 +100\.0 % +250\.00 +blue$/);
  });

  test("takes and writes arrays", async () => {
    writeFileSync(
      at("x.npy"),
      writeNpy(
        float32Tensor(
          [1, 3, 4, 4],
          Float32Array.from({ length: 48 }, (_, i) => Math.floor(i / 16)),
        ),
      ),
    );
    const outcome = await cadnn("run", at("net.onnx"), "--input", `pixels=${at("x.npy")}`, "--output-dir", folder, "--reference", "--json");
    expect(outcome.json()).toMatchObject({ outputs: [{ name: "scores", dtype: "float32", shape: [1, 3], min: 0, max: 2, mean: 1 }], files: [at("scores.npy")] });
    expect(readNpy(readFileSync(at("scores.npy")))).toEqual(float32Tensor([1, 3], [0, 1, 2]));
  });

  test("errors name the input", async () => {
    writeFileSync(at("small.npy"), writeNpy(float32Tensor([1, 3], [1, 2, 3])));
    expect(await cadnn("run", at("net.onnx"), "--input", at("small.npy"), "--reference")).toMatchObject({ code: 1, stderr: expect.stringMatching(/E_SHAPE_MISMATCH.*pixels/) });
    expect(await cadnn("run", at("net.onnx"), "--input", `image=${at("x.npy")}`, "--reference")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("E_INPUT_NAME at image"),
    });
  });
});

const data = new URL("../../../shared/data/", import.meta.url).pathname;
describe.skipIf(!existsSync(data))("real nets (skipped where ../shared/data is missing)", () => {
  test("the photograph of a panda", async () => {
    const image = join(data, "imagenet/images/000b7d55b6184b08.jpg");
    const argv = [
      "run",
      join(data, "nets/mobilenet_v1_0.25_224_bn.onnx"),
      "--image",
      image,
      "--preprocess",
      "tf",
      "--reference",
      "--json",
      "--labels",
      join(data, "imagenet/labels-with-background.txt"),
    ];
    expect((await cadnn(...argv)).json().top).toMatchObject([{ class: 388, label: expect.stringContaining("giant panda") }, {}, {}, {}, {}]);
  });
});
