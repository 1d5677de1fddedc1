import { describe, expect, test } from "vitest";
import { e } from "../../src/ir/expr.ts";
import type { Attrs, ParameterValue, Value } from "../../src/ir/graph.ts";
import { elementCount, float32Tensor, type Tensor } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { differentiate } from "../../src/train/differentiate.ts";
import { createRandom } from "../../src/zoo/random.ts";

interface Case {
  readonly op: string;
  readonly name?: string;
  readonly shapes: readonly (readonly number[])[];
  readonly attrs?: Attrs;
  /** Inputs that are differentiated; all by default. */
  readonly wrt?: readonly number[];
  /** Range of the inputs, to stay off kinks and poles. */
  readonly range?: readonly [number, number];
  readonly output?: number;
}

const conv = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
const pool = { kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false };
const gemm = { alpha: 1, beta: 1, transA: false, transB: false };
const x = [2, 3, 5, 4];

const cases: readonly Case[] = [
  { op: "Conv", shapes: [x, [4, 3, 3, 3], [4]], attrs: conv },
  { op: "Conv", name: "strided, padded", shapes: [[2, 2, 7, 6], [4, 2, 3, 3], [4]], attrs: { ...conv, strides: [2, 2], pads: [1, 1, 1, 1] } },
  {
    op: "Conv",
    name: "grouped, dilated, uneven",
    shapes: [
      [1, 4, 7, 8],
      [6, 2, 3, 2],
    ],
    attrs: { ...conv, group: 2, dilations: [2, 1], strides: [1, 2], pads: [0, 1, 2, 0] },
  },
  {
    op: "Conv",
    name: "depthwise",
    shapes: [
      [1, 3, 5, 5],
      [3, 1, 3, 3],
    ],
    attrs: { ...conv, group: 3, pads: [1, 1, 1, 1] },
  },
  { op: "Gemm", shapes: [[3, 4], [4, 5], [5]], attrs: { ...gemm, alpha: 0.7, beta: 1.3 } },
  {
    op: "Gemm",
    name: "B transposed",
    shapes: [
      [3, 4],
      [5, 4],
      [1, 5],
    ],
    attrs: { ...gemm, transB: true },
  },
  {
    op: "Gemm",
    name: "A transposed",
    shapes: [
      [4, 3],
      [4, 5],
    ],
    attrs: { ...gemm, transA: true },
  },
  {
    op: "Gemm",
    name: "both transposed",
    shapes: [
      [4, 3],
      [5, 4],
    ],
    attrs: { ...gemm, transA: true, transB: true, alpha: 2 },
  },
  {
    op: "MatMul",
    shapes: [
      [3, 4],
      [4, 5],
    ],
  },
  {
    op: "MatMul",
    name: "rows",
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
  },
  {
    op: "MatMul",
    name: "broadcast batch",
    shapes: [
      [2, 3, 4],
      [1, 4, 5],
    ],
  },
  { op: "BatchNormalization", shapes: [x, [3], [3], [3], [3]], attrs: { epsilon: 1e-3 }, wrt: [0, 1, 2], range: [0.5, 1.5] },
  { op: "BatchNormTraining", shapes: [x, [3], [3]], attrs: { epsilon: 1e-3 }, output: 0 },
  { op: "Softmax", shapes: [[3, 5]], attrs: { axis: 1 } },
  { op: "Softmax", name: "inner axis", shapes: [[2, 3, 4]], attrs: { axis: 1 } },
  { op: "LogSoftmax", shapes: [[3, 5]], attrs: { axis: 1 } },
  { op: "MaxPool", shapes: [[1, 2, 6, 6]], attrs: pool },
  { op: "MaxPool", name: "overlapping, padded", shapes: [[1, 2, 7, 7]], attrs: { ...pool, kernel: [3, 3], pads: [1, 1, 1, 1] } },
  { op: "AveragePool", shapes: [[1, 2, 6, 6]], attrs: { ...pool, countIncludePad: false } },
  { op: "AveragePool", name: "overlapping, padded", shapes: [[1, 2, 5, 5]], attrs: { ...pool, kernel: [3, 3], pads: [1, 1, 1, 1], countIncludePad: false } },
  { op: "AveragePool", name: "padding counts", shapes: [[1, 2, 5, 5]], attrs: { ...pool, kernel: [3, 3], pads: [1, 1, 1, 1], countIncludePad: true } },
  { op: "GlobalAveragePool", shapes: [x] },
  { op: "GlobalMaxPool", shapes: [x] },
  { op: "ReduceSum", shapes: [[2, 3, 4]], attrs: { axes: [0, 2], keepdims: false } },
  { op: "ReduceMean", shapes: [[2, 3, 4]], attrs: { axes: [1, 2], keepdims: true } },
  { op: "ReduceSumSquare", shapes: [[2, 3, 4]], attrs: { axes: [1], keepdims: false } },
  { op: "ReduceMax", shapes: [[2, 3, 4]], attrs: { axes: [1], keepdims: false } },
  { op: "ReduceMin", shapes: [[2, 3, 4]], attrs: { axes: [2], keepdims: true } },
  { op: "Reshape", shapes: [[2, 3, 4]], attrs: { shape: [6, 4] } },
  { op: "Transpose", shapes: [[2, 3, 4]], attrs: { perm: [2, 0, 1] } },
  { op: "Expand", shapes: [[3, 1]], attrs: { shape: [2, 3, 4] } },
  {
    op: "Concat",
    shapes: [
      [2, 3, 2],
      [2, 1, 2],
      [2, 2, 2],
    ],
    attrs: { axis: 1 },
  },
  { op: "Split", shapes: [[2, 5, 2]], attrs: { axis: 1, sizes: [2, 3] }, output: 1 },
  { op: "Slice", shapes: [[3, 4, 5]], attrs: { starts: [1, 0, 2], sizes: [2, 4, 3], steps: [1, 1, 1] } },
  { op: "Slice", name: "subsampled", shapes: [[1, 2, 7, 6]], attrs: { starts: [0, 0, 0, 1], sizes: [1, 2, 4, 3], steps: [1, 1, 2, 2] } },
  { op: "Slice", name: "steps in any dimension", shapes: [[5, 4, 7]], attrs: { starts: [1, 0, 0], sizes: [2, 2, 3], steps: [3, 2, 3] } },
  { op: "Pad", shapes: [[2, 3, 4]], attrs: { pads: [0, 1, 2, 0, 2, 0], value: 0.5, mode: "constant" } },
  { op: "Identity", shapes: [[3]] },
  { op: "Dropout", shapes: [[3]], attrs: { ratio: 0.5 } },
  { op: "Relu", shapes: [[3, 4]] },
  { op: "Clip", shapes: [[3, 4]], attrs: { min: -0.5, max: 0.5 } },
  { op: "LeakyRelu", shapes: [[3, 4]], attrs: { alpha: 0.1 } },
  {
    op: "PRelu",
    shapes: [
      [2, 3, 4],
      [3, 1],
    ],
  },
  { op: "Sigmoid", shapes: [[7]] },
  { op: "Tanh", shapes: [[7]] },
  { op: "HardSigmoid", shapes: [[7]], attrs: { alpha: 0.2, beta: 0.5 } },
  { op: "HardSwish", shapes: [[7]] },
  { op: "Elu", shapes: [[7]], attrs: { alpha: 1.2 } },
  { op: "Selu", shapes: [[7]], attrs: { alpha: 1.67, gamma: 1.05 } },
  { op: "Softplus", shapes: [[7]] },
  { op: "Softsign", shapes: [[7]] },
  { op: "Gelu", shapes: [[7]], attrs: { approximate: "none" } },
  { op: "Mish", shapes: [[7]] },
  { op: "Exp", shapes: [[7]] },
  { op: "Log", shapes: [[7]], range: [0.5, 2] },
  { op: "Sqrt", shapes: [[7]], range: [0.5, 2] },
  { op: "Reciprocal", shapes: [[7]], range: [0.5, 2] },
  { op: "Erf", shapes: [[7]] },
  { op: "Abs", shapes: [[7]] },
  { op: "Neg", shapes: [[7]] },
  { op: "Add", shapes: [[2, 3], [3]] },
  {
    op: "Sub",
    shapes: [
      [2, 3],
      [2, 1],
    ],
  },
  { op: "Mul", shapes: [[2, 3], []] },
  {
    op: "Div",
    shapes: [
      [2, 1, 3],
      [4, 3],
    ],
    range: [0.5, 2],
  },
  { op: "Pow", shapes: [[2, 3], [3]], range: [0.5, 2] },
  {
    op: "Min",
    shapes: [
      [2, 3],
      [2, 3],
    ],
  },
  {
    op: "Max",
    shapes: [
      [2, 3],
      [1, 3],
    ],
  },
  { op: "Map", shapes: [[2, 3], [3]], attrs: { expr: e.mul(e.tanh(e.input(0)), e.sub(e.input(1), e.input(0))) } },
  { op: "LRN", shapes: [[1, 6, 2, 2]], attrs: { alpha: 0.3, beta: 0.75, bias: 1, size: 5 } },
];

