import { describe, expect, test } from "vitest";
import { float32Tensor, int64Tensor, type Tensor } from "../../src/ir/types.ts";
import { readNpy, writeNpy } from "../../src/node/npy.ts";

/** What `numpy.save` writes for numpy.arange(6, dtype=…).reshape(2, 3), header as in version 1. */
function numpyFile(descr: string, fortran: boolean, shape: string, body: Uint8Array, version = 1): Uint8Array {
  const head = version === 1 ? 10 : 12;
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': ${shape}, }`;
  const header = `${text.padEnd(127 - head)}\n`;
  const length = version === 1 ? [header.length & 255, header.length >> 8] : [header.length & 255, header.length >> 8, 0, 0];
  return Uint8Array.from([0x93, ...Buffer.from("NUMPY"), version, 0, ...length, ...Buffer.from(header), ...body]);
}
const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe("npy", () => {
  test.each<[string, Tensor]>([
    ["float32", float32Tensor([2, 3], [1, -2.5, 3, 4, 5, Number.NaN])],
    ["scalar", float32Tensor([], [7])],
    ["empty", float32Tensor([0, 3], [])],
    ["one dimension", int64Tensor([2], [-1, 5_000_000_000n])],
    ["int32", { dtype: "int32", shape: [3], data: Int32Array.of(1, -2, 3) }],
    ["uint8", { dtype: "uint8", shape: [3], data: Uint8Array.of(1, 2, 255) }],
    ["int8", { dtype: "int8", shape: [3], data: Int8Array.of(1, -2, 127) }],
    ["bool", { dtype: "bool", shape: [2], data: Uint8Array.of(0, 1) }],
  ])("round trip of %s", (_, tensor) => {
    const bytes = writeNpy(tensor);
    expect(readNpy(bytes)).toEqual(tensor);
    expect((10 + (bytes[8] as number)) % 64).toBe(0);
  });

  test("reads what numpy writes: float64, big-endian, Fortran order, version 2", () => {
    expect(readNpy(numpyFile("<f8", false, "(2, 3)", bytesOf(Float64Array.of(0, 1, 2, 3, 4, 5))))).toEqual(float32Tensor([2, 3], [0, 1, 2, 3, 4, 5]));
    expect(readNpy(numpyFile(">i4", false, "(2,)", Uint8Array.of(0, 0, 0, 1, 255, 255, 255, 255)))).toEqual({ dtype: "int32", shape: [2], data: Int32Array.of(1, -1) });
    expect(readNpy(numpyFile("<f4", true, "(2, 3)", bytesOf(Float32Array.of(0, 3, 1, 4, 2, 5)), 2))).toEqual(float32Tensor([2, 3], [0, 1, 2, 3, 4, 5]));
  });

  test("names what is wrong", () => {
    const whole = writeNpy(float32Tensor([4], [1, 2, 3, 4]));
    const failing = (bytes: Uint8Array) => () => readNpy(bytes, "x.npy");
    expect(failing(Uint8Array.of(1, 2, 3))).toThrow(expect.objectContaining({ code: "E_INVALID_FILE", at: "x.npy" }));
    expect(failing(whole.subarray(0, whole.length - 1))).toThrow(expect.objectContaining({ code: "E_INVALID_FILE" }));
    expect(failing(whole.subarray(0, 40))).toThrow(expect.objectContaining({ code: "E_INVALID_FILE" }));
    expect(failing(numpyFile("<c8", false, "(1,)", new Uint8Array(8)))).toThrow(expect.objectContaining({ code: "E_UNSUPPORTED_TYPE", message: expect.stringContaining("<c8") }));
    expect(failing(Uint8Array.from(whole, (b, i) => (i === 6 ? 9 : b)))).toThrow(expect.objectContaining({ code: "E_UNSUPPORTED_VERSION" }));
  });
});
