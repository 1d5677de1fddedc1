import { fileURLToPath } from "node:url";
import { CadnnError } from "../errors.ts";
import { createSession as createRuntimeSession, type Session, type SessionOptions } from "../runtime/index.ts";
import { enableRelaxedSimd } from "./engine.ts";
import { readFile } from "./files.ts";

/**
 * Loads a `.cadnn` file from disk, with relaxed SIMD switched on where the engine has it. Errors as of the runtime's `createSession`;
 * those about the file name it.
 *
 * @example const session = await createSession("resnet50.cadnn", { threads: 2 });
 */
export async function createSession(source: string | URL | Uint8Array, options: SessionOptions = {}): Promise<Session> {
  enableRelaxedSimd();
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
