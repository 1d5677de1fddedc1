import { checksum } from "../artifact/checksum.ts";
import { CadnnError } from "../errors.ts";

/** Where an interrupted run leaves its state. `save` must replace the old bytes at once or not at all. */
export interface CheckpointStore {
  save(bytes: Uint8Array): Promise<void>;
  /** `undefined` where nothing was saved. */
  load(): Promise<Uint8Array | undefined>;
}

/** All of a run's state: plain JSON, and arrays by name. */
export interface Checkpoint<Meta = unknown> {
  readonly meta: Meta;
  readonly arrays: ReadonlyMap<string, Float32Array>;
}

const magic = 0x4b434e43; // "CNCK"
const version = 1;

/** Layout, little-endian: magic, version, length of the header, header (JSON, padded to 4 bytes), arrays, checksum of all before. */
export function encodeCheckpoint({ meta, arrays }: Checkpoint): Uint8Array {
  const list = [...arrays];
  const json = new TextEncoder().encode(JSON.stringify({ meta, arrays: list.map(([name, data]) => [name, data.length]) }));
  const headerBytes = (json.length + 3) & ~3;
  const total = 12 + headerBytes + list.reduce((sum, [, data]) => sum + data.byteLength, 0) + 4;
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, version, true);
  view.setUint32(8, headerBytes, true);
  bytes.fill(0x20, 12, 12 + headerBytes);
  bytes.set(json, 12);
  let offset = 12 + headerBytes;
  for (const [, data] of list) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  view.setUint32(offset, checksum(bytes.subarray(0, offset)), true);
  return bytes;
}

/** @throws `E_INVALID_FILE`, `E_UNSUPPORTED_VERSION`, `E_CORRUPT` */
export function decodeCheckpoint<Meta>(bytes: Uint8Array, at = "checkpoint"): Checkpoint<Meta> {
  const hint = "Delete the checkpoint to start anew.";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 16 || view.getUint32(0, true) !== magic) throw new CadnnError("E_INVALID_FILE", "not a checkpoint", { at, hint });
  if (view.getUint32(4, true) !== version) throw new CadnnError("E_UNSUPPORTED_VERSION", `checkpoint of version ${view.getUint32(4, true)}, expected ${version}`, { at, hint });
  const end = bytes.length - 4;
  if (view.getUint32(end, true) !== checksum(bytes.subarray(0, end))) throw new CadnnError("E_CORRUPT", "the checkpoint is damaged or cut short", { at, hint });
  const headerBytes = view.getUint32(8, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + headerBytes))) as { meta: Meta; arrays: [string, number][] };
  let offset = 12 + headerBytes;
  const arrays = new Map<string, Float32Array>();
  for (const [name, length] of header.arrays) {
    const data = new Float32Array(length);
    new Uint8Array(data.buffer).set(bytes.subarray(offset, offset + data.byteLength));
    arrays.set(name, data);
    offset += data.byteLength;
  }
  return { meta: header.meta, arrays };
}
