import { CadnnError } from "../errors.ts";
import { elementCount, stridesOf, type Tensor, zeros } from "../ir/types.ts";
import { defineOp, required } from "./op.ts";

/** One entry a dimension; all positions must lie within `shape`. */
export type DilateAttrs = { readonly starts: readonly number[]; readonly steps: readonly number[]; readonly shape: readonly number[] };

/** y[starts + i · steps] = x[i], 0 elsewhere: the transpose of Slice. y has shape `shape`. Made by differentiation and lowering. */
export const Dilate = defineOp<DilateAttrs>({
  name: "Dilate",
  infer(inputs, { starts, steps, shape }) {
    const x = required(inputs, 0, "Dilate");
    const fits = x.shape.every((d, i) => d === 0 || [0, d - 1].every((k) => inRange((starts[i] as number) + k * (steps[i] as number), shape[i] as number)));
    if (x.shape.length !== shape.length || !fits) throw new CadnnError("E_SHAPE_MISMATCH", `Dilate: [${x.shape.join(", ")}] does not fit into [${shape.join(", ")}]`);
    return [{ dtype: x.dtype, shape }];
  },
  evaluate([input], { starts, steps, shape }) {
    const x = input as Tensor;
    const y = zeros(x.dtype, shape);
    const outer = stridesOf(shape);
    const inner = stridesOf(x.shape);
    for (let i = 0; i < elementCount(x.shape); i++) {
      let at = 0;
      x.shape.forEach((d, k) => {
        at += ((starts[k] as number) + (Math.floor(i / (inner[k] as number)) % d) * (steps[k] as number)) * (outer[k] as number);
      });
      y.data[at] = x.data[i] as never;
    }
    return [y];
  },
});

const inRange = (at: number, size: number) => at >= 0 && at < size;
