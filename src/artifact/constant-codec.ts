import { CadnnError, invariant } from "../errors.ts";
import type { ConstantEncoding, ConstantRecord, RecordDType } from "./manifest.ts";
import { recordElementBytes, recordElements } from "./validate.ts";

export type ConstantData = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

export interface EncodedConstant {
  readonly encoding: ConstantEncoding;
  readonly bytes: Uint8Array;
}

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array } as const;

/**
 * Canonical bytes of a constant: dense or sparse, whichever is smaller. Lossless, but for −0, which sparse turns into 0.
 * `data` has the array type of `dtype`: BigInt64Array for int64, Uint8Array for bool.
 */
export function encodeConstant(data: ConstantData, dtype: RecordDType): EncodedConstant {
  invariant(data.BYTES_PER_ELEMENT === recordElementBytes[dtype], `constant of ${dtype} in an array of ${data.BYTES_PER_ELEMENT} bytes an element`);
  const dense = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (dtype === "float32") {
    const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
    const count = countNonZeros(bits);
    // A non-zero takes a word and at least one bit, so that most dense constants need no closer look.
    if (sparseBytes(count, [], 1) < dense.byteLength) {
      const gaps = zerosBefore(bits, count);
      const { gapBits, size } = bestGapBits(count, histogram(gaps));
      if (size < dense.byteLength) return { encoding: { kind: "sparse", gapBits, count }, bytes: encodeSparse(bits, gaps, gapBits, size) };
    }
  }
  return { encoding: { kind: "dense" }, bytes: dense.slice() };
}

/**
 * The elements of a constant from its own bytes (`record.bytes` of them): the reference for what generated `prepare` does.
 * Throws E_CORRUPT if the gaps lead outside the shape or end too early.
 */
export function decodeConstant(record: Pick<ConstantRecord, "name" | "dtype" | "shape" | "encoding">, bytes: Uint8Array): ConstantData {
  const n = recordElements(record.shape);
  if (record.encoding.kind === "dense") {
    if (bytes.byteLength !== n * recordElementBytes[record.dtype]) throw corrupt(record.name);
    return new arrays[record.dtype](bytes.slice().buffer as ArrayBuffer);
  }
  const { gapBits, count } = record.encoding;
  const values = new Uint32Array(n);
  if (count * 4 > bytes.byteLength) throw corrupt(record.name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = bytes.subarray(count * 4);
  const more = 2 ** gapBits - 1;
  let bit = 0;
  let element = -1;
  for (let i = 0; i < count; i++) {
    element++;
    for (let field = more; field === more; bit += gapBits) {
      if (bit + gapBits > fields.byteLength * 8) throw corrupt(record.name);
      field = readField(fields, bit, gapBits);
      element += field;
    }
    if (element >= n) throw corrupt(record.name);
    values[element] = view.getUint32(i * 4, true);
  }
  return new Float32Array(values.buffer);
}

/** Bytes of the sparse form: the values, then whole words of fields. A gap z takes ⌊z / (2^gapBits − 1)⌋ + 1 fields; `gaps[z]` counts those of length z. */
function sparseBytes(count: number, gaps: ArrayLike<number>, gapBits: number): number {
  const more = 2 ** gapBits - 1;
  let fields = count;
  for (let z = more; z < gaps.length; z++) fields += (gaps[z] as number) * Math.floor(z / more);
  return count * 4 + Math.ceil((fields * gapBits) / 32) * 4;
}

/** The smallest form; among equals the widest fields, as they are the fewest to read. */
function bestGapBits(count: number, gaps: Uint32Array): { readonly gapBits: number; readonly size: number } {
  let best = { gapBits: 8, size: sparseBytes(count, gaps, 8) };
  for (let gapBits = 7; gapBits >= 1; gapBits--) {
    const size = sparseBytes(count, gaps, gapBits);
    if (size < best.size) best = { gapBits, size };
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

function encodeSparse(bits: Uint32Array, gaps: Uint32Array, gapBits: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const values = new DataView(bytes.buffer);
  const fields = bytes.subarray(gaps.length * 4);
  const more = 2 ** gapBits - 1;
  let bit = 0;
  let element = -1;
  gaps.forEach((gap, i) => {
    element += gap + 1;
    values.setUint32(i * 4, bits[element] as number, true);
    let rest = gap;
    for (; rest >= more; rest -= more, bit += gapBits) writeField(fields, bit, more);
    writeField(fields, bit, rest);
    bit += gapBits;
  });
  return bytes;
}

/** A field touches at most two bytes, as gapBits ≤ 8, and bit order within little-endian words is that within their bytes. */
function writeField(fields: Uint8Array, bit: number, field: number): void {
  const byte = bit >>> 3;
  const shifted = field << (bit & 7);
  fields[byte] = (fields[byte] as number) | (shifted & 255);
  if (shifted > 255) fields[byte + 1] = shifted >> 8;
}

function readField(fields: Uint8Array, bit: number, gapBits: number): number {
  const byte = bit >>> 3;
  return (((fields[byte] as number) | ((fields[byte + 1] ?? 0) << 8)) >> (bit & 7)) & (2 ** gapBits - 1);
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
  return new CadnnError("E_CORRUPT", `the gaps of constant "${name}" do not fit its shape`, { at: name, hint: "Compile the net again." });
}
