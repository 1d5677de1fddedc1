import type { Graph, Value } from "../../src/ir/graph.ts";
import { conv, gemm, randomNumbers, TestGraph } from "./helpers.ts";

const window = (kernel: number, stride: number, pad: number) => ({
  kernel: [kernel, kernel],
  strides: [stride, stride],
  pads: [pad, pad, pad, pad],
  dilations: [1, 1],
  ceilMode: false,
});

type Step = (b: TestGraph, x: Value, pick: (n: number) => number, same: (x: Value) => Value) => Value;

/** What nets are made of, and what exporters leave between. Each takes an image and gives one. */
const steps: readonly Step[] = [
  ...[1, 3].flatMap((kernel): Step[] => [
    (b, x, pick) => convolution(b, x, kernel, 1 + pick(4), 1, pick(2) === 1),
    (b, x) => convolution(b, x, kernel, channelsOf(x), channelsOf(x), false), // depthwise
    (b, x) => b.add("Relu", [b.add("BatchNormalization", [convolution(b, x, kernel, 3, 1, false), ...b.statistics("bn", 3)], { epsilon: 1e-3 })]),
  ]),
  (b, x, _, same) => b.add("Add", [convolution(b, x, 3, channelsOf(x), 1, true), same(x)]),
  (b, x, _, same) => b.add("Add", [same(x), x]),
  (b, x) => b.add("BatchNormalization", [x, ...b.statistics("bn", channelsOf(x))], { epsilon: 1e-3 }),
  (b, x) => b.add("Relu", [x]),
  (b, x) => b.add("Clip", [x], { min: -0.5, max: 0.75 }),
  (b, x) => b.add("LeakyRelu", [x], { alpha: 0.1 }),
  (b, x) => b.add("Mul", [x, b.add("Sigmoid", [x])]),
  (b, x) => b.add("Div", [b.add("Mul", [x, b.add("Clip", [b.add("Add", [x, b.filled("three", [], 3)])], { min: 0, max: 6 })]), b.filled("six", [1], 6)]),
  (b, x) => b.add("Mul", [x, b.weight("scale", [channelsOf(x), 1, 1])]),
  (b, x) => b.add("Add", [b.weight("shift", [1, channelsOf(x), 1, 1]), x]),
  (b, x) => b.add("Mul", [x, b.add("Sigmoid", [b.add("GlobalAveragePool", [x])])]), // squeeze and excite
  (b, x) => b.add("Identity", [b.add("Dropout", [x], { ratio: 0.5 })]),
  (b, x) => b.add("Pad", [x], { pads: [0, 0, 1, 0, 0, 0, 0, 1], value: 0, mode: "constant" }),
  (b, x) => b.add("Transpose", [b.add("Transpose", [x], { perm: [0, 2, 3, 1] })], { perm: [0, 3, 1, 2] }),
  (b, x) => b.add("Reshape", [b.add("Reshape", [x], { shape: [x.type.shape.reduce((n, d) => n * d, 1)] })], { shape: x.type.shape }),
  (b, x) => b.add("Concat", [x, b.add("Neg", [x])], { axis: 1 }),
  (b, x) => b.add("Slice", [x], { starts: [0, channelsOf(x) - 1, 0, 0], sizes: [...x.type.shape.slice(0, 1), 1, ...x.type.shape.slice(2)], steps: [1, 1, 1, 1] }),
  (b, x) => b.add("MaxPool", [x], window(3, 1, 1)),
  (b, x) => b.add("Relu", [b.add("MaxPool", [convolution(b, x, 3, 2, 1, true)], window(2, 1, 0))]),
  (b, x) => b.add("AveragePool", [x], { ...window(2, 1, 0), countIncludePad: false }),
];

const channelsOf = (x: Value) => x.type.shape[1] as number;

function convolution(b: TestGraph, x: Value, kernel: number, filters: number, group: number, bias: boolean): Value {
  const w = b.weight("w", [filters, channelsOf(x) / group, kernel, kernel]);
  return b.add("Conv", [x, w, bias ? b.weight("b", [filters]) : undefined], conv((kernel - 1) / 2, 1, group));
}

/** A net of random steps with a classifier at its end, the same for the same seed. Some values are outputs besides. */
export function randomGraph(seed: number): Graph {
  const b = new TestGraph(seed);
  const next = randomNumbers(seed);
  const pick = (n: number) => Math.floor(((next() + 1) / 2) * n * 0.999999);
  const values: Value[] = [b.image("x", [1, 1 + pick(3), 4 + pick(3), 5])];
  const same = (x: Value) => values.findLast((v) => v !== x && v.type.shape.join() === x.type.shape.join()) ?? x;
  const current = () => values.at(-1) as Value;
  for (let i = 3 + pick(10); i > 0; i--) {
    const step = steps[pick(steps.length)] as Step;
    if (channelsOf(current()) <= 8 && (current().type.shape[3] as number) > 2) values.push(step(b, current(), pick, same));
    if (pick(8) === 0) b.output(`side${i}`, current());
  }
  const pooled = b.add("ReduceMean", [current()], { axes: [2, 3], keepdims: pick(2) === 1 });
  const features = b.add("Reshape", [pooled], { shape: [1, channelsOf(pooled)] });
  const w = b.weight("fc", [channelsOf(pooled), 3]);
  const logits = pick(2) === 0 ? b.add("MatMul", [features, w]) : b.add("Gemm", [features, w, b.weight("c", [3])], gemm);
  b.output("logits", b.add("Tanh", [b.add("Add", [logits, b.weight("bias", [3])])]));
  return b.finish();
}
