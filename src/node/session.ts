import { fileURLToPath } from "node:url";
import { CadnnError } from "../errors.ts";
import { detectFeatures, targetsFor } from "../runtime/features.ts";
import { createSession as createRuntimeSession, type Session, type SessionOptions } from "../runtime/index.ts";
import { enableRelaxedSimd, enableRevectorize } from "./engine.ts";
import { readFile } from "./files.ts";

export interface NodeSessionOptions extends SessionOptions {
  /**
   * Lets V8 use vectors of 256 bits (see `enableRevectorize`) and prefers the file's module for it, target `wasm-x64-relaxed-pairs`, if it
   * has one. Without effect where `enableRevectorize()` gives false. Default false.
   */
  readonly revectorize?: boolean | undefined;
}

/**
 * Loads a `.cadnn` file from disk, with relaxed SIMD switched on where the engine has it. Errors as of the runtime's `createSession`;
 * those about the file name it.
 *
 * @example const session = await createSession("resnet50.cadnn", { threads: 2 });
 */
export async function createSession(source: string | URL | Uint8Array, { revectorize, ...rest }: NodeSessionOptions = {}): Promise<Session> {
  enableRelaxedSimd();
  const pairs = revectorize === true && enableRevectorize();
  const options: SessionOptions = pairs && rest.target === undefined ? { ...rest, target: ["wasm-x64-relaxed-pairs", ...targetsFor(detectFeatures())] } : rest;
  if (source instanceof Uint8Array) return createRuntimeSession(source, options);
  const path = source instanceof URL ? fileURLToPath(source) : source;
  const bytes = await readFile(path);
  try {
    return await createRuntimeSession(bytes, options);
  } catch (error) {
    if (!(error instanceof CadnnError)) throw error;
    const at = error.at === undefined ? path : `${path}: ${error.at}`;
    throw new CadnnError(error.code, error.message, { at, hint: error.hint, cause: error, problems: error.problems });
  }
}
