import { CadnnError } from "../../errors.ts";
import { createRandom, type Random } from "../../zoo/random.ts";
import type { Augmentation } from "./augment.ts";

/** How stored bytes become the net's input: x ↦ gain[c] · x − shift[c], one entry a channel. */
export interface ByteScale {
  readonly gain: readonly number[];
  readonly shift: readonly number[];
}

/** The images of a batch, one after the other: as the net's input, or as bytes. */
export type BatchImages = Float32Array | Uint8Array;

/** The ways in which an augmented data set varies an image, one of which leaves it as it is. */
export interface Variations {
  readonly count: number;
  /** Varies the n-th image of a batch in way `variation`. */
  apply(images: BatchImages, n: number, variation: number): void;
}

/** Labelled images of one size, read in batches. */
export interface Dataset {
  readonly count: number;
  /** [channels, height, width] */
  readonly inputShape: readonly number[];
  readonly classes: number;
  /** How `batch` varies images if it is given `random`. */
  readonly augmentation?: Augmentation;
  readonly variations?: Variations;
  /** Where images are stored as bytes: `batch` then takes a Uint8Array too, and writes bytes into it. */
  readonly bytes?: ByteScale;
  /** Class of image i. */
  label(index: number): number;
  /**
   * Writes the images of these indices, one after the other, and their classes. With `random` an augmented data set varies them;
   * without, it never does, and where it has `variations` it tells in `chosen` which one each image got. Data sets that read images from where they are kept give a promise.
   */
  batch(indices: ArrayLike<number>, images: BatchImages, labels: Int32Array, random?: Random, chosen?: Int32Array): void | Promise<void>;
}

/** How stored elements become the net's input: x ↦ (x · scale − mean[c]) / std[c]. */
export interface Normalization {
  /** 1/255 for bytes. */
  readonly scale?: number;
  /** One entry, or one a channel. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

export interface ImageSource extends Normalization {
  /** All images, one after the other, each [channels, height, width]. */
  readonly images: Uint8Array | Float32Array;
  readonly labels: ArrayLike<number>;
  readonly inputShape: readonly [number, number, number];
  readonly classes: number;
}

/** @throws `E_INVALID_DATASET` if sizes do not agree or a label is no class. */
export function imageDataset(source: ImageSource): Dataset {
  const { images, labels, inputShape, classes } = source;
  const [channels, height, width] = inputShape;
  const plane = height * width;
  const size = channels * plane;
  const count = labels.length;
  if (images.length !== count * size)
    throw new CadnnError("E_INVALID_DATASET", `${images.length} elements are not ${count} images of [${inputShape.join(", ")}]`, {
      at: "images",
      hint: "Images and labels must belong together.",
    });
  for (let i = 0; i < count; i++) {
    const label = labels[i] as number;
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw new CadnnError("E_INVALID_DATASET", `label ${label} of image ${i} is not one of ${classes} classes`, { at: "labels", hint: "Classes are numbered from 0." });
  }
  const gains = Array.from({ length: channels }, (_, c) => (source.scale ?? 1) / channelOf(source.std, c, 1));
  const shifts = Array.from({ length: channels }, (_, c) => channelOf(source.mean, c, 0) / channelOf(source.std, c, 1));
  return {
    count,
    inputShape,
    classes,
    ...(images instanceof Uint8Array ? { bytes: { gain: gains, shift: shifts } } : {}),
    label: (i) => labels[i] as number,
    batch(indices, out, outLabels) {
      for (let n = 0; n < indices.length; n++) {
        const index = indices[n] as number;
        outLabels[n] = labels[index] as number;
        // The engine's own conversion of a whole image is far faster than one by elements.
        out.set(images.subarray(index * size, (index + 1) * size), n * size);
        if (out instanceof Uint8Array) continue;
        for (let c = 0; c < channels; c++) {
          const gain = gains[c] as number;
          const shift = shifts[c] as number;
          const first = n * size + c * plane;
          for (let p = first; p < first + plane; p++) out[p] = (out[p] as number) * gain - shift;
        }
      }
    },
  };
}

