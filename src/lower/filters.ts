import type { ConstantValue, Value } from "../ir/graph.ts";
import { weightSlack } from "../kernels/wasm/f32-gemm.ts";
import { x32Copy } from "../kernels/wasm/x32-copy.ts";
import type { LoweringContext } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { linear } from "./layout.ts";

/** Number of non-zeros of a weight. */
export function nonZerosOf(w: ConstantValue): number {
  let count = 0;
  for (let i = 0; i < w.data.length; i++) if (w.data[i] !== 0) count++;
  return count;
}

const groupParts = new WeakMap<ConstantValue, ConstantValue[]>();

/** The filters of one group as a constant of their own. */
export function groupOf(w: ConstantValue, g: number, group: number): ConstantValue {
  if (group === 1) return w;
  let parts = groupParts.get(w);
  if (parts === undefined) {
    const [m, ...rest] = w.type.shape as [number, ...number[]];
    const size = w.data.length / group;
    parts = Array.from({ length: group }, (_, i) => ({
      kind: "constant",
      name: `${w.name}[${i}]`,
      type: { dtype: w.type.dtype, shape: [m / group, ...rest] },
      data: w.data.slice(i * size, (i + 1) * size) as Float32Array,
    }));
    groupParts.set(w, parts);
  }
  return parts[g] as ConstantValue;
}

/** Brings weights that change between runs, row-major, into the form of `GemmWeights` "packed". */
export function packNow(ctx: LoweringContext, w: Value, first: number, m: number, depth: number, filters: number): Place {
  const source = ctx.read(w, linear(w.type.shape));
  const packed = { buffer: ctx.buffer(`${w.name}.packed`, m * depth + weightSlack / 4), offset: 0 };
  const blocks = Math.floor(m / filters);
  const copy = (row: number, count: number, width: number, joins: boolean) => {
    const dims = [
      { size: count, strides: [width * depth, width * depth] },
      { size: depth, strides: [1, width] },
      { size: width, strides: [depth, 1] },
    ];
    ctx.call(
      x32Copy,
      { dims },
      [
        { buffer: source.buffer, offset: source.offset + first + row * depth },
        { buffer: packed.buffer, offset: row * depth },
      ],
      { joins },
    );
  };
  if (blocks > 0) copy(0, blocks, filters, false);
  if (m % filters > 0) copy(blocks * filters, 1, m % filters, blocks > 0);
  return packed;
}
