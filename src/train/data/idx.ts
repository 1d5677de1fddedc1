import { CadnnError } from "../../errors.ts";
import { elementCount } from "../../ir/types.ts";
import { type Dataset, imageDataset, type Normalization } from "./dataset.ts";

export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Unpacks gzip, recognised by its first two bytes; other bytes come back as they are. */
export async function gunzip(bytes: Uint8Array, at = "file"): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const source = new Response(bytes as Uint8Array<ArrayBuffer>).body as ReadableStream<Uint8Array<ArrayBuffer>>;
  try {
    return new Uint8Array(await new Response(source.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
  } catch (cause) {
    throw new CadnnError("E_CORRUPT", "gzip data is damaged or cut short", { at, hint: "Fetch the file again.", cause });
  }
}

/**
 * The idx format of MNIST (two zero bytes, element type, rank, big-endian dimensions, elements), bytes only, gzipped or not.
 * @throws `E_INVALID_DATASET`, `E_CORRUPT`
 */
export async function parseIdx(file: Uint8Array, at = "file"): Promise<IdxArray> {
  const bytes = await gunzip(file, at);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0) throw new CadnnError("E_INVALID_DATASET", "not an idx file", { at, hint: "idx files begin with two zero bytes." });
  if (bytes[2] !== 0x08)
    throw new CadnnError("E_INVALID_DATASET", `idx elements of type 0x${bytes[2]?.toString(16)} are not supported`, { at, hint: "Only unsigned bytes (0x08) are." });
  const rank = bytes[3] as number;
  const start = 4 + 4 * rank;
  if (bytes.length < start) throw new CadnnError("E_INVALID_DATASET", "the idx file ends within its header", { at, hint: "Fetch the file again." });
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  if (bytes.length - start !== elementCount(shape))
    throw new CadnnError("E_INVALID_DATASET", `the idx file holds ${bytes.length - start} elements, its header says [${shape.join(", ")}]`, { at, hint: "Fetch the file again." });
  return { shape, data: bytes.subarray(start) };
}

export interface IdxDatasetOptions extends Normalization {
  readonly classes?: number;
  /** Names for errors. */
  readonly names?: { readonly images: string; readonly labels: string };
}

/** A pair of idx files: images [N, H, W] or [N, C, H, W], labels [N]. Pixels become 0 … 1 unless `scale` says otherwise. */
export async function idxDataset(images: Uint8Array, labels: Uint8Array, options: IdxDatasetOptions = {}): Promise<Dataset> {
  const names = options.names ?? { images: "images", labels: "labels" };
  const [x, y] = await Promise.all([parseIdx(images, names.images), parseIdx(labels, names.labels)]);
  if (x.shape.length !== 3 && x.shape.length !== 4)
    throw new CadnnError("E_INVALID_DATASET", `images have shape [${x.shape.join(", ")}]`, { at: names.images, hint: "Give [N, H, W] or [N, C, H, W]." });
  if (y.shape.length !== 1 || y.shape[0] !== x.shape[0])
    throw new CadnnError("E_INVALID_DATASET", `${y.shape.join("×")} labels for ${x.shape[0]} images`, { at: names.labels, hint: "Give the labels that belong to the images." });
  const inputShape = (x.shape.length === 3 ? [1, ...x.shape.slice(1)] : x.shape.slice(1)) as [number, number, number];
  const classes = options.classes ?? y.data.reduce((most, v) => Math.max(most, v + 1), 0);
  return imageDataset({ scale: 1 / 255, ...options, images: x.data, labels: y.data, inputShape, classes });
}
