import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { CadnnError } from "../errors.ts";
import { channelStatistics, crop, type Image8, type ImageGeometry, image8, imageGeometry, netPixels, type Preprocessing, parsePreprocessing } from "../image/index.ts";
import type { Graph } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { readLabels } from "../node/csv.ts";
import { readFile, readText } from "../node/files.ts";
import { decodeImage, readImage } from "../node/image.ts";
import { type Augmentation, mildWarp } from "../train/data/augment.ts";
import { type Dataset, imageDataset } from "../train/data/dataset.ts";
import { parseIdx } from "../train/data/idx.ts";
import type { CommandContext } from "./command.ts";
import { type Options, usage } from "./options.ts";
import type { Progress } from "./progress.ts";

/** Labelled images, decoded one at a time. */
export interface LabelledImages {
  readonly kind: "csv" | "idx" | "mosaic" | "folder";
  readonly count: number;
  label(index: number): number;
  image(index: number): Promise<Image8>;
}

/** Opens what `--data` names: a csv, an idx pair `images,labels`, a mosaic with its `.labels` file beside it, or a folder with a folder for each class. */
export async function openImages(data: string, imagesFolder: string | undefined): Promise<LabelledImages> {
  const [first = "", second, ...more] = data.split(",");
  if (second !== undefined && more.length === 0 && !existsSync(data)) return openIdx(first, second);
  if (existsSync(data) && statSync(data).isDirectory()) return openClassFolders(data);
  switch (extname(data).toLowerCase()) {
    case ".csv":
      return openCsv(data, imagesFolder);
    case ".png":
    case ".jpg":
    case ".jpeg":
      return openMosaic(data);
    default:
      throw usage(
        `"${data}" is no data set`,
        "--data",
        "Give a csv with the columns file and class, an idx pair images.idx,labels.idx, a mosaic .png with a .labels file beside it, or a folder with a folder for each class.",
      );
  }
}

const imageFile = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;

/** Like `openImages`, or all images in a folder and the folders in it, without labels, in the order of their paths. */
export async function openUnlabelled(data: string, imagesFolder: string | undefined): Promise<Omit<LabelledImages, "label">> {
  if (!existsSync(data) || !statSync(data).isDirectory()) return openImages(data, imagesFolder);
  const files = (await readdir(data, { recursive: true })).filter((file) => imageFile.test(file)).sort();
  if (files.length === 0)
    throw new CadnnError("E_INVALID_DATASET", "there are no images in this folder", { at: data, hint: "Images are JPEG, PNG, WebP, GIF, AVIF or TIFF files." });
  return { kind: "folder", count: files.length, image: (i) => readImage(join(data, files[i] as string)) };
}

/** Classes are the folders in the order of their names, as torchvision's ImageFolder has it: ImageNet's synsets come in the order of its labels. */
async function openClassFolders(data: string): Promise<LabelledImages> {
  const entries = await readdir(data, { withFileTypes: true });
  const classes = entries
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .sort();
  const lists = await Promise.all(classes.map(async (name) => (await readdir(join(data, name), { recursive: true })).filter((file) => imageFile.test(file)).sort()));
  const files = lists.flatMap((list, label) => list.map((file) => ({ label, path: join(data, classes[label] as string, file) })));
  if (files.length === 0)
    throw new CadnnError("E_INVALID_DATASET", "there are no folders with images in it", {
      at: data,
      hint: "Labelled images lie in a folder for each class, or a csv names their classes.",
    });
  const at = (i: number) => files[i] as (typeof files)[number];
  return { kind: "folder", count: files.length, label: (i) => at(i).label, image: (i) => readImage(at(i).path) };
}

async function openCsv(path: string, imagesFolder: string | undefined): Promise<LabelledImages> {
  const rows = readLabels(await readText(path), path);
  const folders = imagesFolder === undefined ? [dirname(path), join(dirname(path), "images")] : [imagesFolder];
  const firstFile = rows[0]?.file ?? "";
  const folder = folders.find((f) => existsSync(join(f, firstFile))) ?? (folders[0] as string);
  return { kind: "csv", count: rows.length, label: (i) => rows[i]?.label ?? 0, image: (i) => readImage(join(folder, rows[i]?.file ?? "")) };
}

async function openIdx(imagesPath: string, labelsPath: string): Promise<LabelledImages> {
  const [images, labels] = await Promise.all([readIdx(imagesPath), readIdx(labelsPath)]);
  const [count = 0, height = 0, width = 0, channels = 1] = images.shape;
  if (images.shape.length < 3 || images.shape.length > 4 || (channels !== 1 && channels !== 3))
    throw new CadnnError("E_INVALID_DATASET", `its shape is [${images.shape.join(", ")}]`, {
      at: imagesPath,
      hint: "Images are [count, height, width] or [count, height, width, 3].",
    });
  if (labels.shape.length !== 1 || labels.shape[0] !== count)
    throw new CadnnError("E_INVALID_DATASET", `${count} images, but labels of shape [${labels.shape.join(", ")}]`, {
      at: labelsPath,
      hint: "Give the labels that belong to these images, after the comma.",
    });
  const size = height * width * channels;
  return { kind: "idx", count, label: (i) => labels.data[i] as number, image: async (i) => image8(width, height, channels, images.data.subarray(i * size, (i + 1) * size)) };
}

async function readIdx(path: string) {
  return parseIdx(await readFile(path), path);
}

