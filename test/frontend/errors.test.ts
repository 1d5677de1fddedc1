import { existsSync, readFileSync } from "node:fs";
import { TensorProto_DataType as T } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { CadnnError } from "../../src/errors.ts";
import { type ImportOptions, importOnnx } from "../../src/frontend/onnx/index.ts";
import { float32Tensor, int64Tensor } from "../../src/ir/types.ts";
import { type ModelInit, makeModel } from "./models.ts";

function problem(bytes: Uint8Array, options?: ImportOptions): CadnnError {
  try {
    importOnnx(bytes, options);
  } catch (error) {
    expect(error).toBeInstanceOf(CadnnError);
    return error as CadnnError;
  }
  throw new Error("imported without an error");
}

const ascii = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const relu: ModelInit = { nodes: [{ op: "Relu" }], inputs: { x: [2, 3] } };
const weights: ModelInit = { nodes: [{ op: "MatMul", inputs: ["x", "w"], name: "product" }], inputs: { x: [1, 2] }, initializers: { w: float32Tensor([2, 2], [1, 2, 3, 4]) } };

describe("files that are not ONNX", () => {
  test.each([
    ["an empty file", ascii(""), "bytes of a .onnx file"],
    ["text", ascii("hello, world, this is not a net"), "truncated, corrupted or in another format"],
    ["JSON", ascii('{"format": "graph-model"}'), "JSON"],
    ["a Git LFS pointer", ascii("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "git lfs pull"],
    ["a zip archive", ascii("PK\x03\x04\x14\x00\x08\x08archive/data.pkl"), "torch.onnx.export"],
    ["a TensorFlow Lite model", ascii("\x1c\x00\x00\x00TFL3\x14\x00\x20\x00"), "tf2onnx"],
    ["zeros", new Uint8Array(64), "truncated"],
  ])("%s", (_, bytes, hint) => {
    const error = problem(bytes);
    expect(error.code).toBe("E_INVALID_FILE");
    expect(error.hint).toContain(hint);
  });

  test("a file cut off anywhere", () => {
    const bytes = makeModel(weights);
    for (let length = 0; length < bytes.length; length++) expect(problem(bytes.subarray(0, length)).code, `${length} of ${bytes.length} bytes`).toBe("E_INVALID_FILE");
  });

  test("a file with a damaged byte is imported or refused, never a crash", () => {
    const bytes = makeModel({
      ...weights,
      nodes: [...weights.nodes, { op: "Conv", inputs: ["c", "k"], outputs: ["z"], attrs: { strides: [1, 2], group: 1 } }],
      outputs: ["y", "z"],
      inputs: { x: [1, 2], c: [1, 1, 4, 4] },
      initializers: { ...weights.initializers, k: float32Tensor([1, 1, 2, 2], [1, 2, 3, 4]) },
    });
    importOnnx(bytes);
    for (let i = 0; i < bytes.length; i++)
      for (const flip of [1, 0x80, 0xff, 0x20]) {
        const damaged = bytes.slice();
        damaged[i] = (damaged[i] as number) ^ flip;
        try {
          importOnnx(damaged);
        } catch (error) {
          expect(error, `byte ${i} ^ ${flip}: ${(error as Error).stack}`).toBeInstanceOf(CadnnError);
          expect((error as CadnnError).code).not.toBe("E_INTERNAL");
        }
      }
  });

  test("an initializer with too few bytes", () => {
    const error = problem(makeModel({ ...weights, initializers: { w: { dims: [2n, 2n], dataType: T.FLOAT, rawData: new Uint8Array(12) } } }));
    expect([error.code, error.at]).toEqual(["E_INVALID_FILE", "w"]);
  });

  test("an operator set of the future", () => {
    const error = problem(makeModel({ ...relu, opset: 99 }));
    expect(error.code).toBe("E_UNSUPPORTED_VERSION");
    expect(error.message).toContain("99");
  });
});

describe("what is not supported", () => {
  test("all unsupported operators are listed at once, with their nodes", () => {
    const error = problem(
      makeModel({
        nodes: [
          { op: "Frobnicate", name: "first", outputs: ["a"] },
          { op: "Relu", inputs: ["a"], outputs: ["b"] },
          { op: "Quux", domain: "com.acme", inputs: ["b"], outputs: ["c"] },
          { op: "Frobnicate", name: "third", inputs: ["c"] },
        ],
        inputs: { x: [1] },
      }),
    );
    expect(error.code).toBe("E_UNSUPPORTED_OP");
    expect(error.problems.map((p) => p.message)).toEqual(["operator Frobnicate is not supported (nodes first, third)", "operator com.acme.Quux is not supported (node c)"]);
    expect(error.message).toContain("first");
    expect(error.message).toContain("com.acme.Quux");
  });

  test("operators that no output needs do not matter", () => {
    const graph = importOnnx(makeModel({ ...relu, nodes: [...relu.nodes, { op: "Frobnicate", outputs: ["z"] }] }));
    expect(graph.nodes.map((n) => n.op)).toEqual(["Relu"]);
  });

  test.each([
    ["training mode", { op: "BatchNormalization", name: "bn", inputs: ["x", "s", "s", "s", "s"], attrs: { training_mode: 1 } }, "model.eval()"],
    ["a condition known at run time", { op: "If", name: "bn", inputs: ["x"], attrs: {} }, "tracing"],
  ] as const)("%s", (_, node, hint) => {
    const error = problem(makeModel({ nodes: [node], inputs: { x: [1, 2] }, initializers: { s: float32Tensor([2], [1, 2]) } }));
    expect([error.code, error.at]).toEqual(["E_UNSUPPORTED_OP", "bn"]);
    expect(error.hint).toContain(hint);
  });

  test("element types", () => {
    const error = problem(makeModel({ ...relu, types: { x: T.COMPLEX64 } }));
    expect([error.code, error.at]).toEqual(["E_UNSUPPORTED_TYPE", "x"]);
    expect(error.message).toContain("complex64");
  });
});

describe("shapes", () => {
  const dynamic = (shape: readonly (number | string | undefined)[]) => makeModel({ nodes: [{ op: "Relu" }], inputs: { x: shape } });

  test("a leading dimension that is not bound is 1", () => {
    expect(importOnnx(dynamic(["N", 3])).inputs[0]?.type.shape).toEqual([1, 3]);
    expect(importOnnx(dynamic([undefined, 3]), { inputShapes: { x: [5, 3] } }).inputs[0]?.type.shape).toEqual([5, 3]);
  });

  test("another one is asked for, by the input's name", () => {
    const error = problem(dynamic(["N", 3, "height", undefined]));
    expect([error.code, error.at]).toEqual(["E_DYNAMIC_SHAPE", "x"]);
    expect(error.message).toContain("[N, 3, height, ?]");
    expect(error.hint).toContain("inputShapes");
  });

  test("a symbol bound at one input holds for the others", () => {
    const bytes = makeModel({ nodes: [{ op: "Add", inputs: ["x", "z"] }], inputs: { x: [1, "T"], z: ["T"] } });
    expect(importOnnx(bytes, { inputShapes: { x: [1, 7] } }).inputs.map((i) => i.type.shape)).toEqual([[1, 7], [7]]);
  });

  test.each([
    ["another rank", { x: [1, 3, 3] }, "E_SHAPE_MISMATCH", "x"],
    ["another size", { x: [1, 4] }, "E_SHAPE_MISMATCH", "x"],
    ["an unknown name", { y: [1] }, "E_INPUT_NAME", "y"],
    ["no integer", { x: [1.5, 3] }, "E_INVALID_OPTION", "x"],
  ] as const)("bound to %s", (_, inputShapes, code, at) => {
    const error = problem(dynamic(["N", 3]), { inputShapes });
    expect([error.code, error.at]).toEqual([code, at]);
  });

  test("a mismatch names the node", () => {
    const error = problem(makeModel({ ...weights, inputs: { x: [1, 3] } }));
    expect([error.code, error.at]).toEqual(["E_SHAPE_MISMATCH", "product"]);
  });

  test("a shape known only at run time names the node and points to constantInputs", () => {
    const bytes = makeModel({ nodes: [{ op: "Reshape", inputs: ["x", "s"], name: "view" }], inputs: { x: [2, 3], s: [1] }, types: { s: T.INT64 } });
    const error = problem(bytes);
    expect([error.code, error.at]).toEqual(["E_DYNAMIC_SHAPE", "view"]);
    expect(error.hint).toContain("constantInputs");
    const graph = importOnnx(bytes, { constantInputs: { s: int64Tensor([1], [6]) } });
    expect(graph.outputs[0]?.value.type.shape).toEqual([6]);
    expect(graph.inputs.map((i) => i.name)).toEqual(["x"]);
  });
});

test.each([
  ["another element type", float32Tensor([1], [6]), "E_DTYPE_MISMATCH"],
  ["another shape", int64Tensor([2], [2, 3]), "E_SHAPE_MISMATCH"],
] as const)("a constant input of %s", (_, s, code) => {
  const error = problem(makeModel({ nodes: [{ op: "Reshape", inputs: ["x", "s"] }], inputs: { x: [2, 3], s: [1] }, types: { s: T.INT64 } }), { constantInputs: { s } });
  expect([error.code, error.at]).toEqual([code, "s"]);
  expect(error.hint).toContain("int64[1]");
});

describe("graphs that make no sense", () => {
  test.each([
    ["a value that nothing makes", { nodes: [{ op: "Add", inputs: ["x", "ghost"], name: "sum" }], inputs: { x: [1] } }, "sum"],
    [
      "a cycle",
      {
        nodes: [
          { op: "Add", inputs: ["x", "b"], name: "sum" },
          { op: "Relu", inputs: ["y"], outputs: ["b"] },
        ],
        inputs: { x: [1] },
      },
      "sum",
    ],
    ["a value made twice", { nodes: [{ op: "Relu" }, { op: "Tanh" }], inputs: { x: [1] } }, "y"],
    ["an input made again", { nodes: [{ op: "Relu", inputs: ["z"], outputs: ["x"] }, { op: "Relu" }], inputs: { x: [1], z: [1] } }, "x"],
    ["a left-out operand", { nodes: [{ op: "Add", inputs: ["x", ""], name: "sum" }], inputs: { x: [1] } }, "sum"],
    ["no outputs", { ...relu, outputs: [] }, "test"],
  ] as const)("%s", (_, model, at) => {
    const error = problem(makeModel(model));
    expect([error.code, error.at]).toEqual(["E_INVALID_GRAPH", at]);
    expect(error.hint).toBeTruthy();
  });

  test("an attribute of the wrong type", () => {
    const error = problem(makeModel({ nodes: [{ op: "Softmax", name: "soft", attrs: { axis: "last" } }], inputs: { x: [1] } }));
    expect([error.code, error.at]).toEqual(["E_INVALID_ATTRIBUTE", "soft"]);
    expect(error.message).toContain("axis");
  });

  test("nodes out of order are put in order", () => {
    const graph = importOnnx(
      makeModel({
        nodes: [
          { op: "Relu", inputs: ["a"] },
          { op: "Tanh", outputs: ["a"] },
        ],
        inputs: { x: [1] },
      }),
    );
    expect(graph.nodes.map((n) => n.op)).toEqual(["Tanh", "Relu"]);
  });
});

describe("weights that are not finite", () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%d", (value) => {
    const error = problem(makeModel({ ...weights, initializers: { w: float32Tensor([2, 2], [1, value, 3, 4]) } }));
    expect([error.code, error.at]).toEqual(["E_NON_FINITE", "w"]);
  });

  test("infinities are fine in a mask", () => {
    const mask = float32Tensor([2], [0, Number.NEGATIVE_INFINITY]);
    expect(importOnnx(makeModel({ nodes: [{ op: "Add", inputs: ["x", "m"] }], inputs: { x: [1, 2] }, initializers: { m: mask } })).nodes.length).toBe(1);
  });
});

const net = "../shared/data/nets/cifar10_resnet20.onnx";
test.skipIf(!existsSync(net))("a trained net cut off at many places", () => {
  const bytes = new Uint8Array(readFileSync(net));
  for (let i = 1; i < 64; i++) expect(problem(bytes.subarray(0, Math.floor((bytes.length * i) / 64))).code).toBe("E_INVALID_FILE");
  expect(problem(bytes.subarray(0, bytes.length - 1)).code).toBe("E_INVALID_FILE");
});
