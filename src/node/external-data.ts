import { readFileSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve } from "node:path";

/** Reads the files beside an ONNX file in which it keeps its weights; what lies outside of the model's folder is not read. Each file is read once. */
export function externalDataBeside(modelPath: string): (location: string) => Uint8Array | undefined {
  const folder = dirname(resolve(modelPath));
  const files = new Map<string, Uint8Array | undefined>();
  return (location) => {
    if (!files.has(location)) files.set(location, readInside(folder, location));
    return files.get(location);
  };
}

function readInside(folder: string, location: string): Uint8Array | undefined {
  const path = resolve(folder, location);
  const inside = relative(folder, path);
  if (inside.startsWith("..") || isAbsolute(inside)) return undefined;
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
