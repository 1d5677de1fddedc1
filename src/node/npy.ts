import { CadnnError } from "../errors.ts";
import { type DType, elementCount, makeData, type Tensor, type TensorData } from "../ir/types.ts";

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // "\x93NUMPY"

/** How elements of each numpy type are read, and the type that they become. */
const readers: Readonly<Record<string, readonly [DType, bytes: number, (view: DataView, offset: number, little: boolean) => number | bigint]>> = {
  f4: ["float32", 4, (v, o, le) => v.getFloat32(o, le)],
  f8: ["float32", 8, (v, o, le) => v.getFloat64(o, le)],
  i1: ["int8", 1, (v, o) => v.getInt8(o)],
  u1: ["uint8", 1, (v, o) => v.getUint8(o)],
  b1: ["bool", 1, (v, o) => v.getUint8(o)],
  i4: ["int32", 4, (v, o, le) => v.getInt32(o, le)],
  i8: ["int64", 8, (v, o, le) => v.getBigInt64(o, le)],
};

const descriptions: Readonly<Record<DType, string>> = { float32: "<f4", int32: "<i4", int64: "<i8", uint8: "|u1", int8: "|i1", bool: "|b1" };

/**
 * Reads numpy's `.npy` format, versions 1 to 3, either byte order, C or Fortran order; float64 becomes float32.
 * Throws `E_INVALID_FILE` or `E_UNSUPPORTED_TYPE` that name `name`.
 */
export function readNpy(bytes: Uint8Array, name = "npy"): Tensor {
  const invalid = (why: string) => new CadnnError("E_INVALID_FILE", `this is no .npy file: ${why}`, { at: name, hint: "Write it with numpy.save(…)." });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || magic.some((b, i) => bytes[i] !== b)) throw invalid("its first bytes are others");
  const version = bytes[6] as number;
  if (version < 1 || version > 3) throw new CadnnError("E_UNSUPPORTED_VERSION", `.npy version ${version} is unknown`, { at: name, hint: "Versions 1 to 3 are read." });
  const headerStart = version === 1 ? 10 : 12;
  const headerLength = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = headerStart + headerLength;
  if (start > bytes.length) throw invalid("its header is cut off");
  const header = new TextDecoder().decode(bytes.subarray(headerStart, start));
  const [, order = "", kind = ""] = /'descr':\s*'([<>|=])(\w+)'/.exec(header) ?? [];
  const fortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const dimensions = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (fortran === undefined || dimensions === undefined) throw invalid("its header lacks order or shape");
  const reader = readers[kind];
  if (reader === undefined) {
    const found = /'descr':\s*([^,]*)/.exec(header)?.[1] ?? "unknown";
    throw new CadnnError("E_UNSUPPORTED_TYPE", `elements of type ${found} are not supported`, { at: name, hint: "Convert them with .astype(numpy.float32)." });
  }
  const [dtype, size, read] = reader;
  const shape = dimensions
    .split(",")
    .filter((d) => d.trim() !== "")
    .map((d) => Number.parseInt(d, 10));
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count) || count < 0) throw invalid(`its shape is (${dimensions})`);
  if (start + count * size > bytes.length) throw invalid(`its shape (${dimensions}) needs ${count * size} bytes, ${bytes.length - start} are there`);
  const data = makeData(dtype, count) as { [index: number]: number | bigint };
  const place = fortran === "True" ? fortranOrder(shape) : (i: number) => i;
  for (let i = 0; i < count; i++) data[place(i)] = read(view, start + i * size, order !== ">");
  return { dtype, shape, data: data as unknown as TensorData } as Tensor;
}

/** Row-major index of the i-th element in column-major order. */
function fortranOrder(shape: readonly number[]): (index: number) => number {
  return (index) => {
    let rest = index;
    const position = shape.map((d) => {
      const p = rest % d;
      rest = (rest - p) / d;
      return p;
    });
    return position.reduce((row, p, i) => row * (shape[i] as number) + p, 0);
  };
}

/** Writes numpy's `.npy` format, version 1, little-endian, C order. */
export function writeNpy({ dtype, shape, data }: Tensor): Uint8Array {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descriptions[dtype]}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const padding = 63 - ((10 + text.length) % 64);
  const header = new TextEncoder().encode(`${text}${" ".repeat(padding)}\n`);
  const bytes = new Uint8Array(10 + header.length + data.byteLength);
  bytes.set([...magic, 1, 0, header.length & 255, header.length >> 8]);
  bytes.set(header, 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return bytes;
}
