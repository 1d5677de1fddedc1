import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { exportOnnx, importOnnx } from "../../src/frontend/onnx/index.ts";
import { relu } from "../../src/ir/activation.ts";
import { e } from "../../src/ir/expr.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import { elementCount, float32Tensor, type Tensor, tensorType } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { expectClose } from "./compare.ts";
import { runOnnxruntime } from "./onnxruntime.ts";

const wave = (shape: readonly number[], phase = 0): Tensor<"float32"> =>
  float32Tensor(
    shape,
    Float32Array.from({ length: elementCount(shape) }, (_, i) => 2 * Math.sin(i * 0.7 + phase)),
  );
const conv = { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 };
const gemm = { alpha: 1, beta: 1, transA: false, transB: true };
const relu6 = { kind: "clamp", low: 0, high: 6 } as const;
const silu = { kind: "expr", expr: e.mul(e.input(0), e.sigmoid(e.input(0))) } as const;

function graphOf(build: (b: GraphBuilder, x: Value) => Value, shape: readonly number[] = [1, 3, 5, 6]): Graph {
  const b = new GraphBuilder("made");
  const x = b.input("x", tensorType("float32", shape));
  b.output("y", build(b, x));
  return b.finish();
}

async function expectSame(graph: Graph, options = {}): Promise<void> {
  const feeds = Object.fromEntries(graph.inputs.map((v, i) => [v.name, wave(v.type.shape, i)]));
  const expected = interpret(graph, feeds).outputs;
  const actual = await runOnnxruntime(exportOnnx(graph, options), feeds);
  expect(Object.keys(actual)).toEqual(graph.outputs.map((o) => o.name));
  for (const { name } of graph.outputs) expectClose(actual[name], expected.get(name));
}

const opsOf = (bytes: Uint8Array) => fromBinary(ModelProtoSchema, bytes).graph?.node.map((n) => n.opType);

describe("fused ops are taken apart", () => {
  const fusedConv = (activation: object, residual: boolean) =>
    graphOf((b, x) => b.add("FusedConv", [x, b.constant("w", wave([3, 3, 3, 3])), b.constant("b", wave([3])), residual ? x : undefined], { ...conv, activation } as never, "conv"));

  test.each([
    ["Relu", relu, false, ["Conv", "Relu"]],
    ["a residual and Relu", relu, true, ["Conv", "Add", "Relu"]],
    ["Relu6", relu6, false, ["Conv", "Clip"]],
    ["a residual alone", { kind: "none" }, true, ["Conv", "Add"]],
    ["nothing", { kind: "none" }, false, ["Conv"]],
    ["an expression", silu, true, ["Conv", "Add", "Sigmoid", "Mul", "Identity"]],
  ] as const)("FusedConv with %s", async (_, activation, residual, ops) => {
    const graph = fusedConv(activation, residual);
    expect(opsOf(exportOnnx(graph))).toEqual(ops);
    await expectSame(graph);
  });

  test("FusedGemm", async () => {
    const graph = graphOf((b, x) => b.add("FusedGemm", [x, b.constant("w", wave([4, 6])), b.constant("c", wave([4]))], { ...gemm, activation: relu6 } as never, "fc"), [2, 6]);
    expect(opsOf(exportOnnx(graph))).toEqual(["Gemm", "Clip"]);
    await expectSame(graph);
  });
});

describe("Map is written as standard ops", () => {
  const [x, k] = [e.input(0), e.input(1)];
  test.each([
    ["arithmetic", e.add(e.mul(x, k), e.div(x, 3))],
    ["clamps and rounding", e.round(e.min(e.max(x, -1), k))],
    ["all the functions", e.add(e.exp(e.neg(e.abs(x))), e.add(e.sqrt(e.abs(k)), e.add(e.tanh(x), e.add(e.erf(x), e.sigmoid(k)))))],
    ["steps", e.add(e.floor(x), e.add(e.ceil(k), e.add(e.trunc(x), e.sign(k))))],
    ["a choice", e.select(e.lt(x, k), e.mul(x, 2), e.log(e.add(e.abs(k), 1)))],
    ["a choice by a number", e.select(e.max(x, 0), k, x)],
    ["comparisons as numbers", e.add(e.ge(x, k), e.ne(x, 0))],
    ["one input as it is", k],
    ["a number", e.number(3)],
    ["powers", e.pow(e.abs(x), k)],
  ])("%s", async (_, expr) => {
    await expectSame(graphOf((b, v) => b.add("Map", [v, b.constant("k", wave([6], 1))], { expr }, "map")));
  });

  test("a test, as bool", async () => {
    await expectSame(graphOf((b, v) => b.add("Map", [v], { expr: e.gt(x, 0.5), dtype: "bool" }, "map")));
  });
});

