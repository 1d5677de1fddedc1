import { CadnnError } from "../errors.ts";
import { elementCount, float32Tensor, type Tensor } from "../ir/types.ts";
import { defineOp, expectDType, expectRank, required } from "./op.ts";

/** One entry a plane of the output: which channel of the pixels it is, and how its bytes are scaled. */
export type PixelsToPlanesAttrs = { readonly channels: readonly number[]; readonly gain: readonly number[]; readonly shift: readonly number[] };

/** y[n, p, i, j] = gain[p] · x[n, i, j, channels[p]] + shift[p]: bytes with interleaved channels become normalized planes. x: uint8 [N, H, W, C]. Made when compiling. */
export const PixelsToPlanes = defineOp<PixelsToPlanesAttrs>({
  name: "PixelsToPlanes",
  infer(inputs, { channels, gain, shift }) {
    const x = required(inputs, 0, "PixelsToPlanes");
    expectRank(x, 4, "PixelsToPlanes", "x");
    expectDType(x, ["uint8"], "PixelsToPlanes", "x");
    const [n, h, w, c] = x.shape as [number, number, number, number];
    if (gain.length !== channels.length || shift.length !== channels.length || channels.some((channel) => !(channel >= 0 && channel < c)))
      throw new CadnnError("E_INVALID_ATTRIBUTE", `PixelsToPlanes: channels [${channels.join(", ")}] of ${c}, ${gain.length} gains, ${shift.length} shifts`);
    return [{ dtype: "float32", shape: [n, channels.length, h, w] }];
  },
  evaluate([input], { channels, gain, shift }) {
    const x = input as Tensor;
    const [n, h, w, c] = x.shape as [number, number, number, number];
    const shape = [n, channels.length, h, w];
    const data = new Float32Array(elementCount(shape));
    let at = 0;
    for (let image = 0; image < n; image++)
      channels.forEach((channel, p) => {
        for (let i = 0; i < h * w; i++) data[at++] = Number(x.data[(image * h * w + i) * c + channel]) * (gain[p] as number) + (shift[p] as number);
      });
    return [float32Tensor(shape, data)];
  },
});
