import { invariant } from "../errors.ts";
import type { Attrs, Graph, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, tensorType } from "../ir/types.ts";
import { GraphBuilder } from "../ops/builder.ts";
import { createRandom, type Random } from "./random.ts";

/** What a zoo net is made with. */
export interface ZooOptions {
  /** Share of zeros, 0 ≤ s < 1, in the weights of every convolution and FC layer but the first convolution and depthwise ones. Default 0. */
  readonly sparsity?: number;
  /** Equal seeds give equal weights. Default 1. */
  readonly seed?: number;
  /** Size of the batch dimension. Default 1. */
  readonly batch?: number;
}

/** A value together with an estimate of its elements' distribution, from which the next layer's scale follows. */
export interface Signal {
  readonly value: Value;
  readonly mean: number;
  readonly variance: number;
}

/** The mean square of the elements. */
const powerOf = ({ mean, variance }: Signal): number => mean * mean + variance;

/** Mean and variance of max(0, x) for normal x, with the normal distribution function in its logistic approximation. */
function rectified({ mean, variance }: Signal): { readonly mean: number; readonly variance: number } {
  const s = Math.sqrt(variance);
  const z = mean / s;
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  const below = 1 / (1 + Math.exp(-1.5976 * z - 0.070566 * z ** 3));
  const m = mean * below + s * density;
  return { mean: m, variance: (mean * mean + variance) * below + mean * s * density - m * m };
}

export interface ConvOptions {
  readonly kernel: number | readonly [number, number];
  readonly stride?: number;
  /** Symmetric padding; default 0. */
  readonly pad?: number | readonly [number, number];
  readonly groups?: number;
  /** Default false: a BatchNormalization follows. */
  readonly bias?: boolean;
}

export interface PoolOptions {
  readonly kernel: number;
  readonly stride: number;
  readonly pad?: number;
}

/** Layers that append themselves to one graph, each with weights of its own seeded stream. */
export type Layers = ReturnType<typeof createLayers>;

