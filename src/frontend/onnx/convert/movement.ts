import { isConstant, type Value } from "../../../ir/graph.ts";
import { elementCount, int64Tensor, normalizeAxis, type Tensor } from "../../../ir/types.ts";
import type { Converter, Converters, OnnxNode } from "./converter.ts";
import { intsOf, reshapeTo } from "./shapes.ts";

const concat: Converter = (n) => {
  const values = n.inputs.filter((v): v is Value => v !== undefined);
  return n.emit("Concat", values, { axis: normalizeAxis(n.int("axis", 1), n.typeOf(0).shape.length) });
};

/** Sizes come as attribute (to opset 12), as input, or as a count of equal parts, the last of which may be smaller. */
const split: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const axis = normalizeAxis(n.int("axis", 0), shape.length);
  const extent = shape[axis] as number;
  const parts = n.int("num_outputs", n.outputCount);
  const each = Math.ceil(extent / parts);
  const sizes = intsOf(n, 1, "split") ?? Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(each, extent - i * each)));
  return n.emitMany("Split", [n.input(0)], { axis, sizes });
};

/** Python's slicing: negative positions count from the end, and all are clamped. */
const slice: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const from = intsOf(n, 1, "starts") ?? [];
  const to = intsOf(n, 2, "ends") ?? [];
  const axes = (intsOf(n, 3, "axes") ?? from.map((_, i) => i)).map((a) => normalizeAxis(a, shape.length));
  const by = n.numbers(4) ?? from.map(() => 1);
  const starts = shape.map(() => 0);
  const sizes = [...shape];
  const steps = shape.map(() => 1);
  axes.forEach((axis, i) => {
    const d = shape[axis] as number;
    const step = by[i] as number;
    if (step === 0) throw n.error("E_INVALID_ATTRIBUTE", "Slice has a step of 0", "Export the net again.");
    const clamp = (p: number, low: number, high: number) => Math.min(Math.max(p < 0 ? p + d : p, low), high);
    const start = step > 0 ? clamp(from[i] as number, 0, d) : clamp(from[i] as number, 0, d - 1);
    const end = step > 0 ? clamp(to[i] as number, 0, d) : clamp(to[i] as number, -1, d - 1);
    const size = Math.max(0, Math.ceil((end - start) / step));
    starts[axis] = size === 0 ? 0 : start;
    sizes[axis] = size;
    steps[axis] = step;
  });
  return n.emit("Slice", [n.input(0)], { starts, sizes, steps });
};

/** Negative pads cut off; that part becomes a Slice. */
const pad: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const rank = shape.length;
  const given = n.numbers(1) ?? n.ints("pads") ?? n.ints("paddings") ?? [];
  const axes = (n.numbers(3) ?? shape.map((_, i) => i)).map((a) => normalizeAxis(a, rank));
  const pads = new Array<number>(2 * rank).fill(0);
  axes.forEach((axis, i) => {
    pads[axis] = given[i] as number;
    pads[axis + rank] = given[i + axes.length] as number;
  });
  const value = n.opset < 11 ? n.float("value", 0) : (n.numbers(2)?.[0] ?? 0);
  const attrs = { pads: pads.map((p) => Math.max(0, p)), value, mode: n.string("mode", "constant") };
  if (pads.every((p) => p >= 0)) return n.emit("Pad", [n.input(0)], attrs);
  const starts = shape.map((_, i) => Math.max(0, -(pads[i] as number)));
  const sizes = shape.map((d, i) => d - (starts[i] as number) - Math.max(0, -(pads[i + rank] as number)));
  return n.emit("Pad", [n.step("Slice", [n.input(0)], { starts, sizes, steps: shape.map(() => 1) })], attrs);
};

/** Indices known on import are made non-negative. */
const gather: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  const axis = normalizeAxis(n.int("axis", 0), shape.length);
  const extent = shape[axis] as number;
  const indices = n.input(1);
  if (!isConstant(indices)) return n.emit("Gather", [n.input(0), indices], { axis });
  const numbers = n.numbers(1) as number[];
  const bad = numbers.find((v) => v < -extent || v >= extent);
  if (bad !== undefined) throw n.error("E_SHAPE_MISMATCH", `Gather reads index ${bad} of ${extent}`, "The indices must lie inside the dimension that they pick from.");
  const positive = numbers.every((v) => v >= 0)
    ? indices
    : n.literal(
        int64Tensor(
          indices.type.shape,
          numbers.map((v) => (v < 0 ? v + extent : v)),
        ),
        "indices",
      );
  return n.emit("Gather", [n.input(0), positive], { axis });
};