/** Square tiles, row by row, as many as there are bytes of labels. */
async function openMosaic(path: string): Promise<LabelledImages> {
  const labelsPath = join(dirname(path), `${basename(path, extname(path))}.labels`);
  const [labels, file] = await Promise.all([readFile(labelsPath), readFile(path)]);
  const mosaic = await decodeImage(file, path);
  const tile = Math.sqrt((mosaic.width * mosaic.height) / labels.length);
  if (labels.length === 0 || !Number.isInteger(tile) || mosaic.width % tile !== 0 || mosaic.height % tile !== 0)
    throw new CadnnError("E_INVALID_DATASET", `${mosaic.width}×${mosaic.height} pixels do not divide into ${labels.length} square tiles`, {
      at: path,
      hint: `The labels are in ${labelsPath}, one byte a tile.`,
    });
  const perRow = mosaic.width / tile;
  return {
    kind: "mosaic",
    count: labels.length,
    label: (i) => labels[i] as number,
    image: async (i) => crop(mosaic, (i % perRow) * tile, Math.floor(i / perRow) * tile, tile, tile),
  };
}

export interface TrainingSetOptions {
  readonly geometry: ImageGeometry;
  readonly preprocessing: Preprocessing;
  /** Outputs of the net; class k is output k + `firstClass`. */
  readonly outputs: number;
  readonly firstClass: number;
  readonly limit: number | undefined;
}

/** The images of a batch are decoded side by side, as the decoder has threads of its own. */
function lazySet(images: LabelledImages, count: number, { geometry, preprocessing, outputs, firstClass }: TrainingSetOptions): Dataset {
  const { channels, height, width } = geometry;
  const size = channels * height * width;
  const label = (i: number) => images.label(i) + firstClass;
  const shared = { inputShape: [channels, height, width] as const, classes: outputs, ...channelStatistics(preprocessing, channels) };
  return {
    count,
    inputShape: shared.inputShape,
    classes: outputs,
    label,
    async batch(indices, out, labels) {
      const bytes = new Uint8Array(indices.length * size);
      await Promise.all(Array.from(indices, async (index, n) => bytes.set(netPixels(await images.image(index), geometry, preprocessing.bgr), n * size)));
      await imageDataset({ ...shared, images: bytes, labels: Array.from(indices, label) }).batch([...new Array(indices.length).keys()], out, labels);
    },
  };
}

/** Above this, images are decoded batch by batch. */
const roomBytes = 2 ** 30;

/** Images ready for training: decoded into memory, 8 bits a channel, or where they are too many, each time that a batch is read. */
export async function trainingSet(images: LabelledImages, options: TrainingSetOptions, progress: Progress, room = roomBytes): Promise<Dataset> {
  const { geometry, preprocessing, outputs, firstClass } = options;
  const { channels, height, width } = geometry;
  const count = Math.min(images.count, options.limit ?? images.count);
  const size = channels * height * width;
  if (count * size > room) return lazySet(images, count, options);
  const data = new Uint8Array(count * size);
  for (let i = 0; i < count; i++) {
    data.set(netPixels(await images.image(i), geometry, preprocessing.bgr), i * size);
    if (i % 64 === 63) progress.update(i + 1, count, "reading images");
  }
  progress.end();
  const labels = Array.from({ length: count }, (_, i) => images.label(i) + firstClass);
  return imageDataset({ images: data, labels, inputShape: [channels, height, width], classes: outputs, ...channelStatistics(preprocessing, channels) });
}

/**
 * Reads `shift=N`, `mirror` and `warp`, separated by commas: what images are varied by. What comes in from outside is black.
 * @throws `E_INVALID_OPTION`
 */
export function parseAugmentation(text: string, preprocessing: Preprocessing, channels: 1 | 3): Augmentation {
  let augmentation: Augmentation = {};
  for (const part of text.split(",")) {
    const shift = /^shift=(\d+)$/.exec(part.trim());
    if (shift !== null) augmentation = { ...augmentation, shift: Number(shift[1]) };
    else if (part.trim() === "mirror") augmentation = { ...augmentation, flip: true };
    else if (part.trim() === "warp") augmentation = { ...augmentation, warp: mildWarp };
    else throw usage(`cannot read the augmentation "${text}"`, "--augment", "Use shift=4, mirror or warp, or several of them: shift=4,mirror.");
  }
  const { mean, std } = channelStatistics(preprocessing, channels);
  return { ...augmentation, fill: mean.map((m, c) => -m / (std[c] as number)) };
}

/** The images as the net takes them, with its preprocessing and classes as the options say. */
export async function readDataset(
  graph: Graph,
  images: LabelledImages,
  options: Options,
  { progress }: CommandContext,
  limit = options.number("limit", { integer: true, min: 1 }),
): Promise<Dataset> {
  const input = graph.inputs[0];
  const output = graph.outputs[0]?.value.type.shape;
  if (input === undefined || output === undefined || graph.inputs.length !== 1)
    throw new CadnnError("E_INVALID_GRAPH", `the net has ${graph.inputs.length} inputs`, {
      at: graph.name,
      hint: "Nets with one input, an image, can be trained here; use cadnn/train for others.",
    });
  const geometry = imageGeometry(input.type.shape, input.name);
  if (geometry.layout !== "NCHW")
    throw new CadnnError("E_SHAPE_MISMATCH", "the net takes channels last", { at: input.name, hint: "Training takes nets with inputs of shape [N, channels, height, width]." });
  const preprocessing = parsePreprocessing(options.text("preprocess") ?? "none");
  const outputs = elementCount(output) / (input.type.shape[0] ?? 1);
  const firstClass = options.number("first-class", { integer: true, min: 0 }) ?? 0;
  return trainingSet(images, { geometry, preprocessing, outputs, firstClass, limit }, progress);
}
