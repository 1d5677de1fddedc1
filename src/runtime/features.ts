import type { TargetName } from "../artifact/manifest.ts";

/** What the engine that runs this code can do. Every entry is tried, none is guessed from a version. */
export interface Features {
  readonly arch: "x64" | "arm64";
  readonly simd: boolean;
  /** Relaxed SIMD, above all fused multiply-add. Node 20 has it behind a flag, Safari not at all. */
  readonly relaxedSimd: boolean;
  /**
   * V8 up to version 12 (Node 20, 22, 23), whose optimizing compiler places all loads of a basic block before its arithmetic. It is told by having
   * no `Atomics.pause`, which V8 got soon after its next compiler, and which every other engine with relaxed SIMD has.
   */
  readonly loadsFirst: boolean;
  /** Wasm atomics, and memory that can be shared with workers: pages need cross-origin isolation for it. */
  readonly threads: boolean;
  /** Whether `Atomics.wait` may be called here: not on the main thread of a page. */
  readonly mayBlock: boolean;
  readonly hardwareConcurrency: number;
}

const v128 = 0x7b;
const f32 = 0x7d;
const i32 = 0x7f;
const end = 0x0b;
const zeroVector = [0x41, 0, 0xfd, 0x0f]; // i32.const 0, i8x16.splat

/** Detects what `createSession` chooses by. Takes well under a millisecond. */
export function detectFeatures(): Features {
  return {
    arch: architecture(),
    simd: validates(tinyModule([], v128, [...zeroVector, 0xfd, 0x62])), // i8x16.popcnt
    relaxedSimd: validates(tinyModule([], v128, [...zeroVector, ...zeroVector, ...zeroVector, 0xfd, 0x85, 0x02])), // f32x4.relaxed_madd
    loadsFirst: typeof (Atomics as { pause?: unknown }).pause !== "function",
    threads: sharedMemoryWorks(),
    mayBlock: mayBlock(),
    hardwareConcurrency: hardwareConcurrency(),
  };
}

/** Targets of this engine's modules, best first: its own architecture before the other, relaxed before plain, its own variant before the other. */
export function targetsFor({ arch, simd, relaxedSimd, loadsFirst }: Pick<Features, "arch" | "simd" | "relaxedSimd" | "loadsFirst">): TargetName[] {
  if (!simd) return [];
  const x64: TargetName[] = loadsFirst ? ["wasm-x64-relaxed-loadsfirst", "wasm-x64-relaxed"] : ["wasm-x64-relaxed", "wasm-x64-relaxed-loadsfirst"];
  const names = { x64: [...x64, "wasm-x64-plain", "wasm-x64-relaxed-pairs"], arm64: ["wasm-arm64-relaxed", "wasm-arm64-plain"] } as const;
  return [...names[arch], ...names[arch === "x64" ? "arm64" : "x64"]].filter((name) => relaxedSimd || name.endsWith("-plain"));
}

/** Node, where workers come from `worker_threads`; its modules are reached without an import that bundlers would stumble over. */
export function nodeModule<T>(name: string): T | undefined {
  const process = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return process?.getBuiltinModule?.(`node:${name}`) as T | undefined;
}

/** The main thread of a page: it may not block, so inference runs in a worker of its own. */
export function isPage(): boolean {
  return typeof document !== "undefined" && typeof Worker !== "undefined";
}

/**
 * The sign of 0/0, which Wasm leaves to the hardware: x86 gives a NaN with the sign set, ARM one with it clear.
 * The operands are arguments so that no compiler folds the division.
 */
function architecture(): "x64" | "arm64" {
  const code = tinyModule([f32, f32], i32, [0x20, 0, 0x20, 1, 0x95, 0xbc]); // f32.div, i32.reinterpret_f32
  if (!validates(code)) return "x64";
  const run = new WebAssembly.Instance(new WebAssembly.Module(code)).exports.f as (a: number, b: number) => number;
  return run(0, 0) < 0 ? "x64" : "arm64";
}

function sharedMemoryWorks(): boolean {
  if (typeof SharedArrayBuffer === "undefined" || (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false) return false;
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer;
  } catch {
    return false;
  }
}

function mayBlock(): boolean {
  if (typeof SharedArrayBuffer === "undefined") return !isPage();
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1); // returns at once, as 0 ≠ 1
    return true;
  } catch {
    return false;
  }
}

function hardwareConcurrency(): number {
  if (typeof navigator !== "undefined" && navigator.hardwareConcurrency > 0) return navigator.hardwareConcurrency;
  return nodeModule<{ availableParallelism(): number }>("os")?.availableParallelism() ?? 1;
}

function validates(code: Uint8Array<ArrayBuffer>): boolean {
  return typeof WebAssembly !== "undefined" && WebAssembly.validate(code);
}

/** A module of one exported function `f` of these parameters, result and instructions. */
function tinyModule(parameters: readonly number[], result: number, instructions: readonly number[]): Uint8Array<ArrayBuffer> {
  const section = (id: number, content: readonly number[]): number[] => [id, content.length, ...content];
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, parameters.length, ...parameters, 1, result]),
    ...section(3, [1, 0]),
    ...section(7, [1, 1, 0x66, 0, 0]),
    ...section(10, [1, instructions.length + 2, 0, ...instructions, end]),
  );
}
