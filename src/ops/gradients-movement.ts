import { CadnnError } from "../errors.ts";
import type { Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { reshape, sumTo } from "./gradient-helpers.ts";
import type { GradientContext } from "./op.ts";

const zerosOf = (shape: readonly number[]): number[] => shape.map(() => 0);

function first(values: readonly (Value | undefined)[]): Value {
  const value = values[0];
  if (value === undefined) throw new CadnnError("E_INTERNAL", "gradient: value 0 is missing");
  return value;
}

const pass = ({ gradients }: GradientContext): (Value | undefined)[] => [first(gradients)];

function slice(builder: GradientContext["builder"], value: Value, starts: readonly number[], sizes: readonly number[]): Value {
  return builder.add("Slice", [value], { starts, sizes, steps: sizes.map(() => 1) });
}

function pad(builder: GradientContext["builder"], value: Value, begins: readonly number[], ends: readonly number[]): Value {
  if ([...begins, ...ends].every((p) => p === 0)) return value;
  return builder.add("Pad", [value], { pads: [...begins, ...ends], value: 0, mode: "constant" });
}

/** Gradients of ops that only move elements: each is the move back. */
export const movementGradients: Readonly<Record<string, (context: GradientContext) => (Value | undefined)[]>> = {
  Identity: pass,
  /** Off, as in inference. */
  Dropout: pass,
  Cast: ({ inputs, gradients, attrs }) => (first(inputs).type.dtype === "float32" && attrs.to === "float32" ? [first(gradients)] : [undefined]),
  Reshape: ({ builder, inputs, gradients }) => [reshape(builder, first(gradients), first(inputs).type.shape)],
  Expand: ({ builder, inputs, gradients }) => [sumTo(builder, first(gradients), first(inputs).type.shape)],
  Transpose({ builder, attrs, gradients }) {
    const perm = attrs.perm as readonly number[];
    return [builder.add("Transpose", [first(gradients)], { perm: perm.map((_, i) => perm.indexOf(i)) })];
  },
  Concat({ builder, attrs, inputs, gradients, wanted }) {
    const dy = first(gradients);
    const axis = attrs.axis as number;
    let start = 0;
    return inputs.map((input, i) => {
      const shape = (input as Value).type.shape;
      const starts = zerosOf(shape).fill(start, axis, axis + 1);
      start += shape[axis] as number;
      return wanted[i] ? slice(builder, dy, starts, shape) : undefined;
    });
  },
  Split({ builder, attrs, inputs, outputs, gradients }) {
    const axis = attrs.axis as number;
    if (gradients.every((g) => g !== undefined)) return [builder.add("Concat", gradients, { axis })];
    // Outputs that the loss does not depend on leave zeros.
    let start = 0;
    const x = first(inputs);
    const parts = gradients.flatMap((g, i) => {
      const begin = start;
      start += outputs[i]?.type.shape[axis] as number;
      if (g === undefined) return [];
      const begins = zerosOf(x.type.shape).fill(begin, axis, axis + 1);
      return [pad(builder, g, begins, zerosOf(begins).fill((x.type.shape[axis] as number) - start, axis, axis + 1))];
    });
    return [parts.reduce((a, b) => builder.add("Add", [a, b]))];
  },
  Pad({ builder, attrs, inputs, gradients }) {
    const { shape } = first(inputs).type;
    const pads = attrs.pads as readonly number[];
    if (attrs.mode !== "constant") throw new CadnnError("E_UNSUPPORTED_OP", `the gradient of Pad in mode ${String(attrs.mode)} is not supported`);
    if (pads.some((p) => p < 0)) throw new CadnnError("E_UNSUPPORTED_OP", "the gradient of Pad with negative pads is not supported");
    return [slice(builder, first(gradients), pads.slice(0, shape.length), shape)];
  },
  /** Puts dy where the elements came from: first `step − 1` zeros after each element, then zeros around all. */
  Slice({ builder, attrs, inputs, gradients }) {
    const { shape } = first(inputs).type;
    const starts = attrs.starts as readonly number[];
    const steps = attrs.steps as readonly number[];
    if (steps.some((s) => s < 1)) throw new CadnnError("E_UNSUPPORTED_OP", "the gradient of Slice with negative steps is not supported");
    const spread = dilate(builder, first(gradients), steps, shape, starts);
    const ends = shape.map((d, i) => d - (starts[i] as number) - (spread.type.shape[i] as number));
    return [pad(builder, spread, starts, ends)];
  },
};

/** Element i of each dimension goes to i · step, the rest is 0, up to `whole` in dimensions that start at 0, and else as far as needed. */
function dilate(builder: GradientContext["builder"], value: Value, steps: readonly number[], whole: readonly number[], starts: readonly number[]): Value {
  if (steps.every((s) => s === 1)) return value;
  const { shape } = value.type;
  const needed = shape.map((d, i) => (d - 1) * (steps[i] as number) + 1);
  if (shape.length === 4 && steps[0] === 1 && steps[1] === 1) {
    // Subsampling is average pooling with a window of 1, so its adjoint is that of pooling.
    const fits = (i: number) => i > 1 && starts[i] === 0 && Math.ceil((whole[i] as number) / (steps[i] as number)) === shape[i];
    const inputShape = needed.map((d, i) => (fits(i) ? (whole[i] as number) : d));
    const attrs = { kernel: [1, 1], strides: steps.slice(2), pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false, countIncludePad: false };
    return builder.add("AveragePoolGrad", [value], { ...attrs, inputShape });
  }
  const split = shape.flatMap((d) => [d, 1]);
  const ends = shape.flatMap((_, i) => [0, (steps[i] as number) - 1]);
  const padded = pad(builder, reshape(builder, value, split), zerosOf(split), ends);
  const full = shape.map((d, i) => d * (steps[i] as number));
  const spread = reshape(builder, padded, full);
  return elementCount(needed) === elementCount(full) ? spread : slice(builder, spread, zerosOf(needed), needed);
}