const transpose: Converter = (n) => {
  const rank = n.typeOf(0).shape.length;
  return n.emit("Transpose", [n.input(0)], { perm: n.ints("perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i) });
};

/** Each dimension d becomes [repeats, d], expanded and merged again. */
const tile: Converter = (n) => {
  const shape = n.typeOf(0).shape;
  // Opset 1 repeats one axis, given as inputs `tiles` and `axis`.
  const repeats = n.opset < 6 ? shape.map((_, i) => (i === n.numbers(2)?.[0] ? (n.numbers(1)?.[0] ?? 1) : 1)) : (n.numbers(1) ?? []);
  const pairs = (first: (i: number) => number) => shape.flatMap((d, i) => [first(i), d]);
  const spread = n.step(
    "Expand",
    [
      reshapeTo(
        n,
        n.input(0),
        pairs(() => 1),
      ),
    ],
    { shape: pairs((i) => repeats[i] as number) },
  );
  return n.emit("Reshape", [spread], { shape: shape.map((d, i) => d * (repeats[i] as number)) });
};

/** Keeps one triangle of the last two dimensions, by a mask known on import. */
const trilu: Converter = (n) => {
  const { shape, dtype } = n.typeOf(0);
  const [rows = 1, columns = 1] = shape.slice(-2);
  const k = n.numbers(1)?.[0] ?? 0;
  const upper = n.int("upper", 1) === 1;
  const mask: Tensor<"bool"> = { dtype: "bool", shape: [rows, columns], data: new Uint8Array(rows * columns) };
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) mask.data[r * columns + c] = Number(upper ? c - r >= k : c - r <= k);
  return n.emit("Where", [n.literal(mask, "mask"), n.input(0), n.scalar(0, { dtype, shape: [] })]);
};

/** off + (on − off) · [index = position along the new axis]. */
const oneHot: Converter = (n) => {
  const indices = n.input(0);
  const depth = n.numbers(1)?.[0] ?? 0;
  const rank = indices.type.shape.length;
  const axis = normalizeAxis(n.int("axis", -1), rank + 1);
  const wide = reshapeTo(n, indices, [...indices.type.shape.slice(0, axis), 1, ...indices.type.shape.slice(axis)]);
  const count = { dtype: "int64", shape: [] } as const;
  const asInt = n.step("Cast", [wide], { to: "int64" });
  const positive = n.step("Where", [n.step("Less", [asInt, n.scalar(0, count)]), n.step("Add", [asInt, n.scalar(depth, count)]), asInt]);
  const positions = n.literal(
    int64Tensor(
      [depth, ...new Array<number>(rank - axis).fill(1)],
      Array.from({ length: depth }, (_, i) => i),
    ),
    "positions",
  );
  const values = n.input(2);
  const at = (i: number) => n.step("Reshape", [n.step("Slice", [values], { starts: [i], sizes: [1], steps: [1] })], { shape: [] });
  return n.emit("Where", [n.step("Equal", [positive, positions]), at(1), at(0)]);
};

/** 1 at the first maximum along an axis, else 0; before opset 13 over all dimensions from `axis` on. */
const hardmax: Converter = (n) => {
  const x = n.input(0);
  const { shape } = x.type;
  const axis = normalizeAxis(n.int("axis", n.opset < 13 ? 1 : -1), shape.length);
  const inner = n.opset < 13 ? [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis))] : shape;
  const along = n.opset < 13 ? 1 : axis;
  const length = inner[along] as number;
  const best = n.step("ArgMax", [reshapeTo(n, x, inner)], { axis: along, keepdims: true, selectLast: false });
  const positions = n.literal(
    int64Tensor(
      [length, ...inner.slice(along + 1).map(() => 1)],
      Array.from({ length }, (_, i) => i),
    ),
    "positions",
  );
  const hot = n.step("Equal", [best, positions]);
  return n.opset < 13 ? n.emit("Reshape", [n.step("Cast", [hot], { to: x.type.dtype })], { shape }) : n.emit("Cast", [hot], { to: x.type.dtype });
};

const blocksize = (n: OnnxNode): number => n.int("blocksize", 1);

export const movement: Converters = {
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  Transpose: transpose,
  Tile: tile,
  Trilu: trilu,
  OneHot: oneHot,
  Hardmax: hardmax,
  DepthToSpace: (n) => n.emit("DepthToSpace", [n.input(0)], { blocksize: blocksize(n), mode: n.string("mode", "DCR") }),
  SpaceToDepth: (n) => n.emit("SpaceToDepth", [n.input(0)], { blocksize: blocksize(n) }),
};
