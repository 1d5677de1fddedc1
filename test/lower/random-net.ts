import fc from "fast-check";
import { noActivation, relu } from "../../src/ir/activation.ts";
import { e } from "../../src/ir/expr.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { windowOutput } from "../../src/ops/window.ts";
import { TestGraph } from "../passes/helpers.ts";

const sizes = (max: number) => fc.integer({ min: 1, max });
const pair = (max: number) => fc.tuple(sizes(max), sizes(max));
const upTo = (max: number) => fc.integer({ min: 0, max });

const window = fc.record({
  kernel: fc.oneof({ weight: 2, arbitrary: fc.constantFrom<[number, number]>([1, 1], [3, 3]) }, { weight: 1, arbitrary: pair(4) }),
  strides: fc.oneof({ weight: 2, arbitrary: fc.constantFrom<[number, number]>([1, 1], [2, 2]) }, { weight: 1, arbitrary: pair(3) }),
  dilations: fc.oneof({ weight: 3, arbitrary: fc.constant<[number, number]>([1, 1]) }, { weight: 1, arbitrary: pair(2) }),
  pads: fc.tuple(upTo(2), upTo(2), upTo(2), upTo(2)),
});

const activation = fc.constantFrom(
  noActivation,
  relu,
  { kind: "clamp", low: -0.5, high: 0.75 } as const,
  { kind: "expr", expr: e.mul(e.input(0), e.sigmoid(e.input(0))) } as const,
);

const layer = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("conv" as const),
      window,
      filters: sizes(9),
      groups: fc.constantFrom("dense", "grouped", "depthwise"),
      bias: fc.boolean(),
      residual: fc.boolean(),
      zeros: fc.constantFrom(0, 0, 0.7, 1),
      activation,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pool" as const), window, max: fc.boolean(), ceilMode: fc.boolean(), countIncludePad: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("concat" as const), axis: sizes(3), other: upTo(9) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("add" as const), other: upTo(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unary" as const), op: fc.constantFrom("Relu", "Sigmoid", "Neg", "Tanh", "Softmax", "Transpose", "Reshape", "Norm") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pad" as const), pads: fc.array(fc.integer({ min: -1, max: 2 }), { minLength: 8, maxLength: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("slice" as const), axis: upTo(3), step: fc.constantFrom(1, 2, -1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("scale" as const), other: upTo(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("output" as const) }) },
);
type Layer = typeof layer extends fc.Arbitrary<infer T> ? T : never;

/** What describes a small net of images; `buildNet` makes the best of it. */
export const netSpec = fc.record({
  image: fc.tuple(sizes(3), sizes(6), sizes(9), sizes(11)),
  layers: fc.array(layer, { minLength: 1, maxLength: 8 }),
  classify: fc.boolean(),
});
export type NetSpec = typeof netSpec extends fc.Arbitrary<infer T> ? T : never;

export function buildNet({ image, layers, classify }: NetSpec, seed = 1): Graph {
  const b = new TestGraph(seed);
  const values: Value[] = [b.image("x", image)];
  let outputs = 0;
  for (const spec of layers) {
    const x = values.at(-1) as Value;
    if (spec.kind === "output") b.output(`y${outputs++}`, x);
    else {
      const y = addLayer(b, spec, x, values);
      if (y !== undefined) values.push(y);
    }
  }
  const last = values.at(-1) as Value;
  const [n, ...rest] = last.type.shape as [number, ...number[]];
  const features = rest.reduce((a, d) => a * d, 1);
  if (!classify) b.output("y", last);
  else
    b.output(
      "y",
      b.add("Gemm", [b.add("Reshape", [last], { shape: [n, features] }), b.weight("fc", [features, 5]), b.weight("fc.bias", [5])], {
        alpha: 1,
        beta: 1,
        transA: false,
        transB: false,
      }),
    );
  return b.finish();
}

