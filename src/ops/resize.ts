import { CadnnError } from "../errors.ts";
import { elementCount, type Tensor, type TensorType } from "../ir/types.ts";
import { fromNumbers, numbersOf, numericTypes } from "./numbers.ts";
import { defineOp, expectDType, required } from "./op.ts";

const resizeModes = ["nearest", "linear", "cubic"] as const;
const nearestModes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] as const;
const coordinateModes = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"] as const;
export type ResizeMode = (typeof resizeModes)[number];
export type NearestMode = (typeof nearestModes)[number];
export type CoordinateMode = (typeof coordinateModes)[number];
/** One scale and size a dimension. `sizes` is the shape of the output. */
export type ResizeAttrs = {
  readonly scales: readonly number[];
  readonly sizes: readonly number[];
  readonly mode: ResizeMode;
  readonly coordinateMode: CoordinateMode;
  readonly nearestMode: NearestMode;
  readonly cubicCoeff: number;
  readonly excludeOutside: boolean;
  readonly extrapolationValue: number;
  /** For tf_crop_and_resize: all starts, then all ends, in units of the input's extents; else empty. */
  readonly roi: readonly number[];
  readonly antialias: boolean;
};

/** The inputs that one position of the output is made of; `weights` undefined where it lies outside and is extrapolated. */
export interface ResizeTap {
  /** May lie outside of the axis; the nearest element counts. */
  readonly first: number;
  readonly weights: readonly number[] | undefined;
}

/** Where output position `x` lies on an input axis, in elements. */
function sourceCoordinate(x: number, axis: number, extent: number, attrs: ResizeAttrs): number {
  const scale = attrs.scales[axis] as number;
  const length = scale * extent; // not rounded, as ONNX's definition has it
  const size = attrs.sizes[axis] as number;
  switch (attrs.coordinateMode) {
    case "half_pixel":
      return (x + 0.5) / scale - 0.5;
    case "pytorch_half_pixel":
      return size === 1 ? -0.5 : (x + 0.5) / scale - 0.5;
    case "half_pixel_symmetric":
      return (extent / 2) * (1 - size / length) + (x + 0.5) / scale - 0.5;
    case "tf_half_pixel_for_nn":
      return (x + 0.5) / scale;
    case "asymmetric":
      return x / scale;
    case "align_corners":
      return length === 1 ? 0 : (x * (extent - 1)) / (length - 1);
    case "tf_crop_and_resize": {
      const start = attrs.roi[axis] ?? 0;
      const end = attrs.roi[axis + attrs.sizes.length] ?? 1;
      return length === 1 ? ((start + end) * (extent - 1)) / 2 : start * (extent - 1) + (x * (end - start) * (extent - 1)) / (length - 1);
    }
  }
}

/** Cubic convolution kernel (Keys 1981) with coefficient `a`. */
function cubicKernel(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? a * (((d - 5) * d + 8) * d - 4) : 0;
}

/** Weights of the inputs around `at`, from the input `floor(at)` − n / 2 + 1 (one less if `at` is an integer) on. */
function tapAt(at: number, scale: number, extent: number, attrs: ResizeAttrs): ResizeTap {
  if (attrs.coordinateMode === "tf_crop_and_resize" && (at < 0 || at > extent - 1)) return { first: 0, weights: undefined };
  const below = Math.ceil(at) - 1; // so that 0 < at − below ≤ 1
  const ratio = at - below;
  if (attrs.mode === "nearest") {
    const up = { round_prefer_floor: ratio > 0.5, round_prefer_ceil: ratio >= 0.5, floor: ratio === 1, ceil: true }[attrs.nearestMode];
    return { first: up ? below + 1 : below, weights: [1] };
  }
  // Antialiasing widens the kernel to cover all inputs that an output stands for.
  const narrow = attrs.antialias ? Math.min(scale, 1) : 1;
  const start = Math.floor((attrs.mode === "linear" ? -1 : -2) / narrow) + 1;
  const weights = Array.from({ length: 2 - 2 * start }, (_, i) => {
    const distance = (start + i - ratio) * narrow;
    if (attrs.excludeOutside && (below + start + i < 0 || below + start + i >= extent)) return 0;
    return attrs.mode === "linear" ? Math.max(0, 1 - Math.abs(distance)) : cubicKernel(distance, attrs.cubicCoeff);
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return { first: below + start, weights: attrs.excludeOutside || attrs.antialias ? weights.map((weight) => weight / sum) : weights };
}

/** For each output position along an axis of `extent` input elements: which inputs, with which weights. */
export function resizeTaps(axis: number, extent: number, attrs: ResizeAttrs): readonly ResizeTap[] {
  return Array.from({ length: attrs.sizes[axis] as number }, (_, x) => tapAt(sourceCoordinate(x, axis, extent, attrs), attrs.scales[axis] as number, extent, attrs));
}

/** Interpolates along one axis: out[o, x, i] = Σ weight · in[o, first + k, i]. */
function resizeAxis(x: ArrayLike<number>, shape: readonly number[], axis: number, attrs: ResizeAttrs): Float64Array {
  const extent = shape[axis] as number;
  const taps = resizeTaps(axis, extent, attrs);
  const inner = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  const y = new Float64Array(outer * taps.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const { first, weights } of taps)
      for (let i = 0; i < inner; i++) {
        let sum = weights === undefined ? attrs.extrapolationValue : 0;
        for (let k = 0; k < (weights?.length ?? 0); k++) {
          const from = Math.min(Math.max(first + k, 0), extent - 1);
          sum += (weights?.[k] as number) * (x[(o * extent + from) * inner + i] as number);
        }
        y[at++] = sum;
      }
  return y;
}

/** Interpolation to another size. It is separable, so one axis after the other. */
export const Resize = defineOp<ResizeAttrs>({
  name: "Resize",
  infer(inputs, attrs) {
    const x = required(inputs, 0, "Resize");
    expectDType(x, numericTypes, "Resize", "input");
    const rank = x.shape.length;
    if (attrs.scales.length !== rank || attrs.sizes.length !== rank || attrs.scales.some((scale) => !(scale > 0)))
      throw new CadnnError("E_INVALID_ATTRIBUTE", `Resize: scales [${attrs.scales.join(", ")}] and sizes [${attrs.sizes.join(", ")}] of [${x.shape.join(", ")}]`);
    for (const [option, value, known] of [
      ["mode", attrs.mode, resizeModes],
      ["coordinateMode", attrs.coordinateMode, coordinateModes],
      ["nearestMode", attrs.nearestMode, nearestModes],
    ] as const)
      if (!(known as readonly string[]).includes(value)) throw new CadnnError("E_INVALID_ATTRIBUTE", `Resize: ${option} ${value} is unknown`);
    return [{ dtype: x.dtype, shape: attrs.sizes }];
  },
  evaluate([input], attrs, [type]) {
    const x = input as Tensor;
    const shape = [...x.shape];
    let data: ArrayLike<number> = numbersOf(x);
    shape.forEach((extent, axis) => {
      if (attrs.scales[axis] === 1 && attrs.sizes[axis] === extent && attrs.coordinateMode !== "tf_crop_and_resize") return;
      data = resizeAxis(data, shape, axis, attrs);
      shape[axis] = attrs.sizes[axis] as number;
    });
    return [fromNumbers(type as TensorType, data)];
  },
});

export const resizeOps = [Resize];
