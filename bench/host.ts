import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import type { TargetName } from "../src/artifact/manifest.ts";
import { type Target, targets } from "../src/codegen/target.ts";
import { compileOptimizedOnly, enableRelaxedSimd } from "../src/node/engine.ts";
import { detectFeatures, targetsFor } from "../src/runtime/features.ts";

/** Where and when something was measured. */
export interface Host {
  readonly date: string;
  readonly engine: string;
  readonly cpu: string;
  readonly processors: number;
}

export function thisHost(): Host {
  return {
    date: new Date().toISOString().slice(0, 10),
    engine: `Node ${process.versions.node} (V8 ${process.versions.v8})`,
    cpu: cpus()[0]?.model ?? "unknown",
    processors: cpus().length,
  };
}

/** Has this engine run nothing but optimized code, and gives the target of that name, or the best one here. */
export function targetToMeasure(name: string | undefined): Target {
  compileOptimizedOnly();
  const relaxedSimd = enableRelaxedSimd();
  const wanted = (name ?? targetsFor({ ...detectFeatures(), relaxedSimd })[0]) as TargetName;
  const target = targets[wanted];
  if (target === undefined) throw new Error(`there is no target ${wanted}; targets are ${Object.keys(targets).join(", ")}`);
  return target;
}

/** Starts the running script again, with the same arguments but for `--node PATH`, in another Node; gives its exit code. */
export function runIn(node: string): number {
  const at = process.argv.findIndex((arg) => arg === "--node" || arg.startsWith("--node="));
  const args = process.argv.slice(1).filter((_, i) => i + 1 !== at && (process.argv[at] !== "--node" || i !== at));
  return spawnSync(node, ["--import", "tsx", ...args], { stdio: "inherit" }).status ?? 1;
}

/** The runs that a file holds; none if there is no file. */
export function readRuns<Run>(file: string): readonly Run[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Run[]) : [];
}

/** Puts a run into a file of runs, in place of one with the same key: by default that of the same engine. */
export function record<Run extends { readonly host: Host }>(file: string, run: Run, key: (run: Run) => string = ({ host }) => host.engine): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify([...readRuns<Run>(file).filter((r) => key(r) !== key(run)), run], null, 1)}\n`);
}
