import { create } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType as A, AttributeProtoSchema, FunctionProtoSchema, OperatorSetIdProtoSchema, TensorProto_DataType as T } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import { printGraph } from "../../src/ir/print.ts";
import { float32Tensor, type Tensor } from "../../src/ir/types.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { type GraphInit, makeModel, makeNode } from "./models.ts";

const flag = (value: boolean): Tensor<"bool"> => ({ dtype: "bool", shape: [], data: Uint8Array.of(Number(value)) });
const branch = (op: string): { graph: GraphInit } => ({
  graph: {
    nodes: [
      { op, inputs: ["x"], outputs: ["t"] },
      { op: "Mul", inputs: ["t", "k"], outputs: ["r"] },
    ],
    outputs: ["r"],
    initializers: { k: float32Tensor([], [2]) },
  },
});

describe("If", () => {
  const node = { op: "If", inputs: ["c"], attrs: { then_branch: branch("Relu"), else_branch: branch("Neg") } };

  test.each([
    [true, "Relu"],
    [false, "Neg"],
  ])("with the condition %s takes its branch", (value, op) => {
    const graph = importOnnx(makeModel({ nodes: [{ op: "Identity", inputs: ["input"], outputs: ["x"] }, node], inputs: { input: [2] }, initializers: { c: flag(value) } }));
    expect(graph.nodes.map((n) => n.op)).toEqual(["Identity", op, "Mul"]);
    expect(Array.from(interpret(graph, { input: float32Tensor([2], [-1, 3]) }).outputs.get("y")?.data as Float32Array)).toEqual(value ? [0, 6] : [2, -6]);
  });

  test("can be decided by a constant input", () => {
    const bytes = makeModel({ nodes: [node], inputs: { x: [2], c: [] }, types: { c: T.BOOL } });
    expect(importOnnx(bytes, { constantInputs: { c: flag(false) } }).nodes.map((n) => n.op)).toEqual(["Neg", "Mul"]);
    expect(() => importOnnx(bytes)).toThrowError(expect.objectContaining({ code: "E_UNSUPPORTED_OP" }));
  });
});

test("functions of the file are inlined, attributes and left-out inputs bound", () => {
  const alpha = create(AttributeProtoSchema, { name: "alpha", refAttrName: "slope", type: A.FLOAT });
  const leaky = makeNode({ op: "LeakyRelu", inputs: ["a"], outputs: ["l"] });
  leaky.attribute.push(alpha);
  const fn = create(FunctionProtoSchema, {
    name: "LeakyClip",
    domain: "local",
    input: ["a", "low", "high"],
    output: ["b"],
    attribute: ["slope"],
    opsetImport: [create(OperatorSetIdProtoSchema, { version: 17n })],
    node: [leaky, makeNode({ op: "Clip", inputs: ["l", "low", "high"], outputs: ["b"] })],
  });
  const call = (inputs: string[], outputs: string[], name: string) => ({ op: "LeakyClip", domain: "local", inputs, outputs, name, attrs: { slope: 0.25 } });
  const nodes = [call(["x", "", "six"], ["m"], "first"), call(["m", "zero"], ["y"], "second")];
  const graph = importOnnx(makeModel({ nodes, inputs: { x: [3] }, functions: [fn], initializers: { six: float32Tensor([], [6]), zero: float32Tensor([], [0]) } }));
  expect(printGraph(graph)).toMatchInlineSnapshot(`
    "graph test
      input %x: float32[3]
      %first/l: float32[3] = LeakyRelu(%x) {alpha: 0.25}
      %m: float32[3] = Clip(%first/l) {min: -Infinity, max: 6}
      %second/l: float32[3] = LeakyRelu(%m) {alpha: 0.25}
      %y: float32[3] = Clip(%second/l) {min: 0, max: Infinity}
      output y = %y
    "
  `);
  expect(Array.from(interpret(graph, { x: float32Tensor([3], [-4, 3, 9]) }).outputs.get("y")?.data as Float32Array)).toEqual([0, 3, 6]);
});
