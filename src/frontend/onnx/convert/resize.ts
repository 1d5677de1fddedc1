import type { Attrs } from "../../../ir/graph.ts";
import { normalizeAxis } from "../../../ir/types.ts";
import type { Converter, Converters, OnnxNode } from "./converter.ts";

interface Target {
  /** Output over input extent, one a dimension. */
  readonly scales: readonly number[];
  readonly sizes: readonly number[];
}

/** Output shape ⌊extent · scale⌋. */
function byScales(n: OnnxNode, given: readonly number[], axes: readonly number[]): Target {
  const shape = n.typeOf(0).shape;
  const scales = shape.map(() => 1);
  axes.forEach((axis, i) => {
    scales[axis] = given[i] as number;
  });
  return { scales, sizes: shape.map((d, i) => Math.floor(d * (scales[i] as number))) };
}

/** Scales follow from the sizes, or from the one that keeps the aspect ratio (opset 18). */
function bySizes(n: OnnxNode, given: readonly number[], axes: readonly number[]): Target {
  const shape = n.typeOf(0).shape;
  const policy = n.string("keep_aspect_ratio_policy", "stretch");
  const ratios = axes.map((axis, i) => (given[i] as number) / (shape[axis] as number));
  const common = policy === "not_larger" ? Math.min(...ratios) : policy === "not_smaller" ? Math.max(...ratios) : undefined;
  const scales = shape.map(() => 1);
  const sizes = [...shape];
  axes.forEach((axis, i) => {
    const d = shape[axis] as number;
    scales[axis] = common ?? (ratios[i] as number);
    sizes[axis] = common === undefined ? (given[i] as number) : Math.floor(d * common + 0.5);
  });
  return { scales, sizes };
}

/** Nearest and linear upsampling of old: output position / scale, rounded down for nearest. */
const legacy = (n: OnnxNode, target: Target): Attrs => ({
  ...target,
  mode: n.string("mode", "nearest"),
  coordinateMode: "asymmetric",
  nearestMode: "floor",
  cubicCoeff: -0.75,
  excludeOutside: false,
  extrapolationValue: 0,
  roi: undefined,
  antialias: false,
});

/** Upsample 7 takes `scales` as attribute, Upsample 9 and Resize 10 as an input. */
const upsample: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const old = n.op === "Upsample" && n.opset < 7 ? [1, 1, n.float("height_scale", 1), n.float("width_scale", 1)] : undefined;
  const scales = old ?? n.numbers(1) ?? n.floats("scales");
  if (scales === undefined || scales.length !== shape.length)
    throw n.error("E_INVALID_ATTRIBUTE", `${n.op} has ${scales?.length ?? 0} scales for ${shape.length} dimensions`, "Export the net again.");
  return n.emit(
    "Resize",
    [n.input(0)],
    legacy(
      n,
      byScales(
        n,
        scales,
        shape.map((_, i) => i),
      ),
    ),
  );
};

const resize: Converter = (n) => {
  if (n.opset < 11) return upsample(n);
  const rank = n.typeOf(0).shape.length;
  const axes = (n.ints("axes") ?? Array.from({ length: rank }, (_, i) => i)).map((a) => normalizeAxis(a, rank));
  const given = (i: number) => {
    const numbers = n.numbers(i);
    return numbers === undefined || numbers.length === 0 ? undefined : numbers;
  };
  const [scales, sizes] = [given(2), given(3)];
  if ((scales ?? sizes)?.length !== axes.length) throw n.error("E_INVALID_ATTRIBUTE", `Resize needs scales or sizes for ${axes.length} dimensions`, "Export the net again.");
  const coordinateMode = n.string("coordinate_transformation_mode", "half_pixel");
  const box = coordinateMode === "tf_crop_and_resize" ? given(1) : undefined;
  const roi = box === undefined ? undefined : [...Array.from({ length: rank }, () => 0), ...Array.from({ length: rank }, () => 1)];
  axes.forEach((axis, i) => {
    if (roi === undefined || box === undefined) return;
    roi[axis] = box[i] as number;
    roi[axis + rank] = box[i + axes.length] as number;
  });
  return n.emit("Resize", [n.input(0)], {
    ...(sizes === undefined ? byScales(n, scales as number[], axes) : bySizes(n, sizes, axes)),
    mode: n.string("mode", "nearest"),
    coordinateMode,
    nearestMode: n.string("nearest_mode", "round_prefer_floor"),
    cubicCoeff: n.float("cubic_coeff_a", -0.75),
    excludeOutside: n.int("exclude_outside", 0) === 1,
    extrapolationValue: n.float("extrapolation_value", 0),
    roi,
    antialias: n.int("antialias", 0) === 1,
  });
};

export const resizing: Converters = { Upsample: upsample, Resize: resize };
