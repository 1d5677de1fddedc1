import { setTimeout } from "node:timers/promises";
import { checkpointFile } from "../../src/cli/checkpoint-file.ts";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";

const die = () => process.kill(process.pid, "SIGKILL");

/** A checkpoint in a file, and `kill`, which ends the process at once or in the middle of saving next. */
export function mortalStore(checkpoint: string): { readonly store: CheckpointStore; kill(at: string | undefined): void } {
  const file = checkpointFile(checkpoint);
  let isDue = false;
  return {
    store: {
      load: () => file.load(),
      async save(bytes) {
        if (!isDue) return file.save(bytes);
        void file.save(bytes);
        await setTimeout(Math.random());
        die();
      },
    },
    kill(at) {
      if (at === "save") isDue = true;
      else die();
    },
  };
}
