import { CadnnError } from "../errors.ts";
import type { LevelsRecord, Manifest, RecordDType, TargetName } from "./manifest.ts";

/** Bytes of an element outside; generated code keeps int64 as 32 bits, see `memoryBytes`. */
export const recordElementBytes: Readonly<Record<RecordDType, number>> = { float32: 4, int32: 4, int64: 8, uint8: 1, int8: 1, bool: 1 };

export const targetNames: readonly TargetName[] = [
  "wasm-x64-relaxed",
  "wasm-x64-relaxed-loadsfirst",
  "wasm-x64-relaxed-pairs",
  "wasm-x64-plain",
  "wasm-arm64-relaxed",
  "wasm-arm64-plain",
];

export const pageBytes = 65536;

/** Product of the dimensions; 1 for a scalar. */
export function recordElements(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

/** Bytes of the values of a constant that has `count` of them: floats, or what stands for them. */
export function valuesBytes(levels: LevelsRecord | undefined, count: number): number {
  return levels === undefined ? 4 * count : 8 * levels.groups + 4 * levels.palette + 4 * Math.ceil((levels.bits * count) / 32);
}

/** Bytes of an output or parameter in a module's memory, where every element has 4. */
export function memoryBytes(record: { readonly shape: readonly number[] }): number {
  return recordElements(record.shape) * 4;
}

/** Bytes of an input in a module's memory: unsigned bytes, which may be an image's, lie as they are fed. */
export function inputBytes(record: { readonly dtype: RecordDType; readonly shape: readonly number[] }): number {
  return record.dtype === "uint8" ? recordElements(record.shape) : memoryBytes(record);
}

/**
 * Checks that `value` has the structure of a manifest and that every offset lies inside its section or memory, so that nothing
 * after it needs to. Throws E_INVALID_FILE with the path of the culprit.
 */
export function validateManifest(value: unknown, weights: Uint8Array, code: Uint8Array): asserts value is Manifest {
  const at = "manifest";
  const m = object(value, at);
  text(m.name, `${at}.name`);
  text(m.producer, `${at}.producer`);
  const inputs = list(m.inputs, `${at}.inputs`, input);
  const outputs = list(m.outputs, `${at}.outputs`, tensor);
  const constants = list(m.constants, `${at}.constants`, (item, path) => constant(item, path, weights.byteLength));
  list(m.modules, `${at}.modules`, (item, path) => module(item, path, inputs, outputs, constants, code));
}

type Fields = Readonly<Record<string, unknown>>;
interface Sized {
  readonly bytes: number;
}

function constant(item: unknown, at: string, end: number): Sized {
  const { fields, elements, dtype } = tensorFields(item, at);
  const bytes = integer(fields.bytes, `${at}.bytes`);
  inside(integer(fields.offset, `${at}.offset`), bytes, end, `${at}.offset`, "weights section");
  const encoding = object(fields.encoding, `${at}.encoding`);
  const levels = encoding.levels === undefined ? undefined : levelsFields(encoding.levels, `${at}.encoding.levels`, elements);
  check(levels === undefined || dtype === "float32", `${at}.encoding.levels`, `is of ${dtype}`);
  if (encoding.kind === "dense") {
    const size = levels === undefined ? elements * recordElementBytes[dtype] : valuesBytes(levels, elements);
    check(bytes === size, `${at}.bytes`, `must be ${size}, is ${bytes}`);
  } else {
    check(encoding.kind === "sparse" && dtype === "float32", `${at}.encoding`, "is unknown");
    fieldBits(encoding.gapBits, `${at}.encoding.gapBits`);
    const count = integer(encoding.count, `${at}.encoding.count`);
    check(count <= elements && bytes % 4 === 0 && bytes >= valuesBytes(levels, count), `${at}.encoding.count`, `${count} does not fit ${elements} elements in ${bytes} bytes`);
  }
  return { bytes };
}

function levelsFields(item: unknown, at: string, elements: number): LevelsRecord {
  const fields = object(item, at);
  const levels = { bits: fieldBits(fields.bits, `${at}.bits`), groups: integer(fields.groups, `${at}.groups`), palette: integer(fields.palette, `${at}.palette`) };
  check(levels.groups > 0 && elements % levels.groups === 0, `${at}.groups`, `${levels.groups} do not divide ${elements} elements`);
  return levels;
}

function fieldBits(value: unknown, at: string): number {
  const bits = integer(value, at);
  check(bits >= 1 && bits <= 8, at, `must be 1…8, is ${bits}`);
  return bits;
}

function module(item: unknown, at: string, inputs: readonly Sized[], outputs: readonly Sized[], constants: readonly Sized[], code: Uint8Array): void {
  const fields = object(item, at);
  text(fields.target, `${at}.target`);
  const offset = integer(fields.offset, `${at}.offset`);
  const bytes = integer(fields.bytes, `${at}.bytes`);
  inside(offset, bytes, code.byteLength, `${at}.offset`, "code section");
  const flag = integer(fields.sharedFlagOffset, `${at}.sharedFlagOffset`);
  check(flag < bytes && code[offset + flag] === 3, `${at}.sharedFlagOffset`, "does not point at the limits flag 3");
  const pages = integer(fields.pages, `${at}.pages`);
  check(pages >= 1 && pages <= 65536, `${at}.pages`, `must be 1…65536, is ${pages}`);
  const memory = pages * pageBytes;
  const place = (tensors: readonly Sized[], key: string): void => {
    const offsets = list(fields[key], `${at}.${key}`, integer);
    check(offsets.length === tensors.length, `${at}.${key}`, `must have ${tensors.length} entries, has ${offsets.length}`);
    tensors.forEach((t, i) => {
      inside(offsets[i] as number, t.bytes, memory, `${at}.${key}[${i}]`, "memory");
    });
  };
  place(inputs, "inputOffsets");
  place(outputs, "outputOffsets");
  list(fields.prepare, `${at}.prepare`, (record, path) => {
    const prepare = object(record, path);
    const index = integer(prepare.constant, `${path}.constant`);
    const source = constants[index];
    if (source === undefined) throw bad(`${path}.constant`, `${index} is none of ${constants.length} constants`);
    inside(integer(prepare.staging, `${path}.staging`), source.bytes, memory, `${path}.staging`, "memory");
  });
  list(fields.parameters, `${at}.parameters`, (record, path) => {
    const { bytes: size } = tensor(record, path);
    inside(integer(object(record, path).offset, `${path}.offset`), size, memory, `${path}.offset`, "memory");
  });
  list(fields.steps, `${at}.steps`, (record, path) => {
    const step = object(record, path);
    text(step.node, `${path}.node`);
    text(step.kernel, `${path}.kernel`);
    check(typeof step.macs === "number", `${path}.macs`, "must be a number");
  });
}

function input(item: unknown, at: string): Sized {
  return { bytes: inputBytes(tensorFields(item, at)) };
}

/** An output or parameter; `bytes` as it lies in memory. */
function tensor(item: unknown, at: string): Sized {
  const { shape } = tensorFields(item, at);
  return { bytes: memoryBytes({ shape }) };
}

function tensorFields(item: unknown, at: string): { fields: Fields; dtype: RecordDType; shape: readonly number[]; elements: number } {
  const fields = object(item, at);
  text(fields.name, `${at}.name`);
  const dtype = fields.dtype as RecordDType;
  check(typeof dtype === "string" && Object.hasOwn(recordElementBytes, dtype), `${at}.dtype`, `"${String(dtype)}" is unknown`);
  const shape = list(fields.shape, `${at}.shape`, integer);
  return { fields, dtype, shape, elements: recordElements(shape) };
}

function object(value: unknown, at: string): Fields {
  check(typeof value === "object" && value !== null && !Array.isArray(value), at, "must be an object");
  return value as Fields;
}

function list<T>(value: unknown, at: string, item: (value: unknown, at: string) => T): T[] {
  if (!Array.isArray(value)) throw bad(at, "must be a list");
  return value.map((entry, i) => item(entry, `${at}[${i}]`));
}

function text(value: unknown, at: string): void {
  check(typeof value === "string", at, "must be a string");
}

function integer(value: unknown, at: string): number {
  check(Number.isSafeInteger(value) && (value as number) >= 0, at, "must be a non-negative integer");
  return value as number;
}

function inside(offset: number, bytes: number, end: number, at: string, where: string): void {
  check(offset + bytes <= end, at, `${offset} with ${bytes} bytes lies outside the ${where} of ${end} bytes`);
}

function check(condition: boolean, at: string, problem: string): asserts condition {
  if (!condition) throw bad(at, problem);
}

function bad(at: string, problem: string): CadnnError {
  return new CadnnError("E_INVALID_FILE", `${at} ${problem}`, { at, hint: "Compile the net again; if this stays, report it as a bug of cadnn." });
}