/** Puts distinct values on a grid in random order, so that no two maxima or kinks come close. */
function randomTensor(shape: readonly number[], [low, high]: readonly [number, number], stream: string): Tensor<"float32"> {
  const count = elementCount(shape);
  const random = createRandom(7, stream);
  const order = Array.from({ length: count }, (_, i) => ({ i, key: random.uniform() })).sort((a, b) => a.key - b.key);
  const data = new Float32Array(count);
  order.forEach(({ i }, rank) => {
    data[i] = low + ((high - low) * (rank + 0.3 + 0.3 * random.uniform())) / count;
  });
  return float32Tensor(shape, data);
}

const floats = (tensor: Tensor | undefined) => (tensor as Tensor<"float32">).data;

describe("gradients against central differences", () => {
  for (const { op, name, shapes, attrs = {}, range = [-1, 1] as const, wrt = shapes.map((_, i) => i), output = 0 } of cases)
    test(name === undefined ? op : `${op}, ${name}`, () => {
      const builder = new GraphBuilder();
      const parameters = shapes.map((shape, i) => builder.parameter(`p${i}`, randomTensor(shape, range, `${op}${name}${i}`)));
      const y = builder.addMany(op, parameters, attrs)[output] as Value;
      // loss = Σ weight · y, weights unlike each other.
      const weight = builder.constant("weight", randomTensor(y.type.shape, [-1, 1], "weight"));
      const product = builder.add("Mul", [y, weight]);
      const loss = builder.add("ReduceSum", [product], { axes: y.type.shape.map((_, i) => i), keepdims: false });
      builder.output("y", product);
      const graph = builder.finish();
      const wanted = wrt.map((i) => parameters[i] as ParameterValue);
      const { graph: both } = differentiate(graph, { loss, wrt: wanted });
      const outputs = interpret(both, {}).outputs;
      const lossOf = (values: ReadonlyMap<ParameterValue, Tensor>) => floats(interpret(graph, {}, values).outputs.get("y")).reduce((a, b) => a + b, 0);
      for (const parameter of wanted) {
        const gradient = outputs.get(`gradient.${parameter.name}`) as Tensor;
        expect(gradient.shape).toEqual(parameter.type.shape);
        const h = 1e-2 / Math.max(1, elementCount(parameter.type.shape) / 20);
        const numeric = Array.from(parameter.data as Float32Array, (v, i) => {
          const at = (delta: number) => {
            const data = (parameter.data as Float32Array).slice();
            data[i] = v + delta;
            return { loss: lossOf(new Map([[parameter, { ...parameter.type, data } as Tensor]])), v: data[i] as number };
          };
          const [up, down] = [at(h), at(-h)];
          return (up.loss - down.loss) / (up.v - down.v);
        });
        const scale = Math.max(1, ...numeric.map(Math.abs));
        numeric.forEach((expected, i) => {
          expect(Math.abs((gradient.data[i] as number) - expected) / scale, `${parameter.name}[${i}]: ${gradient.data[i]} against ${expected}`).toBeLessThan(4e-3);
        });
      }
    });
});

