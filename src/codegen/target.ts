import type { TargetName } from "../artifact/manifest.ts";

/** What kernels, their spaces and the cost model may ask about an engine. Nothing asks for its name. */
export interface Target {
  readonly name: TargetName;
  readonly backend: "wasm";
  /** Relaxed SIMD: a fused multiply-add in one instruction. */
  readonly fma: boolean;
  /** Vector registers that V8's register allocator hands out. */
  readonly vectorRegisters: number;
  /**
   * Whether the engine places all loads of a basic block before its arithmetic, as V8 up to version 12 does (Node 20, 22, 23). Then a loop's loaded vectors need
   * registers all at once, beside the accumulators.
   */
  readonly loadsFirst: boolean;
  /**
   * Whether the engine merges equal operations on two neighbouring vectors into one of 256 bits, as V8 does with its flag `experimental-wasm-revectorize`. Then a
   * register holds two vectors, where their number is even and all loads come before the first store.
   */
  readonly pairs: boolean;
  /** Whether `load32_splat` folds its address, so that spreading a weight from memory costs one instruction. */
  readonly splatFoldsAddress: boolean;
  /** Static offsets above this are not folded into a load of a vector. */
  readonly maxFoldedOffset: number;
  /** Static offsets above this are folded only if they are multiples of 16. */
  readonly maxUnalignedOffset: number;
  /** First-level data cache of a core, bytes, for which passes are made. */
  readonly l1Bytes: number;
  /** Those of the cores that count. */
  readonly l1Sizes: readonly number[];
  /** Cycles that a cache line takes which must come from the second-level cache, beside those that counts of instructions tell; 0 where kernels' models know by measurements. */
  readonly farLineCycles: number;
  /** Bytes from which on a value between 1×1 convolutions has the rows of its planes interleaved; ResNet-50 gains 1 to 4 % by it on x64 with a second-level cache of 2 MiB. */
  readonly interleavedBytes: number;
  /** Whether `f32x4.pmin/pmax` (else `min/max`) is the single instruction. */
  readonly pseudoMinMax: boolean;
  /** Whether cores that issue in order count: they wait at the first use of a value that is not there yet. */
  readonly inOrder: boolean;
}

const x64 = {
  backend: "wasm",
  vectorRegisters: 15,
  l1Bytes: 32768,
  l1Sizes: [32768],
  farLineCycles: 0,
  interleavedBytes: 500_000,
  pairs: false,
  splatFoldsAddress: true,
  maxFoldedOffset: 2 ** 31 - 1,
  maxUnalignedOffset: 2 ** 31 - 1,
  pseudoMinMax: true,
  inOrder: false,
} as const;
const arm64 = {
  backend: "wasm",
  vectorRegisters: 29,
  l1Bytes: 65536,
  farLineCycles: 1,
  // Counts of instructions and lines do not see pages.
  interleavedBytes: Number.POSITIVE_INFINITY,
  loadsFirst: false,
  pairs: false,
  splatFoldsAddress: false,
  maxFoldedOffset: 65520,
  maxUnalignedOffset: 255,
  pseudoMinMax: false,
  inOrder: true,
} as const;

/** Whether a load of a vector takes a static offset, in bytes, into its instruction. */
export const foldsOffset = (target: Target, offset: number): boolean => offset <= target.maxUnalignedOffset || (offset <= target.maxFoldedOffset && offset % 16 === 0);

export const targets: Readonly<Record<TargetName, Target>> = {
  "wasm-x64-relaxed": { name: "wasm-x64-relaxed", fma: true, loadsFirst: false, ...x64 },
  "wasm-x64-relaxed-loadsfirst": { name: "wasm-x64-relaxed-loadsfirst", fma: true, loadsFirst: true, ...x64 },
  "wasm-x64-relaxed-pairs": { ...x64, name: "wasm-x64-relaxed-pairs", fma: true, loadsFirst: false, pairs: true },
  "wasm-x64-plain": { name: "wasm-x64-plain", fma: false, loadsFirst: true, ...x64 },
  "wasm-arm64-relaxed": { name: "wasm-arm64-relaxed", fma: true, l1Sizes: [32768, 65536], ...arm64 },
  // Safari has no relaxed SIMD, so this one is for Apple's cores, whose caches are larger.
  "wasm-arm64-plain": { name: "wasm-arm64-plain", fma: false, l1Sizes: [65536, 131072], ...arm64 },
};

/** What `wasm` stands for: all targets but those for engines that were told to do what none does by itself. */
export const commonTargets: readonly Target[] = Object.values(targets).filter((target) => !target.pairs);
