import { type SparseTensorProto, type TensorProto, TensorProto_DataLocation, TensorProto_DataType } from "onnx-buf";
import { CadnnError } from "../../errors.ts";
import { type DType, elementCount, makeData, type Tensor, type TensorData } from "../../ir/types.ts";

/** Gives the bytes of a file beside the model, by the location that the model names. */
export type ExternalData = (location: string) => Uint8Array | undefined;

const T = TensorProto_DataType;
const little = true;

/** What each ONNX element type becomes: every floating type is computed in float32. Absent ones are not supported. */
const dtypes: Readonly<Partial<Record<TensorProto_DataType, DType>>> = {
  [T.FLOAT]: "float32",
  [T.FLOAT16]: "float32",
  [T.BFLOAT16]: "float32",
  [T.DOUBLE]: "float32",
  [T.INT32]: "int32",
  [T.INT64]: "int64",
  [T.UINT8]: "uint8",
  [T.INT8]: "int8",
  [T.BOOL]: "bool",
};

/** Bytes an element takes in `raw_data`. */
const rawBytes: Readonly<Partial<Record<TensorProto_DataType, number>>> = {
  [T.FLOAT]: 4,
  [T.FLOAT16]: 2,
  [T.BFLOAT16]: 2,
  [T.DOUBLE]: 8,
  [T.INT32]: 4,
  [T.INT64]: 8,
  [T.UINT8]: 1,
  [T.INT8]: 1,
  [T.BOOL]: 1,
};

/** Element type of a value in the graph; throws `E_UNSUPPORTED_TYPE` that names it. */
export function dtypeOf(elemType: number, at: string): DType {
  const dtype = dtypes[elemType as TensorProto_DataType];
  if (dtype === undefined)
    throw new CadnnError("E_UNSUPPORTED_TYPE", `${at} has element type ${T[elemType]?.toLowerCase() ?? elemType}`, {
      at,
      hint: "Supported are float32, int64, int32, uint8, int8 and bool; float16, bfloat16 and double are taken as float32.",
    });
  return dtype;
}

/** The elements of an initializer or of a tensor attribute. `name` is what errors call it. */
export function readTensor(proto: TensorProto, name = proto.name, external?: ExternalData): Tensor {
  const dtype = dtypeOf(proto.dataType, name);
  const shape = readDims(proto.dims, name);
  const count = elementCount(shape);
  const type = proto.dataType as TensorProto_DataType;
  const raw = proto.dataLocation === TensorProto_DataLocation.EXTERNAL ? readExternal(proto, name, external) : proto.rawData;
  // Typed fields are left empty where there are no elements.
  const data = raw.length > 0 || count === 0 ? fromRaw(raw, type, dtype, count, name) : fromFields(proto, type, dtype, count, name);
  return { dtype, shape, data } as Tensor;
}

/** A sparse tensor, expanded. Indices are positions in the flattened tensor, shape [NNZ], or coordinates, shape [NNZ, rank]. */
export function readSparseTensor(proto: SparseTensorProto, external?: ExternalData): Tensor {
  const name = proto.values?.name ?? "sparse tensor";
  if (proto.values === undefined || proto.indices === undefined) throw brokenTensor(name, "its values or indices are missing");
  const values = readTensor(proto.values, name, external);
  const indices = readTensor(proto.indices, `indices of ${name}`, external);
  const shape = readDims(proto.dims, name);
  const data = makeData(values.dtype, elementCount(shape));
  const width = indices.shape.length === 2 ? shape.length : 1;
  if (indices.data.length !== values.data.length * width) throw brokenTensor(name, `it has ${values.data.length} values and indices of shape [${indices.shape.join(", ")}]`);
  for (let i = 0; i < values.data.length; i++) {
    let position = width === 1 ? Number(indices.data[i]) : 0;
    if (width > 1) for (let d = 0; d < width; d++) position = position * (shape[d] as number) + Number(indices.data[i * width + d]);
    if (!(position >= 0 && position < data.length)) throw brokenTensor(name, `index ${position} is outside of its ${data.length} elements`);
    data[position] = values.data[i] as never;
  }
  return { dtype: values.dtype, shape, data } as Tensor;
}

