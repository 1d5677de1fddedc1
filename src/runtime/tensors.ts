import type { RecordDType, TensorRecord } from "../artifact/manifest.ts";
import { inputBytes, memoryBytes, recordElements } from "../artifact/validate.ts";
import { CadnnError } from "../errors.ts";
import type { Region, Write } from "./executor.ts";

/** float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8 and bool: Uint8Array, int8: Int8Array. */
export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array | Uint8ClampedArray | Int8Array;

export type Feed = TensorData | { readonly shape?: readonly number[]; readonly data: TensorData };
/** One entry for each input, by name. */
export type Feeds = Readonly<Record<string, Feed>>;

export interface ResultTensor {
  readonly shape: number[];
  readonly dtype: RecordDType;
  readonly data: TensorData;
}
export type Results = Record<string, ResultTensor>;

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array } as const;

/** Where an input lies in the module's memory. */
export function inputRegionOf(record: TensorRecord, offset: number): Region {
  return { offset, bytes: inputBytes(record) };
}

/** Where an output or parameter lies in the module's memory. */
export function regionOf(record: TensorRecord, offset: number): Region {
  return { offset, bytes: memoryBytes(record) };
}

/** What to write where. Throws E_INPUT_NAME, E_SHAPE_MISMATCH, E_DTYPE_MISMATCH. `copy`: the caller may change its arrays before they are used. */
export function feedWrites(inputs: readonly TensorRecord[], offsets: readonly number[], feeds: Feeds, copy: boolean): Write[] {
  if (typeof feeds !== "object" || feeds === null)
    throw new CadnnError("E_INPUT_NAME", "run takes an object of feeds", { at: "feeds", hint: `Feed all of: ${listNames(inputs)}.` });
  for (const name of Object.keys(feeds)) {
    if (!inputs.some((input) => input.name === name)) {
      throw new CadnnError("E_INPUT_NAME", `the net has no input "${name}"`, { at: name, hint: `Its inputs are: ${listNames(inputs)}.` });
    }
  }
  return inputs.map((input, i) => {
    const feed = Object.hasOwn(feeds, input.name) ? feeds[input.name] : undefined;
    if (feed === undefined || feed === null)
      throw new CadnnError("E_INPUT_NAME", `input "${input.name}" is missing`, { at: input.name, hint: `Feed all of: ${listNames(inputs)}.` });
    return { offset: offsets[i] as number, data: memoryForm(input, feed, copy) };
  });
}

/** Checks a feed against its tensor and gives it as it lies in memory. */
export function memoryForm(record: TensorRecord, feed: Feed, copy: boolean): ArrayBufferView {
  const isArray = ArrayBuffer.isView(feed);
  const data = isArray ? feed : feed.data;
  const wanted = arrays[record.dtype].name;
  const found = ArrayBuffer.isView(data) ? String((data as TensorData)[Symbol.toStringTag]) : data === null ? "null" : typeof data;
  if (found !== wanted && !(record.dtype === "uint8" && found === "Uint8ClampedArray")) {
    const hint = record.dtype === "int64" ? "BigInt64Array.from(numbers, BigInt) makes one." : `Pass a ${wanted}.`;
    throw new CadnnError("E_DTYPE_MISMATCH", `"${record.name}" is ${record.dtype} and takes a ${wanted}, not ${found}`, { at: record.name, hint });
  }
  const shape = isArray ? undefined : feed.shape;
  if (shape !== undefined && (shape.length !== record.shape.length || shape.some((d, i) => d !== record.shape[i]))) {
    throw new CadnnError("E_SHAPE_MISMATCH", `"${record.name}" has shape [${record.shape}], not [${shape}]`, {
      at: record.name,
      hint: "Shapes are fixed when compiling: see inputShapes.",
    });
  }
  const n = recordElements(record.shape);
  if (data.length !== n) {
    throw new CadnnError("E_SHAPE_MISMATCH", `"${record.name}" has shape [${record.shape}] and needs ${n} elements, not ${data.length}`, {
      at: record.name,
      hint: `Pass ${n} elements.`,
    });
  }
  if (record.dtype === "int64") return narrow(record.name, data as BigInt64Array);
  if (data instanceof Float32Array || data instanceof Int32Array || record.dtype === "uint8") return copy ? data.slice() : data;
  return Int32Array.from(data as Uint8Array);
}

/** The tensor whose bytes were read from memory. */
export function resultOf(record: TensorRecord, buffer: ArrayBuffer): ResultTensor {
  const integers = () => new Int32Array(buffer);
  const data = record.dtype === "float32" ? new Float32Array(buffer) : record.dtype === "int64" ? BigInt64Array.from(integers(), BigInt) : arrays[record.dtype].from(integers());
  return { shape: [...record.shape], dtype: record.dtype, data };
}

export function listNames(records: readonly TensorRecord[]): string {
  return records.length === 0 ? "(none)" : records.map((r) => `${r.name} ${r.dtype}[${r.shape}]`).join(", ");
}

function narrow(name: string, data: BigInt64Array): Int32Array {
  return Int32Array.from(data, (value) => {
    const n = Number(value);
    if ((n | 0) !== n)
      throw new CadnnError("E_DTYPE_MISMATCH", `"${name}" holds ${value}, which does not fit 32 bits`, { at: name, hint: "Generated code keeps int64 as 32 bits." });
    return n;
  });
}
