import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CadnnError } from "../../errors.ts";
import { findToolchain } from "./toolchain.ts";
import type { Block } from "./traces.ts";

/** What generated code executed up to a mark. */
export interface Interval {
  readonly label: number;
  readonly instructions: number;
  readonly blocks: readonly Block[];
}

export interface EmulateOptions {
  /** The guest's program; default arm64 Node. */
  readonly program?: string;
  /** QEMU's model of a processor; default `cortex-a76`. `cortex-a53` has no dot product instructions. */
  readonly cpu?: string;
  /** Changes to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface Emulation {
  readonly intervals: readonly Interval[];
  readonly stdout: string;
  readonly stderr: string;
}

/** Flags by which Node compiles Wasm with its optimizing compiler before the first call, and JavaScript not at all, so that Wasm alone is counted. */
export const countedWasmFlags = ["--no-liftoff", "--no-wasm-lazy-compilation", "--no-opt", "--no-sparkplug", "--no-maglev"] as const;

/**
 * Runs a program for ARM64 in emulation and counts what the code executes that its just-in-time compilers make. The guest ends an interval by looking for a
 * file `/cadnn-interval/NUMBER` (`markInterval`). Counts are exact for guests of one thread. Throws `E_TOOL_MISSING`, and `E_WORKER` if the guest fails.
 */
export async function emulate(args: readonly string[], options: EmulateOptions = {}): Promise<Emulation> {
  const { qemu, plugin, node } = await findToolchain();
  const folder = await mkdtemp(join(tmpdir(), "cadnn-arm64-"));
  const file = join(folder, "intervals.jsonl");
  try {
    const guest = [options.program ?? node, ...args];
    const output = await runProgram(qemu, ["-cpu", options.cpu ?? "cortex-a76", "-plugin", `${plugin},out=${file}`, ...guest], options);
    return { ...output, intervals: parseIntervals(await readFile(file, "utf8")) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a program, `input` on its stdin, and gives what it wrote. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: EmulateOptions & { readonly input?: string } = {},
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...options.env }, signal: options.signal });
    const written = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        written[name] += text;
      });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(written);
      const said = written.stderr.trim().split("\n").slice(-12).join("\n");
      const hint = "The lines above are what it wrote last.";
      reject(new CadnnError("E_WORKER", `${program} ended with ${signal ?? `status ${code}`}:\n${said}`, { at: args.slice(-3).join(" "), hint }));
    });
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
  });
}

export function parseIntervals(text: string): Interval[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { label, blocks: raw } = JSON.parse(line) as { label: number; blocks: [number, number, string][] };
      const blocks = raw.map(([address, runs, hex]): Block => ({ address, runs, words: wordsOf(hex) }));
      return { label, instructions: blocks.reduce((n, b) => n + b.runs * b.words.length, 0), blocks };
    });
}

const wordsOf = (hex: string): number[] => Array.from({ length: hex.length / 8 }, (_, i) => Number.parseInt(hex.slice(8 * i, 8 * i + 8), 16));
