import type { ConstantValue, Value } from "../ir/graph.ts";
import { weightSlack } from "../kernels/wasm/f32-gemm.ts";
import { x32Copy } from "../kernels/wasm/x32-copy.ts";
import { hasPairedFilters } from "../kernels/weight-stream.ts";
import type { LoweringContext } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { linear } from "./layout.ts";

/** What lowering asks about a weight's zeros. */
export interface Zeros {
  readonly nonZeros: number;
  /** Whether filters 2i and 2i + 1 are non-zero at the same places. */
  readonly paired: boolean;
}

/** Weights are counted once, whatever the number of targets. */
const counted = new WeakMap<ConstantValue["data"], Zeros>();

/** Of a weight whose first dimension are the filters. */
export function zerosOf(w: ConstantValue): Zeros {
  const known = counted.get(w.data);
  if (known !== undefined) return known;
  const data = w.data as Float32Array;
  let nonZeros = 0;
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) nonZeros++;
  const zeros: Zeros = { nonZeros, paired: hasPairedFilters(data, w.type.shape[0] as number) };
  counted.set(w.data, zeros);
  return zeros;
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
