import { encodeConstant } from "../artifact/constant-codec.ts";
import type { Graph } from "../ir/graph.ts";
import { weightRoles } from "../train/training-graph.ts";
import { type Layer, weightLayers } from "./layers.ts";

/** What a compressed net takes, in bits. Papers often count the first line alone. */
export interface StorageReport {
  /** Of the weights that are kept, without their positions. */
  readonly values: number;
  /** Σ log₂ (n choose k) over layers of n weights, k of them kept: no code for positions that are anywhere takes less. */
  readonly positions: number;
  /** Weights as a `.cadnn` file stores them, positions and levels included. */
  readonly stored: number;
  /** Biases, BatchNorm, and one scale for each layer on levels, all float32. */
  readonly others: number;
  /** 32 bits for each weight of the original net over `values`. */
  readonly weightsOnlyRatio: number;
  /** All parameters of the original net as float32 over `values`, `positions` and `others`. */
  readonly honestRatio: number;
  /** The same over `stored` and `others`. */
  readonly storedRatio: number;
}

/** `bits` of the weights of each layer; 32 where they are floats. */
export function storageOf(graph: Graph, original: Graph, bits: (layer: Layer, index: number) => number | undefined = () => undefined): StorageReport {
  const layers = weightLayers(graph);
  let [values, positions, stored, others] = [0, 0, 0, 0];
  for (const [index, layer] of layers.entries()) {
    const data = layer.value.data as Float32Array;
    const kept = data.reduce((n, v) => n + Number(v !== 0), 0);
    const width = bits(layer, index);
    values += kept * (width ?? 32);
    positions += logBinomial(data.length, kept);
    stored += 8 * encodeConstant(data, "float32", layer.shape).bytes.byteLength;
    others += width === undefined ? 0 : 32;
  }
  const parametersOf = (net: Graph) => [...weightRoles(net).keys()].reduce((sum, { data }) => sum + data.length, 0);
  const weightsOf = (net: Graph) => weightLayers(net).reduce((sum, { count }) => sum + count, 0);
  others += 32 * (parametersOf(graph) - weightsOf(graph));
  const dense = 32 * parametersOf(original);
  return {
    values,
    positions: Math.ceil(positions),
    stored,
    others,
    weightsOnlyRatio: (32 * weightsOf(original)) / values,
    honestRatio: dense / (values + Math.ceil(positions) + others),
    storedRatio: dense / (stored + others),
  };
}

/** log₂ (n choose k) */
export function logBinomial(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= Math.min(k, n - k); i++) sum += Math.log2((n - Math.min(k, n - k) + i) / i);
  return sum;
}
