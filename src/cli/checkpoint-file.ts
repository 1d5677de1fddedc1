import { stat } from "node:fs/promises";
import { readFile, removeTemporaries, writeFileAtomic } from "../node/files.ts";
import type { CheckpointStore } from "../train/checkpoint.ts";

export interface CheckpointFile extends CheckpointStore {
  readonly path: string;
  exists(): Promise<boolean>;
}

/** A checkpoint in a file. A process that is killed at any time leaves the one before or the new one, whole; loading clears away what it may leave beside it. */
export function checkpointFile(path: string): CheckpointFile {
  const exists = () =>
    stat(path).then(
      () => true,
      () => false,
    );
  return {
    path,
    exists,
    save: (bytes) => writeFileAtomic(path, bytes),
    async load() {
      await removeTemporaries(path);
      return (await exists()) ? readFile(path) : undefined;
    },
  };
}
