import fc from "fast-check";
import { describe, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { type DType, elementCount, int64Tensor, makeData, type Tensor } from "../../src/ir/types.ts";
import { randomNumbers, randomTensor, TestGraph } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";

type Case = fc.Arbitrary<(b: TestGraph) => Value | readonly Value[]>;

const size = (max: number) => fc.integer({ min: 1, max });
const shapeOf = (min: number, max: number, extent = 7) => fc.array(size(extent), { minLength: min, maxLength: max });
const each = <T>(rank: number, arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: rank, maxLength: rank });
const subset = (rank: number) => each(rank, fc.boolean()).map((keep) => keep.flatMap((k, i) => (k ? [i] : [])));

/** A window that fits 1 to 3 spatial dimensions. */
const windowCase = (rank: number) =>
  fc.record({
    n: size(2),
    space: each(rank, fc.integer({ min: 5, max: 8 })),
    kernel: each(rank, size(3)),
    strides: each(rank, size(3)),
    dilations: each(rank, fc.constantFrom(1, 1, 2)),
    pads: each(2 * rank, fc.nat(2)),
    group: size(2),
    inner: size(3),
    outer: size(3),
  });
const anyWindow = fc.constantFrom(1, 2, 3).chain(windowCase);

const cases: Readonly<Record<string, Case>> = {
  Conv: fc.tuple(anyWindow, fc.boolean(), fc.boolean()).map(([{ n, space, kernel, strides, dilations, pads, group, inner, outer }, computed, biased]) => (b) => {
    const shape = [outer * group, inner, ...kernel];
    const w = computed ? b.image("w", shape) : b.weight("w", shape);
    return b.add("Conv", [b.image("x", [n, inner * group, ...space]), w, biased ? b.weight("b", [outer * group]) : undefined], { strides, dilations, pads, group });
  }),
  ConvTranspose: fc.tuple(anyWindow, fc.boolean(), fc.nat(1)).map(([{ n, space, kernel, strides, dilations, pads, group, inner, outer }, computed, extra]) => (b) => {
    const shape = [inner * group, outer, ...kernel];
    const w = computed ? b.image("w", shape) : b.weight("w", shape);
    const outputPadding = strides.map((s) => Math.min(extra, s - 1));
    const fitting = pads.map((p, i) => Math.min(p, (((kernel[i % kernel.length] as number) - 1) * (dilations[i % kernel.length] as number)) >> 1));
    return b.add("ConvTranspose", [b.image("x", [n, inner * group, ...space]), w, b.weight("b", [outer * group])], { strides, dilations, pads: fitting, group, outputPadding });
  }),
  MaxPool: fc
    .tuple(anyWindow, fc.boolean(), fc.boolean(), fc.constantFrom<DType>("float32", "float32", "int8", "uint8"))
    .map(([{ n, space, kernel, pads, ...window }, ceilMode, withIndices, dtype]) => (b) => {
      const attrs = {
        kernel,
        strides: window.strides,
        dilations: window.dilations,
        pads: pads.map((p, i) => Math.min(p, (kernel[i % kernel.length] as number) - 1)),
        ceilMode,
        withIndices,
      };
      return b.addMany("MaxPool", [b.input("x", { dtype, shape: [n, window.inner, ...space] })], attrs);
    }),
  AveragePool: fc.tuple(anyWindow, fc.boolean(), fc.boolean()).map(([{ n, space, kernel, pads, ...window }, ceilMode, countIncludePad]) => (b) => {
    const fitting = pads.map((p, i) => Math.min(p, (kernel[i % kernel.length] as number) - 1));
    return b.add("AveragePool", [b.image("x", [n, window.inner, ...space])], {
      kernel,
      strides: window.strides,
      dilations: window.dilations,
      pads: fitting,
      ceilMode,
      countIncludePad,
    });
  }),
  GlobalPool: fc.tuple(shapeOf(3, 5), fc.constantFrom("GlobalAveragePool", "GlobalMaxPool")).map(
    ([shape, op]) =>
      (b) =>
        b.add(op, [b.image("x", shape)]),
  ),
  Reduce: fc
    .tuple(
      shapeOf(1, 4, 9),
      fc.constantFrom("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp"),
      fc.boolean(),
      fc.constantFrom<DType>("float32", "int32", "int64", "uint8", "int8"),
    )
    .chain(([shape, op, keepdims, dtype]) =>
      subset(shape.length).map((axes) => (b: TestGraph) => {
        const type = ["LogSumExp", "Prod"].includes(op) ? "float32" : dtype;
        return b.add(`Reduce${op}`, [b.input("x", { dtype: type, shape })], { axes, keepdims });
      }),
    ),
  Arg: fc.tuple(shapeOf(1, 4), fc.constantFrom("ArgMax", "ArgMin"), fc.boolean(), fc.boolean(), fc.constantFrom<DType>("float32", "int32", "int8"), fc.nat(3)).map(
    ([shape, op, keepdims, selectLast, dtype, axis]) =>
      (b) =>
        b.add(op, [b.input("x", { dtype, shape })], { axis: axis % shape.length, keepdims, selectLast }),
  ),
  Softmax: fc.tuple(shapeOf(1, 4, 12), fc.constantFrom("Softmax", "LogSoftmax"), fc.nat(3)).map(
    ([shape, op, axis]) =>
      (b) =>
        b.add(op, [b.image("x", shape)], { axis: axis % shape.length }),
  ),
  LayerNormalization: fc.tuple(shapeOf(2, 4), fc.nat(3), fc.boolean()).map(([shape, at, biased]) => (b) => {
    const axis = at % shape.length;
    const own = shape.slice(axis);
    return b.add("LayerNormalization", [b.image("x", shape), b.weight("scale", own), biased ? b.weight("bias", own) : undefined], { axis, epsilon: 1e-3 });
  }),
  InstanceNormalization: shapeOf(3, 5).map(
    (shape) => (b) => b.add("InstanceNormalization", [b.image("x", shape), b.weight("scale", shape.slice(1, 2)), b.weight("bias", shape.slice(1, 2))], { epsilon: 1e-3 }),
  ),
  LRN: fc.tuple(shapeOf(3, 4), size(5), fc.constantFrom(0.75, 0.5)).map(
    ([shape, width, beta]) =>
      (b) =>
        b.add("LRN", [b.image("x", shape)], { alpha: 0.3, beta, bias: 1.5, size: width }),
  ),
  Gemm: fc
    .record({
      m: size(20),
      n: size(20),
      k: fc.nat(20),
      transA: fc.boolean(),
      transB: fc.boolean(),
      alpha: fc.constantFrom(1, 0.5),
      beta: fc.constantFrom(1, 0, 2),
      c: fc.nat(5),
      computed: fc.boolean(),
    })
    .map(({ m, n, k, transA, transB, alpha, beta, c, computed }) => (b) => {
      const shape = transB ? [n, k] : [k, n];
      const bias = [undefined, [n], [m, 1], [1, n], [m, n], []][c];
      const right = computed || k === 0 ? b.image("w", shape) : b.weight("w", shape);
      return b.add("Gemm", [b.image("x", transA ? [k, m] : [m, k]), right, bias && b.image("c", bias)], { alpha, beta, transA, transB });
    }),
  MatMul: fc
    .record({
      batch: shapeOf(0, 2, 3),
      m: size(20),
      n: size(20),
      k: size(20),
      left: fc.nat(2),
      right: fc.nat(2),
      vector: fc.constantFrom("none", "none", "left", "right"),
      computed: fc.boolean(),
    })
    .map(({ batch, m, n, k, left, right, vector, computed }) => (b) => {
      const [a, w] = [vector === "left" ? [k] : [...batch.slice(left), m, k], vector === "right" ? [k] : [...batch.slice(right), k, n]];
      return b.add("MatMul", [b.image("x", a), computed ? b.image("w", w) : b.weight("w", w)]);
    }),
  Transpose: shapeOf(1, 5).chain((shape) =>
    fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }).map((perm) => (b: TestGraph) => b.add("Transpose", [b.image("x", shape)], { perm })),
  ),
  Concat: fc.tuple(shapeOf(1, 4), fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }), fc.nat(3)).map(([shape, extents, at]) => (b) => {
    const axis = at % shape.length;
    return b.add(
      "Concat",
      extents.map((extent, i) => b.image(`x${i}`, shape.with(axis, extent))),
      { axis },
    );
  }),
  Split: fc.tuple(shapeOf(1, 4), fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }), fc.nat(3)).map(([shape, sizes, at]) => (b) => {
    const axis = at % shape.length;
    return b.addMany(
      "Split",
      [
        b.image(
          "x",
          shape.with(
            axis,
            sizes.reduce((a, d) => a + d, 0),
          ),
        ),
      ],
      { axis, sizes },
    );
  }),
  Slice: shapeOf(1, 4).chain((shape) =>
    fc.tuple(each(shape.length, fc.nat(10)), each(shape.length, fc.nat(10)), each(shape.length, fc.constantFrom(1, 2, 3, -1, -2))).map(([from, count, steps]) => (b: TestGraph) => {
      const starts = shape.map((d, i) => (from[i] as number) % d);
      const sizes = shape.map((d, i) => {
        const [start, step] = [starts[i] as number, steps[i] as number];
        const most = step > 0 ? Math.ceil((d - start) / step) : Math.ceil((start + 1) / -step);
        return (count[i] as number) % (most + 1);
      });
      return b.add("Slice", [b.image("x", shape)], { starts, sizes, steps });
    }),
  ),
  Pad: fc.tuple(shapeOf(1, 4), fc.constantFrom("constant", "reflect", "edge", "wrap"), fc.constantFrom<DType>("float32", "int32", "int8")).chain(([shape, mode, dtype]) =>
    each(2 * shape.length, fc.integer({ min: mode === "constant" ? -2 : 0, max: 3 })).map((around) => (b: TestGraph) => {
      const pads = around.map((p, i) => (p < 0 && (shape[i % shape.length] as number) < 5 ? 0 : p));
      return b.add("Pad", [b.input("x", { dtype, shape })], { pads, value: -3, mode });
    }),
  ),
  Expand: fc.tuple(shapeOf(1, 4, 4), each(4, fc.boolean()), fc.nat(2)).map(([shape, ones, drop]) => (b) => {
    const own = shape.map((d, i) => (ones[i] === true ? 1 : d)).slice(drop % shape.length);
    return b.add("Expand", [b.image("x", own)], { shape });
  }),
  Gather: fc.tuple(shapeOf(1, 4), fc.nat(3), shapeOf(0, 2, 4), fc.boolean()).map(([shape, at, indexShape, computed]) => (b) => {
    const axis = at % shape.length;
    const extent = shape[axis] as number;
    const numbers = Array.from({ length: elementCount(indexShape) }, (_, i) => ((i * 5 + 1) % (2 * extent)) - extent);
    const indices = computed ? b.input("indices", { dtype: "int64", shape: indexShape }) : b.constant("indices", int64Tensor(indexShape, numbers));
    return b.add("Gather", [b.image("x", shape), indices], { axis });
  }),
  Resize: fc
    .record({
      shape: shapeOf(1, 4, 5),
      sizes: each(4, size(9)),
      mode: fc.constantFrom("nearest", "linear", "cubic"),
      coordinateMode: fc.constantFrom("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "tf_crop_and_resize"),
      nearestMode: fc.constantFrom("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
      antialias: fc.boolean(),
      excludeOutside: fc.boolean(),
    })
    .map(({ shape, sizes, mode, coordinateMode, antialias, ...rest }) => (b) => {
      const out = sizes.slice(0, shape.length);
      const roi = coordinateMode === "tf_crop_and_resize" ? [...shape.map(() => 0.2), ...shape.map(() => 1.1)] : [];
      const soft = mode !== "nearest" && antialias && coordinateMode !== "tf_crop_and_resize";
      const attrs = {
        ...rest,
        mode,
        coordinateMode,
        antialias: soft,
        sizes: out,
        scales: out.map((s, i) => s / (shape[i] as number)),
        cubicCoeff: -0.75,
        extrapolationValue: 7,
        roi,
      };
      return b.add("Resize", [b.image("x", shape)], attrs);
    }),
  DepthToSpace: fc.tuple(shapeOf(4, 4, 3), size(3), fc.constantFrom("DCR", "CRD")).map(
    ([[n = 1, c = 1, h = 1, w = 1], s, mode]) =>
      (b) =>
        b.add("DepthToSpace", [b.image("x", [n, c * s * s, h, w])], { blocksize: s, mode }),
  ),
  SpaceToDepth: fc.tuple(shapeOf(4, 4, 3), size(3)).map(
    ([[n = 1, c = 1, h = 1, w = 1], s]) =>
      (b) =>
        b.add("SpaceToDepth", [b.image("x", [n, c, h * s, w * s])], { blocksize: s }),
  ),
};

function feedsFor(graph: Graph): Record<string, Tensor> {
  return Object.fromEntries(
    graph.inputs.map(({ name, type: { dtype, shape } }, i) => {
      if (dtype === "float32") return [name, randomTensor(shape, i)];
      const next = randomNumbers(i);
      const data = makeData(dtype, elementCount(shape));
      for (let k = 0; k < data.length; k++) {
        const v = Math.trunc(next() * 9);
        // Indices may not leave the axis: 0 and −1 always lie inside.
        data[k] = (name === "indices" ? BigInt(v % 2 === 0 ? 0 : -1) : dtype === "int64" ? BigInt(v) : dtype === "uint8" ? Math.abs(v) : v) as never;
      }
      return [name, { dtype, shape, data } as Tensor];
    }),
  );
}

describe("every op, with random shapes and attributes, as the reference semantics say", () => {
  const all = Object.values(targets);
  test.each(Object.entries(cases))("%s", (_, arbitrary) => {
    let turn = 0;
    fc.assert(
      fc.property(arbitrary, (make) => {
        const b = new TestGraph(1);
        const made = make(b);
        for (const [i, value] of [made].flat().entries()) b.output(`y${i}`, value as Value);
        const graph = b.finish();
        expectSame(graph, feedsFor(graph), all[turn++ % all.length]);
      }),
      { numRuns: Number(process.env.RUNS ?? 60) },
    );
  });
});
