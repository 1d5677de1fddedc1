import { CadnnError, invariant } from "../errors.ts";
import { readField, writeField } from "./fields.ts";
import { decodeLevels, encodeLevels } from "./levels-codec.ts";
import type { ConstantEncoding, ConstantRecord, RecordDType } from "./manifest.ts";
import { recordElementBytes, recordElements, valuesBytes } from "./validate.ts";

export type ConstantData = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

export interface EncodedConstant {
  readonly encoding: ConstantEncoding;
  readonly bytes: Uint8Array;
}

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array } as const;

/**
 * Canonical bytes of a constant: dense or sparse, floats or levels, whichever is smallest. Lossless, but for −0, which sparse and levels turn into 0.
 * `data` has the array type of `dtype`: BigInt64Array for int64, Uint8Array for bool. Levels may be those of each of its first dimension's entries.
 */
export function encodeConstant(data: ConstantData, dtype: RecordDType, shape: readonly number[] = [data.length]): EncodedConstant {
  invariant(data.BYTES_PER_ELEMENT === recordElementBytes[dtype], `constant of ${dtype} in an array of ${data.BYTES_PER_ELEMENT} bytes an element`);
  const dense = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (dtype !== "float32") return { encoding: { kind: "dense" }, bytes: dense.slice() };
  const floats = data as Float32Array;
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const count = countNonZeros(bits);
  const sparse = sparseFields(bits, count);
  let best: () => EncodedConstant = () => ({ encoding: { kind: "dense" }, bytes: dense.slice() });
  let size = dense.byteLength;
  if (sparse !== undefined && 4 * count + sparse.fieldBytes < size) {
    best = () => ({ encoding: { kind: "sparse", gapBits: sparse.gapBits, count }, bytes: joined(nonZerosOf(floats, bits, count), sparse) });
    size = 4 * count + sparse.fieldBytes;
  }
  for (const groups of new Set([1, shape[0] ?? 1])) {
    if (groups === 0 || data.length === 0) continue;
    const runs = runsOf(floats, groups);
    const all = encodeLevels({ runs, withoutZeros: false, count: data.length }, size);
    if (all !== undefined) {
      best = () => ({ encoding: { kind: "dense", levels: all.levels }, bytes: all.bytes });
      size = all.bytes.byteLength;
    }
    if (sparse === undefined) continue;
    const kept = encodeLevels({ runs, withoutZeros: true, count }, size - sparse.fieldBytes);
    if (kept === undefined) continue;
    best = () => ({ encoding: { kind: "sparse", gapBits: sparse.gapBits, count, levels: kept.levels }, bytes: joined(kept.bytes, sparse) });
    size = kept.bytes.byteLength + sparse.fieldBytes;
  }
  return best();
}

/** `groups` runs of equal length. */
function runsOf(data: Float32Array, groups: number): Float32Array[] {
  const length = data.length / groups;
  return Array.from({ length: groups }, (_, g) => data.subarray(g * length, (g + 1) * length));
}

/**
 * The elements of a constant from its own bytes (`record.bytes` of them): the reference for what generated `prepare` does.
 * Throws E_CORRUPT if the gaps lead outside the shape or end too early, or fields outside the palette.
 */
export function decodeConstant(record: Pick<ConstantRecord, "name" | "dtype" | "shape" | "encoding">, bytes: Uint8Array): ConstantData {
  const n = recordElements(record.shape);
  const { encoding } = record;
  const { levels } = encoding;
  const run = levels === undefined ? n : n / levels.groups;
  const count = encoding.kind === "dense" ? n : encoding.count;
  const valueBytes = levels === undefined && encoding.kind === "dense" ? n * recordElementBytes[record.dtype] : valuesBytes(levels, count);
  if (encoding.kind === "dense" ? bytes.byteLength !== valueBytes : bytes.byteLength < valueBytes) throw corrupt(record.name);
  const valuesAt = (element: (i: number) => number): Uint32Array => {
    if (levels === undefined) return new Uint32Array(bytes.slice(0, valueBytes).buffer);
    const values = decodeLevels(levels, bytes.subarray(0, valueBytes), count, (i) => Math.floor(element(i) / run));
    if (values === undefined) throw corrupt(record.name);
    return new Uint32Array(values.buffer);
  };
  if (encoding.kind === "dense") return new arrays[record.dtype](levels === undefined ? (bytes.slice().buffer as ArrayBuffer) : (valuesAt((i) => i).buffer as ArrayBuffer));
  const elements = decodeGaps(record.name, encoding, bytes.subarray(valueBytes), n);
  const values = valuesAt((i) => elements[i] as number);
  const result = new Uint32Array(n);
  elements.forEach((element, i) => {
    result[element] = values[i] as number;
  });
  return new Float32Array(result.buffer);
}