function readDims(dims: readonly bigint[], name: string): number[] {
  const shape = dims.map(Number);
  if (shape.some((d) => d < 0) || !(elementCount(shape) < 2 ** 31)) throw brokenTensor(name, `its shape is [${shape.join(", ")}]`);
  return shape;
}

function readExternal(proto: TensorProto, name: string, external: ExternalData | undefined): Uint8Array {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get("location") ?? "";
  const file = external?.(location);
  if (file === undefined)
    throw new CadnnError("E_FILE_NOT_FOUND", `the elements of ${name} are in another file, "${location}"`, {
      at: location,
      hint: "Put that file beside the model, or pass the option externalData that gives its bytes.",
    });
  const offset = Number(entries.get("offset") ?? 0);
  const length = Number(entries.get("length") ?? file.length - offset);
  if (!(offset >= 0 && length >= 0 && offset + length <= file.length))
    throw new CadnnError("E_INVALID_FILE", `${name} lies at bytes ${offset} to ${offset + length} of "${location}", which has ${file.length}`, {
      at: location,
      hint: "The file with the external data is truncated or belongs to another model.",
    });
  return file.subarray(offset, offset + length);
}

function fromRaw(raw: Uint8Array, type: TensorProto_DataType, dtype: DType, count: number, name: string): TensorData {
  const size = rawBytes[type] as number;
  if (raw.length !== count * size) throw brokenTensor(name, `its shape takes ${count * size} bytes, it has ${raw.length}`);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  if (type === T.FLOAT16 || type === T.BFLOAT16 || type === T.DOUBLE) {
    const out = new Float32Array(count);
    const at = type === T.DOUBLE ? (i: number) => view.getFloat64(i * 8, little) : (i: number) => halfToNumber(view.getUint16(i * 2, little), type);
    for (let i = 0; i < count; i++) out[i] = at(i);
    return out;
  }
  const out = makeData(dtype, count);
  new Uint8Array(out.buffer).set(raw); // both little-endian, as every engine of today
  return out;
}

function fromFields(proto: TensorProto, type: TensorProto_DataType, dtype: DType, count: number, name: string): TensorData {
  const source: readonly (number | bigint)[] = type === T.FLOAT ? proto.floatData : type === T.DOUBLE ? proto.doubleData : type === T.INT64 ? proto.int64Data : proto.int32Data;
  if (source.length !== count) throw brokenTensor(name, `its shape takes ${count} elements, it has ${source.length}`);
  const out = makeData(dtype, count);
  const half = type === T.FLOAT16 || type === T.BFLOAT16;
  for (let i = 0; i < count; i++) out[i] = (half ? halfToNumber(Number(source[i]), type) : source[i]) as never;
  return out;
}

/** Value of the 16 bits of an IEEE half or of a bfloat16. */
export function halfToNumber(bits: number, type: TensorProto_DataType): number {
  const brain = type === T.BFLOAT16;
  const fractionBits = brain ? 7 : 10;
  const bias = brain ? 127 : 15;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> fractionBits;
  const fraction = (bits & ((1 << fractionBits) - 1)) / (1 << fractionBits);
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  if (exponent === (brain ? 255 : 31)) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** Whether there is neither NaN nor infinity: either would make the sum of all elements times 0 NaN. Fast enough for all weights of a net. */
export function allFinite(data: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] as number) * 0;
  return sum === 0;
}

function brokenTensor(name: string, why: string): CadnnError {
  return new CadnnError("E_INVALID_FILE", `tensor ${name} is broken: ${why}`, { at: name, hint: "The file is truncated or corrupted; export it again." });
}
