import { fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { CadnnError } from "../../errors.ts";

/** Newest opset of the default domain whose semantics this importer knows. */
export const newestOpset = 25;

export interface OnnxModel {
  readonly proto: ModelProto;
  /** Version of the default operator set. */
  readonly opset: number;
}

/** First bytes of files that people hand in by mistake. */
const strangers: readonly (readonly [magic: string, offset: number, what: string])[] = [
  ["version https://git-lfs", 0, "a Git LFS pointer; fetch the file itself with `git lfs pull`"],
  ["PK\x03\x04", 0, "a zip archive, such as PyTorch saves; export the net with torch.onnx.export"],
  ["TFL3", 4, "a TensorFlow Lite model; convert it with tf2onnx"],
  ["\x89HDF", 0, "an HDF5 file, such as Keras saves; convert it with tf2onnx"],
  ["ORTM", 4, "an onnxruntime model; pass the ONNX file that it was made from"],
  ["{", 0, "JSON"],
  ["<", 0, "HTML or XML"],
];

/** Decodes an ONNX file; throws `E_INVALID_FILE` where the bytes are something else or cut off, `E_UNSUPPORTED_VERSION` for opsets of the future. */
export function readModel(bytes: Uint8Array): OnnxModel {
  if (bytes.length === 0) throw new CadnnError("E_INVALID_FILE", "the ONNX file is empty", { hint: "Pass the bytes of a .onnx file." });
  const proto = decode(bytes);
  if (proto.graph === undefined || proto.irVersion <= 0n) throw invalid(bytes, "it holds no graph");
  const imported = proto.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  if (imported === undefined && proto.irVersion >= 3n) throw invalid(bytes, "it names no operator set");
  const opset = Number(imported?.version ?? 1n);
  if (opset < 1 || opset > newestOpset)
    throw new CadnnError("E_UNSUPPORTED_VERSION", `operator set ${opset} is not known, the newest supported is ${newestOpset}`, {
      at: `opset ${opset}`,
      hint: `Export the net again with opset ${newestOpset} or lower; 17 is a good choice.`,
    });
  return { proto, opset };
}

function decode(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    throw invalid(bytes, "its protobuf encoding is broken", cause);
  }
}

function invalid(bytes: Uint8Array, why: string, cause?: unknown): CadnnError {
  const text = String.fromCharCode(...bytes.subarray(0, 32));
  const stranger = strangers.find(([magic, offset]) => text.startsWith(magic, offset));
  const hint = stranger === undefined ? "The file is truncated, corrupted or in another format; get or export it again." : `It looks like ${stranger[2]}.`;
  return new CadnnError("E_INVALID_FILE", `not a valid ONNX file: ${why}`, { hint, cause });
}
