import { CadnnError } from "../errors.ts";

/** A window that slides over the spatial dimensions: one entry a dimension, `pads` two: all begins, then all ends. */
export type WindowAttrs = {
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
};

/**
 * Extent of the output in each spatial dimension. With `ceilMode` a last, partial window counts too, if it starts inside of the
 * input or the padding before it (as ONNX since opset 19 and onnxruntime do).
 */
export function windowOutput(op: string, size: readonly number[], kernel: readonly number[], attrs: WindowAttrs, ceilMode = false): number[] {
  const rank = size.length;
  if (kernel.length !== rank || attrs.strides.length !== rank || attrs.dilations.length !== rank || attrs.pads.length !== 2 * rank)
    throw new CadnnError(
      "E_INVALID_ATTRIBUTE",
      `${op}: kernel [${kernel}], strides [${attrs.strides}], dilations [${attrs.dilations}] or pads [${attrs.pads}] do not fit ${rank} spatial dimensions`,
    );
  if ([...kernel, ...attrs.strides, ...attrs.dilations].some((v) => !Number.isInteger(v) || v < 1))
    throw new CadnnError("E_INVALID_ATTRIBUTE", `${op}: kernel [${kernel}], strides [${attrs.strides}] and dilations [${attrs.dilations}] must be positive integers`);
  return size.map((extent, d) => {
    const stride = attrs.strides[d] as number;
    const begin = attrs.pads[d] as number;
    const steps = (extent + begin + (attrs.pads[d + rank] as number) - ((attrs.dilations[d] as number) * ((kernel[d] as number) - 1) + 1)) / stride;
    if (steps < 0)
      throw new CadnnError("E_SHAPE_MISMATCH", `${op}: kernel [${kernel.join(", ")}] does not fit input of size [${size.join(", ")}] with pads [${attrs.pads.join(", ")}]`);
    const out = (ceilMode ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return ceilMode && (out - 1) * stride >= extent + begin ? out - 1 : out;
  });
}

/**
 * All meetings of outputs and inputs of one plane, as rows of four numbers (tap, x, y, count): tap `tap` of the kernel joins
 * input x + i · step with output y + i for 0 ≤ i < count. Padding is left out. Taps come in row-major order, each with its outputs in row-major order.
 */
export interface WindowRows {
  readonly rows: Int32Array;
  /** Distance of the inputs of neighbouring outputs: the innermost stride. */
  readonly step: number;
  readonly taps: number;
  /** Elements of a plane of the input and of the output. */
  readonly inputs: number;
  readonly outputs: number;
}

export function windowRows(size: readonly number[], kernel: readonly number[], out: readonly number[], attrs: WindowAttrs): WindowRows {
  const [D, H, W] = three(size, 1);
  const [OD, OH, OW] = three(out, 1);
  const [KD, KH, KW] = three(kernel, 1);
  const [sd, sh, sw] = three(attrs.strides, 1);
  const [dd, dh, dw] = three(attrs.dilations, 1);
  const [pd, ph, pw] = three(attrs.pads.slice(0, size.length), 0);
  const rows: number[] = [];
  let tap = 0;
  for (let kz = 0; kz < KD; kz++)
    for (let ky = 0; ky < KH; ky++)
      for (let kx = 0; kx < KW; kx++, tap++) {
        const shift = kx * dw - pw; // input column of output column 0
        const from = Math.max(0, Math.ceil(-shift / sw));
        const count = Math.min(OW, Math.floor((W - 1 - shift) / sw) + 1) - from;
        if (count <= 0) continue;
        let last = -1; // row to which this one may be joined
        for (let oz = 0; oz < OD; oz++) {
          const z = oz * sd + kz * dd - pd;
          if (z < 0 || z >= D) continue;
          for (let oy = 0; oy < OH; oy++) {
            const yy = oy * sh + ky * dh - ph;
            if (yy < 0 || yy >= H) continue;
            const x = (z * H + yy) * W + from * sw + shift;
            const y = (oz * OH + oy) * OW + from;
            const length = last < 0 ? 0 : (rows[last + 3] as number);
            if (last >= 0 && (rows[last + 1] as number) + length * sw === x && (rows[last + 2] as number) + length === y) rows[last + 3] = length + count;
            else last = rows.push(tap, x, y, count) - 4;
          }
        }
      }
  return { rows: Int32Array.from(rows), step: sw, taps: KD * KH * KW, inputs: D * H * W, outputs: OD * OH * OW };
}

/** One to three spatial dimensions as three. */
function three(values: readonly number[], fill: number): [number, number, number] {
  if (values.length > 3) throw new CadnnError("E_UNSUPPORTED_OP", `windows over ${values.length} spatial dimensions are not supported`, { hint: "At most three are." });
  return [...new Array<number>(3 - values.length).fill(fill), ...values] as [number, number, number];
}
