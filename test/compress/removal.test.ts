import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { weightLayers } from "../../src/compress/layers.ts";
import { liveWeights, removeDeadUnits } from "../../src/compress/removal/remove.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { elementCount, float32Tensor, type Tensor, tensorType } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { prepareNet, weightsOf, withWeights } from "../../src/train/weights.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { tinyNet } from "../train/toy.ts";

function outputOf(graph: Graph, seed = 1): Float32Array {
  const input = graph.inputs[0] as Graph["inputs"][0];
  const random = createRandom(seed, "images");
  const x = Float32Array.from({ length: elementCount(input.type.shape) }, () => random.normal());
  const { outputs } = interpret(graph, { [input.name]: { ...input.type, data: x } as Tensor }, new Map());
  return [...outputs.values()][0]?.data as Float32Array;
}

function expectSame(a: Graph, b: Graph): void {
  const [x, y] = [outputOf(a), outputOf(b)];
  const scale = Math.max(1, ...x.map(Math.abs));
  expect(Math.max(...x.map((v, i) => Math.abs(v - (y[i] as number)))) / scale).toBeLessThan(1e-5);
}

/** Zeros whole rows and columns of weights, some biases and scales of BatchNorm, at random. */
function withDeadUnits(graph: Graph, seed: number, share: number): Graph {
  const random = createRandom(seed, "dead");
  const weights = weightsOf(graph);
  for (const { name, matrix } of weightLayers(graph)) {
    const w = (weights.get(name) as Float32Array).slice();
    const [rows, columns] = matrix.inputsFirst ? [matrix.inputs, matrix.outputs] : [matrix.outputs, matrix.inputs];
    for (let r = 0; r < rows; r++) if (random.uniform() < share) w.fill(0, r * columns * matrix.taps, (r + 1) * columns * matrix.taps);
    for (let c = 0; c < columns; c++)
      if (random.uniform() < share / 2) for (let r = 0; r < rows; r++) w.fill(0, (r * columns + c) * matrix.taps, (r * columns + c + 1) * matrix.taps);
    weights.set(name, w);
  }
  for (const [name, w] of weights)
    if (w.length < 200 && !name.includes("var"))
      weights.set(
        name,
        w.map((v) => (random.uniform() < share ? 0 : v)),
      );
  return withWeights(graph, weights);
}

const countOf = (graph: Graph): number => weightLayers(graph).reduce((n, l) => n + l.count, 0);

/** Unpadded and padded convolutions with BatchNorm, a residual sum, a gate, a shortcut that is cut and padded, a concatenation, a depthwise convolution, and MatMul without bias. */
function everyKind(seed: number): Graph {
  const builder = new GraphBuilder("every");
  const random = createRandom(seed, "every");
  const constant = (name: string, shape: readonly number[], positive = false): Value =>
    builder.constant(
      name,
      float32Tensor(
        shape,
        Float32Array.from({ length: elementCount(shape) }, () => (positive ? 0.5 + random.uniform() : random.normal() / 2)),
      ),
    );
  const conv = (x: Value, name: string, outputs: number, pad: number, group = 1, bias = true): Value =>
    builder.add(
      "Conv",
      [x, constant(`${name}.weight`, [outputs, (x.type.shape[1] as number) / group, 3, 3]), ...(bias ? [constant(`${name}.bias`, [outputs])] : [])],
      { strides: [1, 1], pads: [pad, pad, pad, pad], dilations: [1, 1], group },
      name,
    );
  const norm = (x: Value, name: string): Value => {
    const n = [x.type.shape[1] as number];
    return builder.add(
      "BatchNormalization",
      [x, constant(`${name}.scale`, n), constant(`${name}.bias`, n), constant(`${name}.mean`, n), constant(`${name}.var`, n, true)],
      { epsilon: 1e-5 },
      name,
    );
  };
  const relu = (x: Value): Value => builder.add("Relu", [x]);
  const x = builder.input("x", tensorType("float32", [1, 2, 8, 8]));
  const a = relu(conv(x, "a", 6, 0));
  const b = relu(norm(conv(a, "b", 6, 1, 1, false), "b.norm"));
  const sum = relu(builder.add("Add", [b, a], {}, "sum"));
  const gate = builder.add("Sigmoid", [builder.add("GlobalAveragePool", [sum], {}, "squeeze")], {}, "gate");
  const gated = builder.add("Mul", [sum, gate], {}, "gated");
  const deep = relu(conv(gated, "deep", 6, 1, 6));
  const wide = norm(conv(deep, "wide", 9, 1), "wide.norm");
  const padded = builder.add("Pad", [gated], { pads: [0, 1, 0, 0, 0, 2, 0, 0], value: 0, mode: "constant" }, "padded");
  const both = builder.add("Concat", [relu(builder.add("Add", [wide, padded], {}, "shortcut")), a], { axis: 1 }, "both");
  const pooled = builder.add("MaxPool", [both], { kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false }, "pool");
  const flat = builder.add("Reshape", [pooled], { shape: [1, 135] }, "flat");
  const hidden = builder.add("Tanh", [builder.add("MatMul", [flat, constant("hidden.weight", [135, 7])], {}, "hidden")], {}, "tanh");
  const shifted = builder.add("Add", [hidden, constant("hidden.bias", [7])], {}, "shifted");
  builder.output("y", builder.add("MatMul", [shifted, constant("last.weight", [7, 3])], {}, "last"));
  return builder.finish();
}

