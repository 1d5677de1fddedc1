import { invariant } from "../errors.ts";
import type { Node, Value } from "../ir/graph.ts";
import { f32FromBytes, maxPixelBytes } from "../kernels/wasm/f32-from-bytes.ts";
import type { PixelsToPlanesAttrs } from "../ops/pixels.ts";
import type { LoweringContext } from "./context.ts";
import { isSplit, type Layout } from "./layout.ts";
import { phasesOf, whole } from "./phases.ts";
import { commonWish } from "./window-layout.ts";

/** Pixels go straight to where the first layer reads them: padded, and split into phases if its stride asks for it. */
export function lowerPixelsToPlanes(ctx: LoweringContext, node: Node): void {
  const [x, y] = [node.inputs[0] as Value, node.outputs[0] as Value];
  const { channels, gain, shift } = node.attrs as PixelsToPlanesAttrs;
  const [images, , width, pixelBytes] = x.type.shape as [number, number, number, number];
  const bytes = ctx.bytesOf(x);
  invariant(bytes !== undefined, `${x.name} is no input of bytes`);
  const layout = layoutOf(ctx, y, pixelBytes);
  const to = ctx.write(y, layout);
  const rowBytes = width * pixelBytes;
  for (const part of isSplit(layout) ? phasesOf(y.type.shape, layout) : [whole(y.type.shape)]) {
    const [firstRow, firstColumn] = part.first.slice(2) as [number, number];
    const [rowStep, columnStep] = part.steps.slice(2) as [number, number];
    const [rows, columns] = part.shape.slice(2) as [number, number];
    if (images * rows * columns === 0) continue;
    const problem = {
      images,
      rows,
      columns,
      imageBytes: (x.type.shape[1] as number) * rowBytes,
      rowBytes: rowStep * rowBytes,
      pixelBytes: columnStep * pixelBytes,
      outImage: layout.strides[0] as number,
      outPitch: layout.strides[2] as number,
      planes: channels.map((channel, p) => ({
        first: firstRow * rowBytes + firstColumn * pixelBytes + channel,
        out: p * (layout.strides[1] as number),
        gain: gain[p] as number,
        shift: shift[p] as number,
      })),
      output: "f32",
    } as const;
    ctx.call(f32FromBytes, problem, [bytes, { buffer: to.buffer, offset: to.offset + part.offset }], { joins: true });
  }
}

function layoutOf(ctx: LoweringContext, y: Value, pixelBytes: number): Layout {
  const preferred = ctx.preferredLayout(y);
  const isOutput = ctx.graph.outputs.some((o) => o.value === y);
  if (!ctx.options.layout || isOutput || ctx.viewOf(y) !== undefined) return preferred;
  const phases = commonWish(y, ctx.consumers.get(y) ?? [], 1, true);
  return phases === undefined || (phases.padding?.sw ?? 1) * pixelBytes > maxPixelBytes ? preferred : phases;
}
