import { CadnnError } from "../errors.ts";
import { checksum } from "./checksum.ts";
import type { Manifest } from "./manifest.ts";
import { validateManifest } from "./validate.ts";

/**
 * A `.cadnn` file, all numbers little-endian 32-bit:
 *
 * | byte | what |
 * | --- | --- |
 * | 0 | magic: 0x89 `cadnn` CR LF. The first byte is no text, the last two are changed by transfers that mistake the file for text |
 * | 8 | format version |
 * | 12 | size of the file |
 * | 16 | for manifest, weights, code: offset, size, checksum |
 * | 52 | checksum of bytes 0–51 |
 * | 56 | zeros up to 64 |
 * | 64 | the sections, each starting at a multiple of 16, zeros between them |
 */
export interface Artifact {
  readonly manifest: Manifest;
  /** Constants in canonical form; `ConstantRecord` tells where and how. */
  readonly weights: Uint8Array;
  /** Wasm modules; `ModuleRecord` tells where. */
  readonly code: Uint8Array;
}

export const formatVersion = 4;

const magic = [0x89, 0x63, 0x61, 0x64, 0x6e, 0x6e, 0x0d, 0x0a] as const;
const headerBytes = 64;
const tableOffset = 16;
const headerChecksumOffset = 52;
const sectionNames = ["manifest", "weights", "code"] as const;

/** Makes the bytes of a `.cadnn` file. Equal artifacts give equal bytes. Throws E_INVALID_FILE if the manifest does not fit its sections. */
export function encodeArtifact(artifact: Artifact): Uint8Array {
  validateManifest(artifact.manifest, artifact.weights, artifact.code);
  const sections = [new TextEncoder().encode(JSON.stringify(sortKeys(artifact.manifest))), artifact.weights, artifact.code];
  const offsets: number[] = [];
  let size = headerBytes;
  for (const section of sections) {
    size = align16(size);
    offsets.push(size);
    size += section.byteLength;
  }
  if (size > 0xffffffff) throw new CadnnError("E_OUT_OF_MEMORY", `the artifact would have ${size} bytes; a file holds at most 4 GiB`, { hint: "Compress the net, or split it." });
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  file.set(magic);
  view.setUint32(8, formatVersion, true);
  view.setUint32(12, size, true);
  sections.forEach((section, i) => {
    const offset = offsets[i] as number;
    file.set(section, offset);
    view.setUint32(tableOffset + 12 * i, offset, true);
    view.setUint32(tableOffset + 12 * i + 4, section.byteLength, true);
    view.setUint32(tableOffset + 12 * i + 8, checksum(section), true);
  });
  view.setUint32(headerChecksumOffset, checksum(file.subarray(0, headerChecksumOffset)), true);
  return file;
}

/**
 * Reads a `.cadnn` file. `weights` and `code` are views of `bytes`.
 * Throws E_INVALID_FILE (another kind of file, or truncated), E_UNSUPPORTED_VERSION, E_CORRUPT (names the section).
 */
export function decodeArtifact(bytes: Uint8Array): Artifact {
  const known = Math.min(bytes.byteLength, magic.length);
  if (known === 0 || magic.some((byte, i) => i < known && bytes[i] !== byte)) throw foreign(bytes);
  if (bytes.byteLength < headerBytes) throw truncated(headerBytes - bytes.byteLength, "at least ");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(8, true);
  if (version !== formatVersion) {
    throw new CadnnError("E_UNSUPPORTED_VERSION", `the file has format version ${version}; this runtime reads version ${formatVersion}`, {
      at: "version",
      hint: version > formatVersion ? "Update cadnn, or compile the net again with the cadnn that you run it with." : "Compile the net again with this version of cadnn.",
    });
  }
  if (checksum(bytes.subarray(0, headerChecksumOffset)) !== view.getUint32(headerChecksumOffset, true)) throw corrupt("header");
  const size = view.getUint32(12, true);
  if (bytes.byteLength < size) throw truncated(size - bytes.byteLength, "");
  if (bytes.byteLength > size) {
    throw new CadnnError("E_INVALID_FILE", `${bytes.byteLength - size} bytes follow the end of the artifact`, { hint: "Pass exactly the bytes of one .cadnn file." });
  }
  const [manifestBytes, weights, code] = sectionNames.map((name, i) => {
    const [offset, length, sum] = [0, 4, 8].map((field) => view.getUint32(tableOffset + 12 * i + field, true)) as [number, number, number];
    if (offset + length > size) throw corrupt(name);
    const section = bytes.subarray(offset, offset + length);
    if (checksum(section) !== sum) throw corrupt(name);
    return section;
  }) as [Uint8Array, Uint8Array, Uint8Array];
  const manifest = parseManifest(manifestBytes);
  validateManifest(manifest, weights, code);
  return { manifest: manifest as Manifest, weights, code };
}

function parseManifest(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new CadnnError("E_CORRUPT", "the manifest section is not JSON", { at: "manifest", hint: "Compile the net again.", cause });
  }
}

function foreign(bytes: Uint8Array): CadnnError {
  const start = [...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0")).join(" ");
  const found = bytes.byteLength === 0 ? "it is empty" : `it starts with ${start}`;
  const isText = bytes[0] === 0x3c; // "<": servers answer with a page of HTML where a file is missing
  return new CadnnError("E_INVALID_FILE", `this is not a .cadnn file: ${found}`, {
    hint: isText ? "This looks like HTML: check the address the file is fetched from." : "Make one from an ONNX file with `cadnn compile NET.onnx -o NET.cadnn`.",
  });
}

function truncated(missing: number, about: string): CadnnError {
  return new CadnnError("E_INVALID_FILE", `the file is truncated: ${about}${missing} bytes are missing`, { hint: "Copy or download it again." });
}

function corrupt(section: string): CadnnError {
  return new CadnnError("E_CORRUPT", `the checksum of section "${section}" does not hold`, { at: section, hint: "Copy or download the file again." });
}

function align16(offset: number): number {
  return Math.ceil(offset / 16) * 16;
}

/** JSON text must not depend on the order in which an object got its keys. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sortKeys(item)]),
  );
}
