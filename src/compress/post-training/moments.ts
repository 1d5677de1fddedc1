import { createRandom, type Random } from "../../zoo/random.ts";
import { type LinearAlgebra, type Matrix, matrixSize, padded } from "../linear/algebra.ts";
import { type Columns, columnsOf, type LinearLayer } from "./targets.ts";

/** Second moments of one group of a layer, about the means where `centred`: X inputs in the compressed net, Y outputs in the dense one. */
export interface Moments {
  /** [K, K] X Xᵀ / n */
  readonly gram: Matrix;
  /** [M, K] Y Xᵀ / n */
  readonly cross: Matrix;
  /** Of each output, Y² / n. */
  readonly energy: Float64Array;
  readonly meanX: Float64Array;
  readonly meanY: Float64Array;
  readonly samples: number;
}

export interface MomentsCollector {
  /** Takes in the images of a batch: x of the compressed net, y of the dense one, `images` of them. */
  add(x: Float32Array, y: Float32Array, images: number): void;
  finish(centred: boolean): Moments[];
}

const chunk = 512;

/** Elements of the matrices that collecting takes. */
export function momentsSize({ layer, groups }: LinearLayer): number {
  const k = layer.matrix.inputs * layer.matrix.taps;
  const m = layer.matrix.outputs / groups;
  return groups * (matrixSize(k, k) + matrixSize(m, k)) + matrixSize(k, chunk) + matrixSize(m, chunk);
}

/**
 * Adds up X Xᵀ and Y Xᵀ in double precision over images and positions, in chunks, so that memory does not grow with their number. Of
 * each image's positions a random part is taken where there are more than `samples` in all.
 */
export function collectMoments(
  algebra: LinearAlgebra,
  target: LinearLayer,
  options: { readonly batch: number; readonly images: number; readonly samples: number; readonly seed: number },
): MomentsCollector {
  const { layer, groups } = target;
  const k = layer.matrix.inputs * layer.matrix.taps;
  const m = layer.matrix.outputs / groups;
  const columns: Columns = columnsOf(target, options.batch);
  const perRow = Math.max(1, Math.min(columns.positions, Math.ceil(options.samples / (options.images * columns.rowsPerImage))));
  const random = createRandom(options.seed, `positions ${layer.name}`);
  const moments = Array.from({ length: groups }, () => ({
    gram: algebra.matrix(k, k),
    cross: algebra.matrix(m, k),
    energy: new Float64Array(m),
    meanX: new Float64Array(k),
    meanY: new Float64Array(m),
  }));
  const x = algebra.matrix(k, chunk);
  const y = algebra.matrix(m, chunk);
  const order = Int32Array.from({ length: columns.positions }, (_, i) => i);
  let samples = 0;

  const flush = (xs: Float32Array, ys: Float32Array, rows: Int32Array, places: Int32Array, count: number): void => {
    const width = padded(count);
    moments.forEach((group, g) => {
      for (let i = 0; i < k; i++) {
        const at = i * x.stride;
        columns.readInput(xs, g, i, rows, places, count, x.data, at);
        x.data.fill(0, at + count, at + width);
        group.meanX[i] = (group.meanX[i] as number) + sumOf(x.data, at, count);
      }
      for (let i = 0; i < m; i++) {
        const at = i * y.stride;
        columns.readOutput(ys, g * m + i, rows, places, count, y.data, at);
        y.data.fill(0, at + count, at + width);
        group.meanY[i] = (group.meanY[i] as number) + sumOf(y.data, at, count);
        let squares = 0;
        for (let j = at; j < at + count; j++) squares += (y.data[j] as number) ** 2;
        group.energy[i] = (group.energy[i] as number) + squares;
      }
      algebra.addProduct(x, x, group.gram, width, { lower: true });
      algebra.addProduct(y, x, group.cross, width);
    });
    samples += count;
  };

  return {
    add(xs, ys, images) {
      const rows = new Int32Array(chunk);
      const places = new Int32Array(chunk);
      let count = 0;
      for (let row = 0; row < images * columns.rowsPerImage; row++) {
        if (perRow < order.length) shuffleFirst(order, perRow, random);
        for (let p = 0; p < perRow; p++) {
          rows[count] = row;
          places[count++] = order[p] as number;
          if (count === chunk) {
            flush(xs, ys, rows, places, count);
            count = 0;
          }
        }
      }
      if (count > 0) flush(xs, ys, rows, places, count);
    },
    finish(centred) {
      for (const group of moments) normalize(group, samples, centred);
      return moments.map((group) => ({ ...group, samples }));
    },
  };
}

/** Brings `count` of the numbers to the front, all choices being equally likely (Fisher and Yates's shuffle, begun). */
function shuffleFirst(order: Int32Array, count: number, random: Random): void {
  for (let i = 0; i < count; i++) {
    const j = i + Math.floor(random.uniform() * (order.length - i));
    const [a, b] = [order[i] as number, order[j] as number];
    order[i] = b;
    order[j] = a;
  }
}

/** Sums ⇒ moments, about the means if wanted; the Gram matrix's upper triangle from its lower. */
function normalize({ gram, cross, energy, meanX, meanY }: Omit<Moments, "samples">, samples: number, centred: boolean): void {
  for (const means of [meanX, meanY]) means.forEach((sum, i) => (means[i] = sum / samples));
  const about = (i: number, means: Float64Array): number => (centred ? (means[i] as number) : 0);
  for (let i = 0; i < gram.rows; i++)
    for (let j = 0; j <= i; j++) {
      const value = (gram.data[i * gram.stride + j] as number) / samples - about(i, meanX) * about(j, meanX);
      gram.data[i * gram.stride + j] = value;
      gram.data[j * gram.stride + i] = value;
    }
  for (let i = 0; i < cross.rows; i++) {
    for (let j = 0; j < cross.columns; j++) cross.data[i * cross.stride + j] = (cross.data[i * cross.stride + j] as number) / samples - about(i, meanY) * about(j, meanX);
    energy[i] = (energy[i] as number) / samples - about(i, meanY) ** 2;
  }
}

function sumOf(data: Float64Array, from: number, count: number): number {
  let sum = 0;
  for (let i = from; i < from + count; i++) sum += data[i] as number;
  return sum;
}