export function createLayers(netName: string, options: ZooOptions) {
  const builder = new GraphBuilder(netName);
  const seed = options.seed ?? 1;
  const sparsity = options.sparsity ?? 0;
  let convs = 0;

  const node = (op: string, name: string, inputs: readonly Value[], attrs: Attrs = {}): Value => builder.add(op, inputs, attrs, name);
  const constant = (name: string, shape: readonly number[], data: Float32Array): Value => builder.constant(name, float32Tensor(shape, data));

  function weight(name: string, shape: readonly number[], std: number, prunable: boolean): Value {
    return constant(name, shape, randomWeights(createRandom(seed, name), elementCount(shape), std, prunable ? sparsity : 0));
  }

  function noise(name: string, count: number, std: number): Value {
    return weight(name, [count], std, false);
  }

  /** Standard normal pixels are expected. */
  function input(channels: number, size: number): Signal {
    return { value: builder.input("input", tensorType("float32", [options.batch ?? 1, channels, size, size])), mean: 0, variance: 1 };
  }

  /** He initialization: the variance of a weight is 2 / (inputs of an output), so that a ReLU after it restores the power. */
  function conv(x: Signal, name: string, filters: number, { kernel, stride = 1, pad = 0, groups = 1, bias = false }: ConvOptions): Signal {
    const channels = x.value.type.shape[1] as number;
    const [kh, kw] = typeof kernel === "number" ? [kernel, kernel] : kernel;
    const [ph, pw] = typeof pad === "number" ? [pad, pad] : pad;
    const fanIn = (channels / groups) * kh * kw;
    const depthwise = groups > 1 && groups === channels;
    const w = weight(`${name}.weight`, [filters, channels / groups, kh, kw], Math.sqrt(2 / fanIn), convs++ > 0 && !depthwise);
    const b = bias ? [noise(`${name}.bias`, filters, 0.05)] : [];
    const value = node("Conv", name, [x.value, w, ...b], { strides: [stride, stride], pads: [ph, pw, ph, pw], dilations: [1, 1], group: groups });
    return { value, mean: 0, variance: 2 * powerOf(x) };
  }

  /** Running statistics scattered about the true ones; `gain` scales the result. */
  function batchNorm(x: Signal, name: string, epsilon = 1e-5): Signal {
    const channels = x.value.type.shape[1] as number;
    const random = createRandom(seed, name);
    const fill = (make: () => number) => Float32Array.from({ length: channels }, make);
    const scale = fill(() => 0.7 + 0.6 * random.uniform());
    const bias = fill(() => 0.1 * random.normal());
    const mean = fill(() => 0.1 * Math.sqrt(x.variance) * random.normal());
    const variance = fill(() => x.variance * (0.8 + 0.45 * random.uniform()));
    const parts = (["weight", "bias", "running_mean", "running_var"] as const).map((part, i) =>
      constant(`${name}.${part}`, [channels], [scale, bias, mean, variance][i] as Float32Array),
    );
    return { value: node("BatchNormalization", name, [x.value, ...parts], { epsilon }), mean: 0, variance: 1 };
  }

  /** `scale`: the standard deviation of a weight is √(scale / inputs); 2 before a ReLU, else what gives outputs of unit variance. */
  function linear(x: Signal, name: string, outputs: number, before: "relu" | "output"): Signal {
    const inputs = x.value.type.shape[1] as number;
    const variance = before === "relu" ? 2 / inputs : 1 / (inputs * powerOf(x));
    const w = weight(`${name}.weight`, [outputs, inputs], Math.sqrt(variance), true);
    const value = node("Gemm", name, [x.value, w, noise(`${name}.bias`, outputs, 0.05)], { alpha: 1, beta: 1, transA: false, transB: true });
    return { value, mean: 0, variance: variance * inputs * powerOf(x) };
  }

  const relu = (x: Signal, name: string): Signal => ({ value: node("Relu", name, [x.value]), ...rectified(x) });
  const relu6 = (x: Signal, name: string): Signal => ({ value: node("Clip", name, [x.value], { min: 0, max: 6 }), ...rectified(x) });
  const add = (a: Signal, b: Signal, name: string): Signal => ({ value: node("Add", name, [a.value, b.value]), mean: a.mean + b.mean, variance: a.variance + b.variance });

  function concat(parts: readonly Signal[], name: string): Signal {
    const value = node(
      "Concat",
      name,
      parts.map((p) => p.value),
      { axis: 1 },
    );
    const channels = (p: Signal) => p.value.type.shape[1] as number;
    const average = (of: (p: Signal) => number) => parts.reduce((sum, p) => sum + of(p) * channels(p), 0) / parts.reduce((sum, p) => sum + channels(p), 0);
    const mean = average((p) => p.mean);
    return { value, mean, variance: average(powerOf) - mean * mean };
  }

  function maxPool(x: Signal, name: string, { kernel, stride, pad = 0 }: PoolOptions): Signal {
    const attrs = { kernel: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad], dilations: [1, 1], ceilMode: false };
    return { value: node("MaxPool", name, [x.value], attrs), mean: x.mean + Math.sqrt(x.variance), variance: 0.7 * x.variance };
  }

  function averagePool(x: Signal, name: string, { kernel, stride, pad = 0 }: PoolOptions): Signal {
    const attrs = { kernel: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad], dilations: [1, 1], ceilMode: false, countIncludePad: true };
    return { value: node("AveragePool", name, [x.value], attrs), mean: x.mean, variance: 0.4 * x.variance };
  }

  const globalAveragePool = (x: Signal, name: string): Signal => ({ value: node("GlobalAveragePool", name, [x.value]), mean: x.mean, variance: 0.2 * x.variance });

  const localResponseNorm = (x: Signal, name: string): Signal => ({
    value: node("LRN", name, [x.value], { alpha: 1e-4, beta: 0.75, bias: 1, size: 5 }),
    mean: x.mean,
    variance: x.variance,
  });

  function flatten(x: Signal, name: string): Signal {
    const [n = 1, ...rest] = x.value.type.shape;
    return { value: node("Reshape", name, [x.value], { shape: [n, elementCount(rest)] }), mean: x.mean, variance: x.variance };
  }

  function finish(x: Signal): Graph {
    builder.output("logits", x.value);
    return builder.finish();
  }

  return { input, conv, batchNorm, linear, relu, relu6, add, concat, maxPool, averagePool, globalAveragePool, localResponseNorm, flatten, finish };
}

/** `count` normal weights, exactly round(sparsity · count) of them 0 at random places and the others scaled by 1/√(1 − sparsity), so that sums keep their variance. */
export function randomWeights(random: Random, count: number, std: number, sparsity: number): Float32Array {
  invariant(sparsity >= 0 && sparsity < 1, `sparsity ${sparsity}`);
  const weights = new Float32Array(count);
  const scale = std / Math.sqrt(1 - sparsity);
  for (let i = 0; i < count; i++) weights[i] = scale * random.normal() || scale;
  // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
  let zeros = Math.round(sparsity * count);
  for (let i = 0; i < count && zeros > 0; i++)
    if (random.uniform() * (count - i) < zeros) {
      weights[i] = 0;
      zeros--;
    }
  return weights;
}
