import { writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import { float32Tensor, tensorType } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";

/** Scores 3 classes by an image's mean red, green and blue, plus `noise` times other colours; class k lies at output k + `offset`. */
export function colourNet(offset: number, noise = 0): Uint8Array {
  const b = new GraphBuilder("colours");
  const x = b.input("pixels", tensorType("float32", [1, 3, 4, 4]));
  const pooled = b.add("Reshape", [b.add("GlobalAveragePool", [x])], { shape: [1, 3] });
  const weight = Float32Array.from({ length: (3 + offset) * 3 }, (_, i) => (Math.floor(i / 3) - offset === i % 3 ? 1 : noise));
  const gemm = { alpha: 1, beta: 1, transA: false, transB: true };
  b.output("scores", b.add("Gemm", [pooled, b.constant("w", float32Tensor([3 + offset, 3], weight))], gemm, "fc"));
  return exportOnnx(b.finish());
}

const colours = [
  [250, 10, 10],
  [10, 250, 10],
  [10, 10, 250],
] as const;
const labels = [0, 1, 2, 2, 1, 0, 1, 2, 0];
const pixels = (size: number, colour: readonly number[]) => Buffer.from(Array.from({ length: size * size }, () => colour).flat());

/** Plain images of three colours, once as files with a csv, once as a mosaic, once (green and blue) as an idx pair. */
export async function writeColours(folder: string): Promise<void> {
  const at = (name: string) => join(folder, name);
  for (let i = 0; i < 3; i++)
    await sharp(pixels(6, colours[i] as readonly number[]), { raw: { width: 6, height: 6, channels: 3 } })
      .png()
      .toFile(at(`${i}.png`));
  writeFileSync(at("data.csv"), "file,class\n0.png,0\n1.png,1\n2.png,2\n0.png,1\n");
  const mosaic = Buffer.alloc(12 * 12 * 3);
  for (let y = 0; y < 12; y++) for (let x = 0; x < 12; x++) mosaic.set(colours[labels[Math.floor(y / 4) * 3 + Math.floor(x / 4)] as number] as readonly number[], (y * 12 + x) * 3);
  await sharp(mosaic, { raw: { width: 12, height: 12, channels: 3 } })
    .png()
    .toFile(at("mosaic.png"));
  writeFileSync(at("mosaic.labels"), Uint8Array.from(labels));
  writeFileSync(at("images.idx"), Buffer.concat([Buffer.from([0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 3]), pixels(4, colours[1]), pixels(4, colours[2])]));
  writeFileSync(at("labels.idx"), Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 1, 2));
}
