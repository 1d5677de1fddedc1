import { median, round } from "../src/cli/format.ts";
import { isDepthwise, type LayerShape, type LayerWeights, outputSize } from "./shapes.ts";

/** What is expected to run equally well. `winograd`: whether multiplications are saved, so that the share of the peak may exceed 1. */
export function classOf(shape: LayerShape, weights: LayerWeights, winograd: boolean): string {
  if (shape.kind === "max-pool" || shape.kind === "average-pool") return "pooling";
  const kind = weights.sparsity === 0 ? "dense" : weights.blockRows === 2 ? "sparse, 2×1 blocks" : "sparse";
  if (shape.kind === "fc") return `fully connected, ${kind}`;
  if (isDepthwise(shape)) return "depthwise";
  if (winograd) return "dense, Winograd";
  if (shape.channels <= 3) return "dense, first layer";
  const [h, w] = outputSize(shape);
  return `${kind}, ${h * w >= 196 ? "≥ 196" : "< 196"} pixels`;
}

export interface ClassSummary {
  readonly class: string;
  readonly net: string;
  readonly layers: number;
  /** Shares of the peak, each layer by its least time. */
  readonly min: number;
  readonly median: number;
  /** Of all its time together, each layer as often as the net has it. */
  readonly overall: number;
}

export interface Classified {
  readonly net: string;
  readonly class: string;
  readonly count: number;
  readonly macs: number;
  readonly minUs: number;
  readonly ofPeak: number;
}

/** One row a class of all nets, then one a net and class. */
export function summarize(layers: readonly Classified[]): ClassSummary[] {
  const nets = [...new Set(layers.map((l) => l.net))];
  const classes = [...new Set(layers.map((l) => l.class))].sort();
  return (nets.length > 1 ? [undefined, ...nets] : nets).flatMap((net) =>
    classes.flatMap((name): ClassSummary[] => {
      const own = layers.filter((l) => l.class === name && (net === undefined || l.net === net));
      if (own.length === 0) return [];
      const shares = own.map((l) => l.ofPeak);
      const time = own.reduce((sum, l) => sum + l.count * l.minUs, 0);
      const atPeak = own.reduce((sum, l) => sum + l.count * l.minUs * l.ofPeak, 0);
      return [{ class: name, net: net ?? "all", layers: own.length, min: round(Math.min(...shares)), median: round(median(shares)), overall: round(atPeak / time) }];
    }),
  );
}

/** How much faster one way is than another, on the same layers. */
export interface Gain {
  readonly what: string;
  readonly net: string;
  readonly layers: number;
  readonly min: number;
  readonly median: number;
}

const comparisons = [
  { what: "Winograd over direct", faster: /^dense, Winograd/, slower: /^dense(?!, Winograd)/ },
  { what: "2×1 blocks over single zeros", faster: /^sparse, 2×1/, slower: /^sparse(?!, 2×1)/ },
] as const;

/** Compares what was measured of the same layer. */
export function gainsOf(layers: readonly (Classified & { readonly layer: string })[]): Gain[] {
  return comparisons.flatMap(({ what, faster, slower }) => {
    const pairs = layers.flatMap((fast) => {
      const slow = faster.test(fast.class) ? layers.find((l) => l.net === fast.net && l.layer === fast.layer && slower.test(l.class)) : undefined;
      // By multiply-adds a second: blocks may keep a few weights more or less.
      return slow === undefined ? [] : [{ net: fast.net, ratio: fast.macs / fast.minUs / (slow.macs / slow.minUs) }];
    });
    const nets = [...new Set(pairs.map((p) => p.net))];
    return (nets.length > 1 ? [undefined, ...nets] : nets).map((net): Gain => {
      const ratios = pairs.filter((p) => net === undefined || p.net === net).map((p) => p.ratio);
      return { what, net: net ?? "all", layers: ratios.length, min: round(Math.min(...ratios)), median: round(median(ratios)) };
    });
  });
}