/** The element of each non-zero. */
function decodeGaps(name: string, { gapBits, count }: { readonly gapBits: number; readonly count: number }, fields: Uint8Array, n: number): Uint32Array {
  const elements = new Uint32Array(count);
  const more = 2 ** gapBits - 1;
  let bit = 0;
  let element = -1;
  for (let i = 0; i < count; i++) {
    element++;
    for (let field = more; field === more; bit += gapBits) {
      if (bit + gapBits > fields.byteLength * 8) throw corrupt(name);
      field = readField(fields, bit, gapBits);
      element += field;
    }
    if (element >= n) throw corrupt(name);
    elements[i] = element;
  }
  return elements;
}

/** Where the non-zeros of a constant are, as fields of so many bits. */
interface SparseFields {
  readonly gaps: Uint32Array;
  readonly gapBits: number;
  readonly fieldBytes: number;
}

/** Missing where nothing is zero. */
function sparseFields(bits: Uint32Array, count: number): SparseFields | undefined {
  if (count === bits.length) return undefined;
  const gaps = zerosBefore(bits, count);
  return { gaps, ...bestGapBits(count, histogram(gaps)) };
}

function nonZerosOf(floats: Float32Array, bits: Uint32Array, count: number): Uint8Array {
  const values = new Uint32Array(count);
  let next = 0;
  for (let i = 0; i < floats.length; i++) if (!isZero(bits[i] as number)) values[next++] = bits[i] as number;
  return new Uint8Array(values.buffer);
}

/** Values, then the fields of the gaps. */
function joined(values: Uint8Array, { gaps, gapBits, fieldBytes }: SparseFields): Uint8Array {
  const bytes = new Uint8Array(values.byteLength + fieldBytes);
  bytes.set(values);
  const fields = bytes.subarray(values.byteLength);
  const more = 2 ** gapBits - 1;
  let bit = 0;
  gaps.forEach((gap) => {
    let rest = gap;
    for (; rest >= more; rest -= more, bit += gapBits) writeField(fields, bit, more);
    writeField(fields, bit, rest);
    bit += gapBits;
  });
  return bytes;
}

/** Bytes of whole words of fields. A gap z takes ⌊z / (2^gapBits − 1)⌋ + 1 fields; `gaps[z]` counts those of length z. */
function fieldBytesOf(count: number, gaps: ArrayLike<number>, gapBits: number): number {
  const more = 2 ** gapBits - 1;
  let fields = count;
  for (let z = more; z < gaps.length; z++) fields += (gaps[z] as number) * Math.floor(z / more);
  return Math.ceil((fields * gapBits) / 32) * 4;
}

/** The smallest fields; among equals the widest, as they are the fewest to read. */
function bestGapBits(count: number, gaps: Uint32Array): { readonly gapBits: number; readonly fieldBytes: number } {
  let best = { gapBits: 8, fieldBytes: fieldBytesOf(count, gaps, 8) };
  for (let gapBits = 7; gapBits >= 1; gapBits--) {
    const fieldBytes = fieldBytesOf(count, gaps, gapBits);
    if (fieldBytes < best.fieldBytes) best = { gapBits, fieldBytes };
  }
  return best;
}
function histogram(values: Uint32Array): Uint32Array {
  const counts = new Uint32Array(1 + values.reduce((a, b) => Math.max(a, b), 0));
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    counts[value] = (counts[value] as number) + 1;
  }
  return counts;
}

const isZero = (bits: number): boolean => (bits & 0x7fffffff) === 0;

/** Elements that are neither 0 nor −0. */
function countNonZeros(bits: Uint32Array): number {
  let count = 0;
  for (let i = 0; i < bits.length; i++) if (!isZero(bits[i] as number)) count++;
  return count;
}

/** For each of the `count` elements that are neither 0 nor −0: the number of zeros since the one before. */
function zerosBefore(bits: Uint32Array, count: number): Uint32Array {
  const gaps = new Uint32Array(count);
  let gap = 0;
  let next = 0;
  for (let i = 0; i < bits.length; i++) {
    if (isZero(bits[i] as number)) gap++;
    else {
      gaps[next++] = gap;
      gap = 0;
    }
  }
  return gaps;
}

function corrupt(name: string): CadnnError {
  return new CadnnError("E_CORRUPT", `the bytes of constant "${name}" do not fit its shape`, { at: name, hint: "Compile the net again." });
}
