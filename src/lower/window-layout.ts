import type { Node, Value } from "../ir/graph.ts";
import { isSplit, type Layout, paddedPlanes, tapOffset } from "./layout.ts";

/** Geometry of a 2-D window op: convolution, pooling and their gradients. */
export interface Window {
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
}

const pair = (a: unknown, fill: number): readonly [number, number] => {
  const [y = fill, x = fill] = (a ?? []) as readonly number[];
  return [y, x];
};

export function windowOf(attrs: Readonly<Record<string, unknown>>, kernel: readonly number[]): Window {
  const [top = 0, left = 0, bottom = 0, right = 0] = (attrs.pads ?? []) as readonly number[];
  return { kernel: pair(kernel, 1), strides: pair(attrs.strides, 1), dilations: pair(attrs.dilations, 1), pads: [top, left, bottom, right] };
}

/** Pads below and to the right that the windows of an output of this size really reach (with ceilMode more, else perhaps less). */
export function reachedPads(window: Window, input: readonly number[], output: readonly number[]): Window {
  const [h, w] = input.slice(2) as [number, number];
  const [oh, ow] = output.slice(2) as [number, number];
  const reach = (o: number, i: 0 | 1) => (o - 1) * window.strides[i] + (window.kernel[i] - 1) * window.dilations[i] + 1;
  const [top, left] = window.pads;
  return { ...window, pads: [top, left, Math.max(0, reach(oh, 0) - top - h), Math.max(0, reach(ow, 1) - left - w)] };
}

const isUnit = (w: Window): boolean => w.strides[0] === 1 && w.strides[1] === 1 && w.pads.every((p) => p === 0);

/** The layout in which every tap of the window is one offset: padded planes, split into phases if the stride asks for it. */
export function windowLayout(shape: readonly number[], window: Window, lanes: number, padValue: number): Layout | undefined {
  if (isUnit(window)) return undefined;
  const [top, left, bottom, right] = window.pads;
  const [sh, sw] = window.strides;
  return paddedPlanes(shape, { top, left, bottom, right, sh, sw, value: padValue }, lanes);
}

/**
 * The layout that sliding kernels (depthwise, pooling) read: they step by 1 or 2 columns themselves, where neighbours in memory are
 * neighbours in a row, so that planes need no splitting, and then mask what lies outside of planes, so that these need no padding. `rowStep` and
 * `columnStep` tell how they step. With the batch innermost and strides (`pixelwise`) each pixel is a row of its own.
 */
export function slidingLayout(
  shape: readonly number[],
  window: Window,
  lanes: number,
  padValue: number,
): { readonly layout: Layout | undefined; readonly rowStep: number; readonly columnStep: 1 | 2; readonly masks: boolean; readonly pixelwise: boolean } {
  const [sh, sw] = window.strides;
  const plain = { rowStep: 1, columnStep: 1, masks: false, pixelwise: false } as const;
  if (lanes > 1 && sh * sw > 1) return { ...plain, layout: windowLayout(shape, { ...window, strides: [1, 1] }, lanes, padValue), pixelwise: true };
  if (lanes > 1 || sw > 2) return { ...plain, layout: windowLayout(shape, window, lanes, padValue) };
  return { layout: undefined, rowStep: sh, columnStep: sw === 2 ? 2 : 1, masks: !isUnit(window), pixelwise: false };
}

/** Row and column of each tap, row by row, from a window's corner. */
export function windowPlaces({ kernel: [kh, kw], dilations: [dy, dx] }: Window): [number, number][] {
  return Array.from({ length: kh * kw }, (_, t) => [Math.floor(t / kw) * dy, (t % kw) * dx]);
}

/** Offset of each tap, row by row, from a plane's padded corner. */
export function windowTaps(layout: Layout, window: Window): number[] {
  return windowPlaces(window).map(([y, x]) => tapOffset(layout, y, x));
}

export function isDepthwise(input: readonly number[], weight: readonly number[], group: number): boolean {
  return group > 1 && group === input[1] && weight[1] === 1 && (weight[0] as number) % group === 0;
}

/** Whether a node is a convolution of 1×1 windows in one group, of any stride. */
export function isPointwise(node: Node): boolean {
  const weight = node.inputs[1]?.type.shape;
  return (node.op === "Conv" || node.op === "FusedConv") && node.attrs.group === 1 && weight?.length === 4 && weight[2] === 1 && weight[3] === 1;
}

/** What a node would like its input 0 to look like; undefined if it takes it compact. */
export function wishedLayout(node: Node, lanes: number): Layout | undefined {
  const x = node.inputs[0];
  const y = node.outputs[0];
  if (x === undefined || y === undefined || x.type.shape.length !== 4) return undefined;
  switch (node.op) {
    case "Conv":
    case "FusedConv": {
      const weight = (node.inputs[1] as Value).type.shape;
      const window = reachedPads(windowOf(node.attrs, weight.slice(2)), x.type.shape, y.type.shape);
      return isDepthwise(x.type.shape, weight, node.attrs.group as number) ? slidingLayout(x.type.shape, window, lanes, 0).layout : windowLayout(x.type.shape, window, lanes, 0);
    }
    case "MaxPool":
    case "AveragePool":
      return slidingLayout(
        x.type.shape,
        reachedPads(windowOf(node.attrs, node.attrs.kernel as readonly number[]), x.type.shape, y.type.shape),
        lanes,
        node.op === "MaxPool" ? Number.NEGATIVE_INFINITY : 0,
      ).layout;
    default:
      return undefined;
  }
}

/** The common wish of all consumers, if they agree and the producer can write it directly: few write `phases`. */
export function commonWish(value: Value, consumers: readonly Node[], lanes: number, phases = false): Layout | undefined {
  let common: Layout | undefined;
  for (const node of consumers) {
    const wish = node.inputs.indexOf(value) === 0 && node.inputs.lastIndexOf(value) === 0 ? wishedLayout(node, lanes) : undefined;
    if (wish === undefined || (!phases && isSplit(wish))) return undefined;
    if (common !== undefined && JSON.stringify(common) !== JSON.stringify(wish)) return undefined;
    common = wish;
  }
  return common;
}
