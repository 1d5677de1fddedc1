import type { Node, Value } from "../ir/graph.ts";
import type { RewriteBuilder } from "./rewrites.ts";

/**
 * The transpose of a convolution with filters w [M, C / group, …]: y [N, M, …] is dilated by the stride, then convolved with the flipped
 * filters, channels exchanged. Gives a value of `shape`.
 */
export function transposedConv(b: RewriteBuilder, y: Value, w: Value, bias: Value | undefined, attrs: Node["attrs"], shape: readonly number[]): Value {
  const group = attrs.group as number;
  const { strides, dilations, pads } = attrs as { strides: readonly number[]; dilations: readonly number[]; pads: readonly number[] };
  const [m, , ...kernel] = w.type.shape as [number, number, ...number[]];
  const [n, , ...plane] = y.type.shape as [number, number, ...number[]];
  const ones = kernel.map(() => 1);
  const size = plane.map((d, i) => (d - 1) * (strides[i] as number) + 1);
  const dilated = strides.every((s) => s === 1) ? y : b.add("Dilate", [y], { starts: y.type.shape.map(() => 0), steps: [1, 1, ...strides], shape: [n, m, ...size] });
  const exchanged = exchangeChannels(b, w, group);
  const flip = { starts: [0, 0, ...kernel.map((k) => k - 1)], sizes: exchanged.type.shape, steps: [1, 1, ...kernel.map(() => -1)] };
  const flipped = kernel.every((k) => k === 1) ? exchanged : b.add("Slice", [exchanged], flip);
  const reach = kernel.map((k, i) => (dilations[i] as number) * (k - 1));
  const begin = reach.map((r, i) => r - (pads[i] as number));
  const end = reach.map((r, i) => (shape[i + 2] as number) + r - (size[i] as number) - (begin[i] as number));
  const around = [...begin, ...end];
  const crop = [0, 0, ...begin, 0, 0, ...end].map((p) => Math.min(0, p));
  const source = around.some((p) => p < 0) ? b.add("Pad", [dilated], { pads: crop, value: 0, mode: "constant" }) : dilated;
  return b.add("Conv", [source, flipped, bias], { strides: ones, pads: around.map((p) => Math.max(0, p)), dilations: [...dilations], group });
}

/** [M, C / g, …] → [C, M / g, …], group by group. */
function exchangeChannels(b: RewriteBuilder, w: Value, group: number): Value {
  const [m, perGroup, ...kernel] = w.type.shape as [number, number, ...number[]];
  const rest = kernel.map((_, i) => i);
  if (group === 1) return b.add("Transpose", [w], { perm: [1, 0, ...rest.map((i) => i + 2)] });
  const split = b.add("Reshape", [w], { shape: [group, m / group, perGroup, ...kernel] });
  const swapped = b.add("Transpose", [split], { perm: [0, 2, 1, ...rest.map((i) => i + 3)] });
  return b.add("Reshape", [swapped], { shape: [perGroup * group, m / group, ...kernel] });
}
