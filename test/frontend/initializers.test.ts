import { create } from "@bufbuild/protobuf";
import { type SparseTensorProto, SparseTensorProtoSchema, TensorProto_DataType as T, TensorProto_DataLocation } from "onnx-buf";
import { describe, expect, test } from "vitest";
import { CadnnError } from "../../src/errors.ts";
import { tensorProto } from "../../src/frontend/onnx/export/writer.ts";
import { importOnnx } from "../../src/frontend/onnx/index.ts";
import { isConstant } from "../../src/ir/graph.ts";
import { float32Tensor, int64Tensor, type Tensor } from "../../src/ir/types.ts";
import { type GraphInit, makeModel } from "./models.ts";

type Init = NonNullable<GraphInit["initializers"]>[string];

/** The elements that initializer w is read as, with its type. */
function read(w: Init, sparse: SparseTensorProto[] = []): [string, readonly number[], number[]] {
  const graph = importOnnx(makeModel({ nodes: [{ op: "Identity", inputs: ["w"] }], ...(sparse.length > 0 ? { sparse } : { initializers: { w } }) }));
  const value = graph.outputs[0]?.value;
  if (!isConstant(value)) throw new Error("not folded");
  return [value.type.dtype, value.type.shape, Array.from(value.data as ArrayLike<number | bigint>, Number)];
}

const bytesOf = (data: { readonly buffer: ArrayBufferLike }) => new Uint8Array(data.buffer.slice(0) as ArrayBuffer);
const dims = [3n];

describe("initializers", () => {
  test.each<[string, Init, string, number[]]>([
    ["float32, raw", { dims, dataType: T.FLOAT, rawData: bytesOf(Float32Array.of(1, -2.5, 3)) }, "float32", [1, -2.5, 3]],
    ["float32, typed", { dims, dataType: T.FLOAT, floatData: [1, -2.5, 3] }, "float32", [1, -2.5, 3]],
    ["double, raw", { dims, dataType: T.DOUBLE, rawData: bytesOf(Float64Array.of(1, -2.5, 1e-3)) }, "float32", [1, -2.5, Math.fround(1e-3)]],
    ["double, typed", { dims, dataType: T.DOUBLE, doubleData: [1, -2.5, 3] }, "float32", [1, -2.5, 3]],
    ["float16, raw", { dims, dataType: T.FLOAT16, rawData: bytesOf(Uint16Array.of(0x3c00, 0xc100, 0x0001)) }, "float32", [1, -2.5, 2 ** -24]],
    ["float16, typed", { dims, dataType: T.FLOAT16, int32Data: [0x3c00, 0xc100, 0x7bff] }, "float32", [1, -2.5, 65504]],
    ["bfloat16, raw", { dims, dataType: T.BFLOAT16, rawData: bytesOf(Uint16Array.of(0x3f80, 0xc020, 0x4040)) }, "float32", [1, -2.5, 3]],
    ["int64, raw", { dims, dataType: T.INT64, rawData: bytesOf(BigInt64Array.of(1n, -2n, 3n)) }, "int64", [1, -2, 3]],
    ["int64, typed", { dims, dataType: T.INT64, int64Data: [1n, -2n, 3n] }, "int64", [1, -2, 3]],
    ["int32, raw", { dims, dataType: T.INT32, rawData: bytesOf(Int32Array.of(1, -2, 3)) }, "int32", [1, -2, 3]],
    ["int32, typed", { dims, dataType: T.INT32, int32Data: [1, -2, 3] }, "int32", [1, -2, 3]],
    ["uint8, raw", { dims, dataType: T.UINT8, rawData: Uint8Array.of(1, 200, 3) }, "uint8", [1, 200, 3]],
    ["int8, typed", { dims, dataType: T.INT8, int32Data: [1, -2, 3] }, "int8", [1, -2, 3]],
    ["bool, typed", { dims, dataType: T.BOOL, int32Data: [1, 0, 1] }, "bool", [1, 0, 1]],
  ])("%s", (_, init, dtype, elements) => {
    expect(read(init)).toEqual([dtype, [3], elements]);
  });

  test("an empty one", () => {
    expect(read({ dims: [0n, 4n], dataType: T.FLOAT })).toEqual(["float32", [0, 4], []]);
  });

  test("listed as an input too, as old files do", () => {
    const graph = importOnnx(makeModel({ opset: 7, nodes: [{ op: "Add", inputs: ["x", "w"] }], inputs: { x: [1, 2], w: [2] }, initializers: { w: float32Tensor([2], [1, 2]) } }));
    expect(graph.inputs.map((i) => i.name)).toEqual(["x"]);
  });
});

describe("sparse initializers", () => {
  const sparse = (values: Tensor, indices: Tensor) => [create(SparseTensorProtoSchema, { values: tensorProto("w", values), indices: tensorProto("", indices), dims: [2n, 3n] })];
  const values = float32Tensor([2], [5, 7]);

  test("positions in the flattened tensor", () => {
    expect(read(values, sparse(values, int64Tensor([2], [1, 5])))).toEqual(["float32", [2, 3], [0, 5, 0, 0, 0, 7]]);
  });
  test("coordinates", () => {
    expect(read(values, sparse(values, int64Tensor([2, 2], [0, 2, 1, 0])))).toEqual(["float32", [2, 3], [0, 0, 5, 7, 0, 0]]);
  });
  test("an index outside", () => {
    expect(() => read(values, sparse(values, int64Tensor([2], [1, 6])))).toThrowError(expect.objectContaining({ code: "E_INVALID_FILE", at: "w" }));
  });
});

describe("external data", () => {
  const entries = (more: Readonly<Record<string, string>>) => Object.entries({ location: "net.bin", ...more }).map(([key, value]) => ({ key, value }));
  const model = (more: Readonly<Record<string, string>>) => {
    const w = {
      dims: [2n],
      dataType: T.FLOAT,
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: entries(more).map((e) => ({ $typeName: "onnx.StringStringEntryProto" as const, ...e })),
    };
    return makeModel({ nodes: [{ op: "Add", inputs: ["x", "w"] }], inputs: { x: [2] }, initializers: { w } });
  };
  const file = bytesOf(Float32Array.of(9, 1, 2, 9));
  const externalData = (location: string) => (location === "net.bin" ? file : undefined);

  test("is read from where the model says", () => {
    const [node] = importOnnx(model({ offset: "4", length: "8" }), { externalData }).nodes;
    const w = node?.inputs[1];
    expect(isConstant(w) && Array.from(w.data as Float32Array)).toEqual([1, 2]);
  });
  test("a missing file is named", () => {
    expect(() => importOnnx(model({}))).toThrowError(expect.objectContaining({ code: "E_FILE_NOT_FOUND", at: "net.bin" }));
  });
  test("a short file is named", () => {
    expect(() => importOnnx(model({ offset: "12", length: "8" }), { externalData })).toThrowError(expect.objectContaining({ code: "E_INVALID_FILE", at: "net.bin" }));
    expect(() => importOnnx(model({ offset: "12", length: "8" }), { externalData })).toThrowError(CadnnError);
  });
});