function channelOf(values: readonly number[] | undefined, channel: number, otherwise: number): number {
  return values === undefined ? otherwise : (values[channel] ?? values[0] ?? otherwise);
}

/** Room for the images of a batch, in bytes where the data set has them. */
export function roomFor({ inputShape, bytes }: Dataset, batch: number): BatchImages {
  const size = batch * inputShape.reduce((a, b) => a * b, 1);
  return bytes === undefined ? new Float32Array(size) : new Uint8Array(size);
}

/** All images of several data sets of one kind, one after the other. @throws `E_INVALID_DATASET` if they are of different sizes or classes. */
export function joined(parts: readonly Dataset[]): Dataset {
  const [first, ...others] = parts;
  if (first === undefined || others.some((d) => d.classes !== first.classes || d.inputShape.join() !== first.inputShape.join()))
    throw new CadnnError("E_INVALID_DATASET", "the data sets do not belong together", { at: "data", hint: "Give images of one size and with the same classes." });
  if (others.length === 0) return first;
  const size = first.inputShape.reduce((a, b) => a * b, 1);
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, d) => sum + d.count, 0));
  const partOf = (index: number) => starts.findLastIndex((start) => index >= start);
  const alike = parts.every((d) => JSON.stringify(d.bytes) === JSON.stringify(first.bytes));
  return {
    ...(first.bytes !== undefined && alike ? { bytes: first.bytes } : {}),
    count: parts.reduce((sum, d) => sum + d.count, 0),
    inputShape: first.inputShape,
    classes: first.classes,
    label: (i) => (parts[partOf(i)] as Dataset).label(i - (starts[partOf(i)] as number)),
    async batch(indices, images, labels, random) {
      await Promise.all(
        Array.from(indices, (index, n) => {
          const part = partOf(index);
          return (parts[part] as Dataset).batch([index - (starts[part] as number)], images.subarray(n * size, (n + 1) * size), labels.subarray(n, n + 1), random);
        }),
      );
    },
  };
}

/** The images of these indices, in this order. */
export function subset(dataset: Dataset, indices: readonly number[]): Dataset {
  const picked = Int32Array.from(indices);
  return {
    ...dataset,
    count: picked.length,
    label: (i) => dataset.label(picked[i] as number),
    batch: (wanted, images, labels, random, chosen) =>
      dataset.batch(
        Array.from(wanted, (i) => picked[i] as number),
        images,
        labels,
        random,
        chosen,
      ),
  };
}

/**
 * Splits off `heldOut` images (a count, or a share below 1), chosen at random but with the classes in proportion. Equal seeds give
 * equal splits.
 */
export function split(dataset: Dataset, heldOut: number, seed = 1): { readonly train: Dataset; readonly heldOut: Dataset } {
  const wanted = heldOut < 1 ? Math.round(heldOut * dataset.count) : heldOut;
  if (!(wanted > 0 && wanted < dataset.count))
    throw new CadnnError("E_INVALID_OPTION", `cannot hold out ${heldOut} of ${dataset.count} images`, {
      at: "heldOut",
      hint: "Give a count below that of the images, or a share below 1.",
    });
  // Sort all images by class, shuffled within, and spread the held-out ones evenly over that order.
  const order = shuffled(dataset.count, createRandom(seed, "split"));
  const sorted = [...order].map((index) => ({ index, label: dataset.label(index) })).sort((a, b) => a.label - b.label);
  const train: number[] = [];
  const held: number[] = [];
  sorted.forEach(({ index }, i) => {
    const isHeld = Math.floor(((i + 1) * wanted) / dataset.count) > Math.floor((i * wanted) / dataset.count);
    (isHeld ? held : train).push(index);
  });
  return {
    train: subset(
      dataset,
      train.sort((a, b) => a - b),
    ),
    heldOut: subset(
      dataset,
      held.sort((a, b) => a - b),
    ),
  };
}

/** A random permutation of 0 … count − 1 (Fisher and Yates). */
export function shuffled(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    const t = order[i] as number;
    order[i] = order[j] as number;
    order[j] = t;
  }
  return order;
}
