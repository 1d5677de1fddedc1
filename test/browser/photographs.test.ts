import { describe, expect, test } from "vitest";
import { commands } from "vitest/browser";
import { compile } from "../../src/compile/index.ts";
import { fromRgba, imageGeometry, preprocess, preprocessings, toRgb } from "../../src/image/index.ts";
import { createSession, type Session } from "../../src/runtime/index.ts";

/** Served from `../shared/data`; null where that is missing. */
const data = await commands.dataFolder();
if (data === null) console.log("skipped: ../shared/data is not there");

const bytesOf = async (path: string): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await (await fetch(`/@fs/${data}/${path}`)).arrayBuffer());

interface Photograph {
  readonly file: string;
  readonly label: number;
}

async function photographs(): Promise<Photograph[]> {
  const lines = new TextDecoder()
    .decode(await bytesOf("imagenet/images.csv"))
    .trim()
    .split("\n")
    .slice(1);
  return lines.map((line) => {
    const [file, label] = line.split(",").map((cell) => cell.replaceAll('"', ""));
    return { file: file as string, label: Number(label) };
  });
}

/** Decoded by the page, without the page's own colour management or scaling. */
async function decode(bytes: Uint8Array<ArrayBuffer>) {
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context?.drawImage(bitmap, 0, 0);
  const pixels = context?.getImageData(0, 0, bitmap.width, bitmap.height);
  return toRgb(fromRgba(bitmap.width, bitmap.height, pixels?.data as Uint8ClampedArray));
}

async function accuracy(session: Session, images: readonly Photograph[], firstClass: number): Promise<number> {
  const [input] = session.inputs;
  const geometry = imageGeometry(input?.shape ?? [], input?.name ?? "");
  let right = 0;
  for (const { file, label } of images) {
    const image = await decode(await bytesOf(`imagenet/images/${file}`));
    const results = await session.run({ [input?.name ?? ""]: preprocess(image, geometry, preprocessings.tf) });
    const scores = Object.values(results)[0]?.data as Float32Array;
    if (scores.indexOf(Math.max(...scores)) === label + firstClass) right++;
  }
  return (100 * right) / images.length;
}

describe.skipIf(data === null)("500 photographs", () => {
  test("MobileNet-V1 0.25, compiled and run in the page, answers as everywhere", { timeout: 120_000 }, async () => {
    const artifact = await compile(await bytesOf("nets/mobilenet_v1_0.25_224_bn.onnx"), { targets: ["wasm-x64-relaxed", "wasm-arm64-relaxed"] });
    const session = await createSession(artifact, { threads: crossOriginIsolated ? 2 : 1 });
    expect(Math.abs((await accuracy(session, await photographs(), 0)) - 55.2)).toBeLessThanOrEqual(0.6);
    await session.dispose();
  });
});
