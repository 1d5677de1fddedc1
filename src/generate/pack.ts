import { encodeArtifact } from "../artifact/format.ts";
import type { ConstantRecord, Manifest, ModuleRecord } from "../artifact/manifest.ts";
import type { Graph } from "../ir/graph.ts";
import type { StoredConstant } from "../lower/kernel-graph.ts";
import type { Executable } from "./index.ts";

/** Puts executables and their weights, each once, into one file. */
export function pack(graph: Graph, executables: readonly Executable[]): Uint8Array {
  // Modules share the bytes of a weight.
  const constants = [...new Map(executables.flatMap((x) => x.prepare.map((p) => [p.constant.bytes, p.constant]))).values()];
  const weights = concatenate(constants.map((c) => c.bytes));
  const code = concatenate(executables.map((x) => x.module));
  const manifest: Manifest = {
    name: graph.name,
    producer: "cadnn 0.1.0",
    inputs: graph.inputs.map((v) => ({ name: v.name, dtype: v.type.dtype, shape: v.type.shape })),
    outputs: graph.outputs.map((o) => ({ name: o.name, dtype: o.value.type.dtype, shape: o.value.type.shape })),
    constants: constants.map(
      (c, i): ConstantRecord => ({ name: c.name, dtype: c.dtype, shape: c.shape, encoding: c.encoding, offset: weights.offsets[i] as number, bytes: c.bytes.byteLength }),
    ),
    modules: executables.map((x, i): ModuleRecord => ({ ...x.record, offset: code.offsets[i] as number, bytes: x.module.byteLength, prepare: prepareRecords(x, constants) })),
  };
  return encodeArtifact({ manifest, weights: weights.bytes, code: code.bytes });
}

function prepareRecords(executable: Executable, constants: readonly StoredConstant[]): ModuleRecord["prepare"] {
  const index = new Map(constants.map((c, i) => [c.bytes, i]));
  return executable.prepare.map((p) => ({ constant: index.get(p.constant.bytes) as number, staging: p.staging }));
}

function concatenate(parts: readonly Uint8Array[]): { readonly bytes: Uint8Array; readonly offsets: readonly number[] } {
  const offsets: number[] = [];
  let size = 0;
  for (const part of parts) {
    size = Math.ceil(size / 16) * 16;
    offsets.push(size);
    size += part.byteLength;
  }
  const bytes = new Uint8Array(size);
  parts.forEach((part, i) => bytes.set(part, offsets[i] as number));
  return { bytes, offsets };
}
