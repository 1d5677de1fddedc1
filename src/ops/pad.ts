import { CadnnError } from "../errors.ts";
import { elementCount, stridesOf, type Tensor, type TensorType } from "../ir/types.ts";
import { defineOp, required } from "./op.ts";
import { pick } from "./strided.ts";

export type PadMode = "constant" | "reflect" | "edge" | "wrap";
/** `pads`: all begins, then all ends; negative ones crop. */
export type PadAttrs = { readonly pads: readonly number[]; readonly value: number; readonly mode: PadMode };

/** Where position `i` of an axis, which may lie outside of it, takes its element from; −1: from nowhere. */
function source(i: number, extent: number, mode: PadMode): number {
  if (i >= 0 && i < extent) return i;
  switch (mode) {
    case "constant":
      return -1;
    case "edge":
      return i < 0 ? 0 : extent - 1;
    case "wrap":
      return ((i % extent) + extent) % extent;
    case "reflect": {
      // Mirrored at the outermost elements, which are not repeated: a triangle wave of period 2 (extent − 1).
      const period = Math.max(1, 2 * (extent - 1));
      const phase = ((i % period) + period) % period;
      return Math.min(phase, period - phase) % extent;
    }
  }
}

/** Adds elements around a tensor of any type. */
export const Pad = defineOp<PadAttrs>({
  name: "Pad",
  infer(inputs, { pads, mode }) {
    const x = required(inputs, 0, "Pad");
    const rank = x.shape.length;
    const shape = x.shape.map((extent, d) => extent + (pads[d] as number) + (pads[d + rank] as number));
    if (pads.length !== 2 * rank || shape.some((extent, d) => extent < 0 || (mode !== "constant" && extent > 0 && x.shape[d] === 0)))
      throw new CadnnError("E_INVALID_ATTRIBUTE", `Pad: pads [${pads.join(", ")}] of [${x.shape.join(", ")}]`);
    if (!["constant", "reflect", "edge", "wrap"].includes(mode)) throw new CadnnError("E_INVALID_ATTRIBUTE", `Pad: mode ${mode} is unknown`);
    return [{ dtype: x.dtype, shape }];
  },
  evaluate([input], { pads, value, mode }, [output]) {
    const x = input as Tensor;
    const type = output as TensorType;
    const strides = stridesOf(x.shape);
    const offsets = new Int32Array(elementCount(type.shape));
    let length = 1; // offsets are built up from the innermost dimension, as in `viewOffsets`
    for (let d = x.shape.length - 1; d >= 0; d--) {
      const inner = offsets.slice(0, length);
      const extent = type.shape[d] as number;
      for (let i = 0; i < extent; i++) {
        const from = source(i - (pads[d] as number), x.shape[d] as number, mode);
        for (let j = 0; j < length; j++) offsets[i * length + j] = from < 0 || (inner[j] as number) < 0 ? -1 : from * (strides[d] as number) + (inner[j] as number);
      }
      length *= extent;
    }
    return [pick(x, offsets, type, value)];
  },
});

export const padOps = [Pad];
