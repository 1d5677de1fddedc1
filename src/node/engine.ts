import { setFlagsFromString } from "node:v8";
import { detectFeatures } from "../runtime/features.ts";

/** A module whose one function is f32x4.relaxed_madd. */
const relaxedModule = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version 1
  ...[0x01, 0x08, 0x01, 0x60, 0x03, 0x7b, 0x7b, 0x7b, 0x01, 0x7b], // type 0: (v128, v128, v128) → v128
  ...[0x03, 0x02, 0x01, 0x00], // function 0 is of type 0
  ...[0x0a, 0x0d, 0x01, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfd, 0x85, 0x02, 0x0b], // its body
);

/**
 * Switches relaxed SIMD on where the engine has it behind a flag (V8 of Node 20) and tells whether it is there. Call it before the first
 * WebAssembly module is compiled; later calls do no harm.
 */
export function enableRelaxedSimd(): boolean {
  if (WebAssembly.validate(relaxedModule)) return true;
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  return WebAssembly.validate(relaxedModule);
}

/**
 * Lets V8 merge operations on neighbouring vectors of 128 bits into ones of 256 (`--experimental-wasm-revectorize`) in whatever WebAssembly
 * the process compiles from now on, and tells whether it can: on x64, from V8 13 (Node 24). V8's authors call it experimental.
 */
export function enableRevectorize(): boolean {
  const { arch, loadsFirst } = detectFeatures();
  if (arch !== "x64" || loadsFirst) return false;
  setFlagsFromString("--experimental-wasm-revectorize");
  return true;
}

/**
 * Lets V8 compile WebAssembly by its optimizing compiler alone, from the first call on, so that measurements need no warming up. For processes that measure;
 * large nets load slower.
 */
export function compileOptimizedOnly(): void {
  setFlagsFromString("--no-liftoff");
  // V8 14 (Node 26) inlines by what baseline code has counted, and ends the process where there was none.
  setFlagsFromString("--no-wasm-inlining");
}
