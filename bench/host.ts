import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";

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