describe("differentiate", () => {
  test("adds the contributions of several uses", () => {
    const builder = new GraphBuilder();
    const p = builder.parameter("p", float32Tensor([3], [1, 2, 3]));
    const square = builder.add("Mul", [p, p]);
    const loss = builder.add("ReduceSum", [builder.add("Add", [square, p])], { axes: [0], keepdims: false });
    const { graph } = differentiate(builder.finish(), { loss, wrt: [p] });
    expect([...floats(interpret(graph, {}).outputs.get("gradient.p"))]).toEqual([3, 5, 7]);
  });

  test("cross-entropy: p − onehot, over N", () => {
    const builder = new GraphBuilder();
    const logits = builder.parameter("logits", float32Tensor([2, 3], [0, 0, 0, 1, 2, 3]));
    const labels = builder.input("labels", { dtype: "int32", shape: [2] });
    const { graph } = differentiate(builder.finish(), { loss: (b) => b.addMany("SoftmaxCrossEntropy", [logits, labels])[0] as Value, wrt: [logits] });
    const { outputs } = interpret(graph, { labels: { dtype: "int32", shape: [2], data: Int32Array.of(1, 2) } });
    const gradient = [...floats(outputs.get("gradient.logits"))];
    [1 / 6, -1 / 3, 1 / 6, 0.04502, 0.12236, -0.16738].forEach((v, i) => {
      expect(gradient[i]).toBeCloseTo(v, 4);
    });
  });

  test("lists every operator without a gradient", () => {
    const builder = new GraphBuilder();
    const p = builder.parameter("p", float32Tensor([1, 1, 2, 2], [1, 2, 3, 4]));
    const attrs = { blocksize: 2, mode: "DCR" };
    const wide = builder.add("SpaceToDepth", [p], { blocksize: 2 }, "first");
    const back = builder.add("DepthToSpace", [wide], attrs, "second");
    const loss = builder.add("ReduceSum", [back], { axes: [0, 1, 2, 3], keepdims: false });
    expect(() => differentiate(builder.finish(), { loss, wrt: [p] })).toThrowError(/first: operator SpaceToDepth[\s\S]*second: operator DepthToSpace/);
  });
});
