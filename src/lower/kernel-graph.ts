import type { ConstantEncoding } from "../artifact/manifest.ts";
import type { Target } from "../codegen/target.ts";
import type { ParameterValue } from "../ir/graph.ts";
import type { DType } from "../ir/types.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";
import type { StreamShape } from "../kernels/weight-stream.ts";
import type { WinogradFilters } from "../kernels/winograd.ts";

/** A stretch of the module's memory. `arena` buffers share space when they are not alive together; `resident` ones keep theirs. */
export interface Buffer {
  readonly id: number;
  readonly name: string;
  readonly bytes: number;
  readonly region: "arena" | "resident";
}

/** A place in a buffer, in elements of 4 bytes. */
export interface Place {
  readonly buffer: Buffer;
  readonly offset: number;
}

/** One call of a generated function. */
export interface KernelCall {
  readonly template: KernelTemplate;
  readonly problem: unknown;
  readonly choice: unknown;
  /** In the order of `template.operands(problem)`; the last one is written. */
  readonly operands: readonly Place[];
  /** The operand named `scratch`, which is written too. */
  readonly scratch?: Place;
  /** Repeats the call with every operand moved on by so many elements. */
  readonly repeat?: { readonly count: number; readonly strides: readonly number[] };
  /** Writes a part of a buffer whose other parts the calls before it write; no barrier is needed in between. */
  readonly joins?: boolean;
  readonly node: string;
  readonly macs: number;
}

/** A weight as the artifact stores it: once, whatever uses it. All elements have 4 bytes. */
export interface StoredConstant {
  readonly name: string;
  readonly dtype: "float32" | "int32";
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  readonly encoding: ConstantEncoding;
}

/** How a stored constant becomes what a kernel reads. */
export type PrepareSpec =
  /** Row-major elements. */
  | { readonly kind: "expand" }
  /** `GemmWeights` of kind "packed". */
  | { readonly kind: "pack"; readonly m: number; readonly depth: number; readonly filters: number }
  /** The stream of f32-spmm and f32-spmv: entry (m, c·taps + t) has byte offset 4 · (c · channelStride + taps[t]). */
  | ({ readonly kind: "stream"; readonly channelStride: number } & StreamShape)
  /** The transformed filters of f32-winograd, `group` filters a group and `filters` a block. */
  | ({ readonly kind: "winograd"; readonly m: number; readonly channels: number; readonly filters: number; readonly group: number } & WinogradFilters);

export interface PrepareTask {
  readonly constant: StoredConstant;
  readonly spec: PrepareSpec;
  readonly to: Buffer;
}

export interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly place: Place;
}

/** The net as calls of kernels on places in memory: all that `generate` needs. */
export interface KernelGraph {
  readonly name: string;
  readonly target: Target;
  readonly calls: readonly KernelCall[];
  readonly prepare: readonly PrepareTask[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly parameters: readonly (Port & { readonly value: ParameterValue })[];
  readonly memory: MemoryPlan;
}

export interface MemoryPlan {
  /** Byte address of every buffer. */
  readonly addresses: ReadonlyMap<Buffer, number>;
  /** Where stored constants are put before they are prepared: free space of the arena or above it. */
  readonly staging: number;
  readonly bytes: number;
  readonly arenaBytes: number;
  readonly residentBytes: number;
}
