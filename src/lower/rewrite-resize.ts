import { e } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, int64Tensor } from "../ir/types.ts";
import { type ResizeAttrs, type ResizeTap, resizeTaps } from "../ops/resize.ts";
import type { RewriteBuilder } from "./rewrites.ts";

/** Resizing is separable: along each axis a gather where each element comes from one, else a 1×1 convolution in which the axis is the channels: few of its weights are not 0. */
export function resize(b: RewriteBuilder, node: Node): readonly Value[] {
  const attrs = node.attrs as unknown as ResizeAttrs;
  const cropped = (axis: number) => attrs.coordinateMode === "tf_crop_and_resize" && (attrs.roi[axis] !== 0 || attrs.roi[axis + attrs.sizes.length] !== 1);
  let current = node.inputs[0] as Value;
  for (const axis of attrs.sizes.keys()) {
    const extent = current.type.shape[axis] as number;
    if (attrs.scales[axis] === 1 && attrs.sizes[axis] === extent && !cropped(axis)) continue;
    const taps = resizeTaps(axis, extent, attrs);
    current = taps.every((t) => t.weights?.length === 1) ? gather(b, current, axis, taps) : product(b, current, axis, taps, attrs.extrapolationValue);
  }
  return [current];
}

/** The nearest element of the axis. */
const inside = (position: number, extent: number): number => Math.min(Math.max(position, 0), extent - 1);

function gather(b: RewriteBuilder, x: Value, axis: number, taps: readonly ResizeTap[]): Value {
  const extent = x.type.shape[axis] as number;
  const positions = taps.map((tap) => inside(tap.first, extent));
  return b.add("Gather", [x, b.constant(`positions${axis}`, int64Tensor([taps.length], positions))], { axis });
}

function product(b: RewriteBuilder, x: Value, axis: number, taps: readonly ResizeTap[], extrapolated: number): Value {
  const { shape } = x.type;
  const extent = shape[axis] as number;
  const matrix = new Float64Array(taps.length * extent);
  for (const [row, { first, weights = [] }] of taps.entries())
    for (const [k, weight] of weights.entries()) {
      const at = row * extent + inside(first + k, extent);
      matrix[at] = (matrix[at] as number) + weight;
    }
  const weights = b.constant(`axis${axis}`, float32Tensor([taps.length, extent, 1, 1], Float32Array.from(matrix)));
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const [rows, inner] = [elementCount(before), elementCount(after)];
  const out = [...before, taps.length, ...after];
  const convolved = (planes: Value) => b.add("Conv", [planes, weights], { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 });
  const result = inner === 1 ? alongLast(b, x, rows, extent, convolved) : convolved(b.add("Reshape", [x], { shape: [rows, extent, 1, inner] }));
  const resized = b.add("Reshape", [result], { shape: out });
  if (extrapolated === 0 || taps.every((t) => t.weights !== undefined)) return resized;
  const outside = taps.map(({ weights: w }) => (w === undefined ? extrapolated : 0));
  const shift = b.constant(`outside${axis}`, float32Tensor([taps.length, ...after.map(() => 1)], outside));
  return b.add("Map", [resized, shift], { expr: e.add(e.input(0), e.input(1)) });
}

/** The last axis has to become the channels, and all before it the pixels. */
function alongLast(b: RewriteBuilder, x: Value, rows: number, extent: number, convolved: (planes: Value) => Value): Value {
  const turned = (v: Value, shape: readonly number[]) => b.add("Transpose", [b.add("Reshape", [v], { shape })], { perm: [1, 0] });
  const columns = turned(x, [rows, extent]);
  const result = convolved(b.add("Reshape", [columns], { shape: [1, extent, 1, rows] }));
  return turned(result, [result.type.shape[1] as number, rows]);
}
