import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Progress } from "../../src/cli/progress.ts";
import { readFile, writeFileAtomic } from "../../src/node/files.ts";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";
import type { MakeStepper } from "../../src/train/stepper.ts";

/** A published result that can be computed anew from nothing: one file a recipe, one row in `recipes` of run.ts. */
export interface Recipe {
  /** One line for the overview. */
  readonly description: string;
  /** Folder of its data, seen from the project's root. */
  readonly data: string;
  run(context: RecipeContext): Promise<RecipeResult>;
}

export interface RecipeContext {
  readonly seed: number;
  readonly threads: number;
  /** Existing folder, or the recipe says what is missing. */
  readonly data: string;
  /** Trained ONNX net to begin with, for recipes that begin with one, in place of the one among the data. */
  readonly net: string | undefined;
  /** Also what is compared with, where it takes long. */
  readonly baselines: boolean;
  readonly makeStepper: MakeStepper;
  readonly progress: Progress;
  /** Aborted by Ctrl-C; what runs then saves and throws `E_INTERRUPTED`. */
  readonly signal: AbortSignal;
  /** Lasts until the recipe is done, whatever interrupts it. */
  readonly workplace: Workplace;
}

export interface RecipeResult {
  /** A table with the published figures beside ours. */
  readonly text: string;
  /** One line; accuracies in percent. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A folder with checkpoints, files, findings and the time that was spent, over all interruptions. */
export interface Workplace {
  readonly folder: string;
  store(name: string): CheckpointStore;
  /** What `compute` gave for this key, or gave before the last interruption. Plain JSON. */
  once<T>(key: string, compute: () => Promise<T>): Promise<T>;
  /** What was found for this key, if anything. */
  found<T>(key: string): T | undefined;
  /** In seconds. */
  spent(): { readonly wall: number; readonly cpu: number };
  /** Deletes it all. */
  clear(): void;
}

interface Notes {
  wall: number;
  cpu: number;
  readonly findings: Record<string, unknown>;
}

export function openWorkplace(folder: string): Workplace {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "notes.json");
  const notes: Notes = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Notes) : { wall: 0, cpu: 0, findings: {} };
  const begun = performance.now();
  const cpuAtStart = process.cpuUsage();
  const before = { wall: notes.wall, cpu: notes.cpu };
  const spent = () => {
    const { user, system } = process.cpuUsage(cpuAtStart);
    return { wall: before.wall + (performance.now() - begun) / 1000, cpu: before.cpu + (user + system) / 1e6 };
  };
  const keep = () => writeFileAtomic(file, JSON.stringify(Object.assign(notes, spent())));
  return {
    folder,
    store(name) {
      const path = join(folder, `${name}.checkpoint`);
      return {
        load: async () => (existsSync(path) ? readFile(path) : undefined),
        async save(bytes) {
          await writeFileAtomic(path, bytes);
          await keep();
        },
      };
    },
    async once<T>(key: string, compute: () => Promise<T>) {
      if (!Object.hasOwn(notes.findings, key)) {
        notes.findings[key] = await compute();
        await keep();
      }
      return notes.findings[key] as T;
    },
    found: <T>(key: string) => notes.findings[key] as T | undefined,
    spent,
    clear: () => rmSync(folder, { recursive: true, force: true }),
  };
}