test.each(["lenet5", "mobilenet_v2"] as const)("%s of the zoo, written and read, is the same graph", (name) => {
  const graph = zooGraph(name);
  // The value behind the output takes the output's name.
  const last = graph.outputs[0]?.value.name;
  const expected = printGraph(graph).replace(`%${last}:`, "%logits:").replace(`= %${last}\n`, "= %logits\n");
  expect(printGraph(importOnnx(exportOnnx(graph)))).toBe(expected);
});

describe("names", () => {
  test("an output may stand behind another name, a constant, an input, or the same value twice", async () => {
    const b = new GraphBuilder();
    const x = b.input("x", tensorType("float32", [2, 2]));
    const y = b.add("Relu", [x], {}, "relu");
    b.output("logits", y);
    b.output("again", y);
    b.output("echo", x);
    b.output("weights", b.constant("weights", wave([3])));
    await expectSame(b.finish());
  });

  test("a value that has the name of an output gives way", async () => {
    const b = new GraphBuilder();
    const x = b.input("x", tensorType("float32", [2, 2]));
    const y = b.add("Relu", [x], {}, "y");
    b.output("y", b.add("Exp", [y], {}, "exp"));
    await expectSame(b.finish());
  });
});

describe("options", () => {
  const net = graphOf((b, x) =>
    b.add("Reshape", [b.add("MaxPool", [x], { kernel: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceilMode: false }, "pool")], { shape: [1, 18] }, "flat"),
  );

  test("dynamicBatch makes the leading dimension symbolic", async () => {
    const bytes = exportOnnx(net, { dynamicBatch: true });
    expect(importOnnx(bytes, { inputShapes: { x: [4, 3, 5, 6] } }).outputs[0]?.value.type.shape).toEqual([4, 18]);
    const { y } = await runOnnxruntime(bytes, { x: wave([4, 3, 5, 6]) });
    expect(y?.shape).toEqual([4, 18]);
  });

  test("sparse stores weights of mostly zeros without these", async () => {
    const sparse = float32Tensor(
      [8, 3, 3, 3],
      wave([8, 3, 3, 3]).data.map((v, i) => (i % 7 === 0 ? v : 0)),
    );
    const graph = graphOf((b, x) => b.add("Conv", [x, b.constant("w", sparse), b.constant("b", wave([8]))], conv, "conv"));
    const [dense, small] = [exportOnnx(graph), exportOnnx(graph, { sparse: true })];
    expect(small.length).toBeLessThan(dense.length);
    await expectSame(graph, { sparse: true });
    const [node] = importOnnx(small).nodes;
    expect(node?.inputs[1]).toMatchObject({ name: "w", encoding: { kind: "sparse" }, data: sparse.data });
  });

  test("an opset out of range", () => {
    for (const opset of [12, 22, 17.5]) expect(() => exportOnnx(net, { opset })).toThrowError(expect.objectContaining({ code: "E_INVALID_OPTION", at: "opset" }));
  });

  test("ops that an older opset lacks are written by their definition", async () => {
    for (const opset of [14, 17, 18, 20, 21])
      for (const [op, attrs] of [
        ["Gelu", { approximate: "tanh" }],
        ["Gelu", { approximate: "none" }],
        ["Mish", {}],
        ["HardSwish", {}],
      ] as const)
        await expectSame(
          graphOf((b, x) => b.add(op, [x], attrs, "act")),
          { opset },
        );
  });

  test("what an opset cannot express names the node and the opset that can", () => {
    const graph = graphOf((b, x) => b.add("LayerNormalization", [x, b.constant("s", wave([6]))], { axis: 3, epsilon: 1e-5 }, "norm"));
    expect(() => exportOnnx(graph, { opset: 15 })).toThrowError(
      expect.objectContaining({ code: "E_INVALID_OPTION", message: expect.stringContaining("norm"), hint: expect.stringContaining("17") }),
    );
  });

  test("training graphs are refused", () => {
    const graph = graphOf((b, x) => b.add("ConvGradInput", [x, b.constant("w", wave([3, 3, 3, 3]))], { ...conv, inputShape: [1, 3, 5, 6] }, "grad"));
    expect(() => exportOnnx(graph)).toThrowError(expect.objectContaining({ code: "E_UNSUPPORTED_OP", at: "grad" }));
  });

  test("equal graphs give equal bytes", () => {
    expect(exportOnnx(net)).toEqual(exportOnnx(net));
  });
});