describe("removeDeadUnits", () => {
  test("computes the same with fewer units, whatever they are tied to", () => {
    let smaller = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom(0.2, 0.5, 0.8), (seed, share) => {
        const graph = withDeadUnits(everyKind(seed), seed, share);
        const { graph: small, notFollowed } = removeDeadUnits(graph);
        expectSame(graph, small);
        expect(notFollowed).toEqual([]);
        if (countOf(small) < countOf(graph)) smaller++;
        expect(removeDeadUnits(small).layers).toEqual([]);
      }),
      { numRuns: 30 },
    );
    expect(smaller).toBeGreaterThan(20);
  });

  test.each([
    ["lenet5", 0.6, 0.3],
    ["mobilenet_v2", 0.5, 0.9],
  ] as const)(
    "%s",
    (name, share, left) => {
      const net = prepareNet(name === "lenet5" ? zooGraph(name) : smallImages(name));
      const graph = withDeadUnits(net, 3, share);
      const { graph: small } = removeDeadUnits(graph);
      expectSame(graph, small);
      expect(countOf(small)).toBeLessThan(left * countOf(graph));
    },
    60_000,
  );

  test("a net without dead units stays as it is; no value loses its last channel", () => {
    expect(removeDeadUnits(tinyNet()).layers).toEqual([]);
    const net = tinyNet();
    const empty = withWeights(net, new Map(weightLayers(net).map((l) => [l.name, new Float32Array(l.count)])));
    const { graph } = removeDeadUnits(empty);
    expectSame(empty, graph);
    expect(weightLayers(graph).map((l) => l.matrix.outputs)).toEqual([1, 1, 3]);
  });

  test("what cannot be followed keeps its channels and is named", () => {
    const builder = new GraphBuilder("opaque");
    const x = builder.input("x", tensorType("float32", [1, 4]));
    const dense = (v: Value, name: string, data: readonly number[], outputs: number) =>
      builder.add("MatMul", [v, builder.constant(name, float32Tensor([4, outputs], data))], {}, name);
    const softmax = builder.add("Softmax", [dense(x, "a", [1, 0, 2, 3, 1, 0, 2, 3, 4, 0, 5, 6, 7, 0, 8, 9], 4)], { axis: 1 }, "softmax");
    builder.output("y", dense(softmax, "b", [1, 2, 3, 4, 0, 0, 0, 0], 2));
    const result = removeDeadUnits(builder.finish());
    expect(result.layers).toEqual([]);
    expect(result.notFollowed).toEqual(["softmax"]);
  });

  test("live weights are those that are left", () => {
    const graph = withDeadUnits(zooGraph("lenet5"), 5, 0.7);
    const small = new Map(weightLayers(removeDeadUnits(graph).graph).map((l) => [l.name, l.count]));
    for (const [name, live] of liveWeights(graph)) expect(live.reduce((a, b) => a + b, 0)).toBe(small.get(name));
  });
});

/** The net for pictures of 32 × 32. */
function smallImages(name: "mobilenet_v2"): Graph {
  const net = zooGraph(name);
  const builder = new GraphBuilder(net.name);
  const replaced = new Map<Value, Value>([[net.inputs[0] as Value, builder.input("input", tensorType("float32", [1, 3, 32, 32]))]]);
  for (const node of net.nodes) {
    const inputs = node.inputs.map((v) => (v === undefined ? undefined : (replaced.get(v) ?? v)));
    builder.addMany(node.op, inputs, node.attrs, node.name).forEach((v, i) => replaced.set(node.outputs[i] as Value, v));
  }
  for (const { name: output, value } of net.outputs) builder.output(output, replaced.get(value) as Value);
  return builder.finish();
}