function addLayer(b: TestGraph, spec: Exclude<Layer, { kind: "output" }>, x: Value, values: readonly Value[]): Value | undefined {
  const [n, c, h, w] = x.type.shape as [number, number, number, number];
  const like = (same: (shape: readonly number[]) => boolean, other: number) => {
    const fitting = values.filter((v) => same(v.type.shape));
    return fitting[other % fitting.length] as Value;
  };
  switch (spec.kind) {
    case "conv": {
      const multiple = Math.ceil(spec.filters / c) * c;
      const group = spec.groups === "depthwise" ? c : spec.groups === "grouped" && c % 2 === 0 ? 2 : 1;
      const filters = spec.groups === "depthwise" ? multiple : group === 2 ? spec.filters * 2 : spec.filters;
      const { kernel, ...attrs } = spec.window;
      if (output("Conv", [h, w], kernel, attrs) === undefined) return undefined;
      const count = (c / group) * kernel[0] * kernel[1];
      let at = 0;
      const weight = b.weight("w", [filters, c / group, ...kernel], (v) => ((at++ * 0.37) % 1 < spec.zeros ? 0 : v / Math.sqrt(count)));
      const bias = spec.bias ? b.weight("b", [filters]) : undefined;
      const y = b.add("Conv", [x, weight, bias], { ...attrs, group });
      const twin = spec.residual ? values.find((v) => v.type.shape.join() === y.type.shape.join()) : undefined;
      const sum = twin === undefined ? y : b.add("Add", [y, twin]);
      if (spec.activation.kind === "none") return sum;
      return spec.activation.kind === "clamp" ? b.add("Clip", [sum], { min: spec.activation.low, max: spec.activation.high }) : b.add("Mul", [sum, b.add("Sigmoid", [sum])]);
    }
    case "pool": {
      const { max, ceilMode, countIncludePad, window: attrs } = spec;
      // ONNX wants padding smaller than the kernel. Windows with gaps could see padding alone, whose greatest is −∞: then zeros of weights would not be neutral.
      const dilated = max && attrs.dilations.some((d) => d > 1);
      const pads = attrs.pads.map((p, i) => (dilated ? 0 : Math.min(p, (attrs.kernel[i % 2] as number) - 1)));
      if (output("Pool", [h, w], attrs.kernel, { ...attrs, pads }, ceilMode) === undefined) return undefined;
      return b.add(max ? "MaxPool" : "AveragePool", [x], { ...attrs, pads, ceilMode, ...(max ? {} : { countIncludePad }) });
    }
    case "concat": {
      const other = like((shape) => shape.every((d, i) => i === spec.axis || d === x.type.shape[i]), spec.other);
      return b.add("Concat", [x, other], { axis: spec.axis });
    }
    case "add":
      return b.add("Add", [x, like((shape) => shape.join() === x.type.shape.join(), spec.other)]);
    case "scale":
      return b.add("Mul", [x, like((shape) => shape.every((d, i) => d === 1 || d === x.type.shape[i]), spec.other)]);
    case "unary":
      if (spec.op === "Softmax") return b.add("Softmax", [x], { axis: 1 });
      if (spec.op === "Transpose") return b.add("Transpose", [x], { perm: [0, 1, 3, 2] });
      if (spec.op === "Reshape") return b.add("Reshape", [x], { shape: [n, 1, c * h, w] });
      if (spec.op === "Norm") return b.add("BatchNormalization", [x, ...b.statistics("bn", c)], { epsilon: 1e-3 });
      return b.add(spec.op, [x]);
    case "pad": {
      const pads = spec.pads.map((p, i) => (i % 4 === 0 ? 0 : p));
      const fits = x.type.shape.every(
        (d, i) => d + (pads[i] as number) + (pads[i + 4] as number) > 0 && d + Math.min(0, pads[i] as number) + Math.min(0, pads[i + 4] as number) > 0,
      );
      return fits ? b.add("Pad", [x], { pads, value: 0.5, mode: "constant" }) : undefined;
    }
    case "slice": {
      const size = Math.ceil((x.type.shape[spec.axis] as number) / Math.abs(spec.step));
      const starts = [0, 0, 0, 0].with(spec.axis, spec.step < 0 ? size - 1 : 0);
      return b.add("Slice", [x], { starts, sizes: x.type.shape.with(spec.axis, size), steps: [1, 1, 1, 1].with(spec.axis, spec.step) });
    }
  }
}

/** Extents of a window's output, or nothing where the window does not fit. */
function output(op: string, size: readonly number[], kernel: readonly number[], attrs: Parameters<typeof windowOutput>[3], ceilMode = false): number[] | undefined {
  try {
    const out = windowOutput(op, size, kernel, attrs, ceilMode);
    return out.every((d) => d > 0) ? out : undefined;
  } catch {
    return undefined;
  }
}
