/** What compiler and runtime share about one `.cadnn` file. Everything here is plain JSON in the file's manifest section. */
export interface Manifest {
  readonly name: string;
  /** Version of cadnn that wrote the file. */
  readonly producer: string;
  readonly inputs: readonly TensorRecord[];
  readonly outputs: readonly TensorRecord[];
  /** All weights, each stored once, whatever the number of modules. Offsets are relative to the weights section. */
  readonly constants: readonly ConstantRecord[];
  readonly modules: readonly ModuleRecord[];
}

export type RecordDType = "float32" | "int32" | "int64" | "uint8" | "int8" | "bool";

export interface TensorRecord {
  readonly name: string;
  readonly dtype: RecordDType;
  readonly shape: readonly number[];
}

/** Canonical forms of a constant's bytes; see `constant-codec.ts`. Fields of a few bits lie least significant first within little-endian 32-bit words. */
export type ConstantEncoding =
  /** Elements as they are, row-major, little-endian. */
  | { readonly kind: "dense"; readonly levels?: LevelsRecord }
  /**
   * Float32 non-zeros in row-major order, then fields of `gapBits` bits: the number of zeros before each non-zero; the field's greatest
   * value means "that many zeros, and the next field adds to them".
   */
  | { readonly kind: "sparse"; readonly gapBits: number; readonly count: number; readonly levels?: LevelsRecord };

/**
 * Few different float32: the elements in row-major order are `groups` runs of equal length, and in place of values lie a float32 scale of each group,
 * a 32-bit start of each group, `palette` float32, and a field of `bits` bits for each value: value = scale · palette[start + field], rounded once.
 */
export interface LevelsRecord {
  readonly bits: number;
  readonly groups: number;
  readonly palette: number;
}

export interface ConstantRecord extends TensorRecord {
  readonly encoding: ConstantEncoding;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * What a module is for: an architecture, relaxed SIMD or not and, where engines of the two schedule too differently for one module, a
 * variant. `loadsfirst` is V8 up to version 12, which places all loads of a basic block before its arithmetic;
 * `pairs` is for engines that merge pairs of vectors. See `codegen/target.ts`.
 */
export type TargetName = "wasm-x64-relaxed" | "wasm-x64-relaxed-loadsfirst" | "wasm-x64-relaxed-pairs" | "wasm-x64-plain" | "wasm-arm64-relaxed" | "wasm-arm64-plain";

/** One generated module and how to drive it. */
export interface ModuleRecord {
  /** A runtime passes over modules for targets that it does not know. */
  readonly target: TargetName;
  /** Offset and size within the code section. */
  readonly offset: number;
  readonly bytes: number;
  /** Byte of the module that holds the limits flag of the imported memory: 3 for shared, 1 for unshared. As stored: 3. */
  readonly sharedFlagOffset: number;
  /** Memory size in pages of 64 KiB; also its declared maximum. */
  readonly pages: number;
  /** Where each input and output lies, row-major. Every element has 4 bytes: integers of all kinds and bool lie as int32. Same order as in the manifest. */
  readonly inputOffsets: readonly number[];
  readonly outputOffsets: readonly number[];
  /** For each: copy the constant's bytes to `staging`, then call `prepare(index)`, which moves or expands them. */
  readonly prepare: readonly PrepareRecord[];
  /** Parameters (training): row-major at `offset`; the initial value is the constant of index `initial`, brought there by `prepare`. */
  readonly parameters: readonly ParameterRecord[];
  /** One entry a kernel call, in order. */
  readonly steps: readonly StepRecord[];
}

export interface PrepareRecord {
  readonly constant: number;
  readonly staging: number;
}

export interface ParameterRecord extends TensorRecord {
  readonly offset: number;
}

export interface StepRecord {
  /** The user's node that this call computes. */
  readonly node: string;
  readonly kernel: string;
  readonly macs: number;
}
