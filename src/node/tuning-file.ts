import { appendFile, mkdir, truncate } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { CadnnError } from "../errors.ts";
import { readFile } from "./files.ts";

/** Where measurements are kept if no other file is named: `$XDG_CACHE_HOME/cadnn/tuning.jsonl`, `~/.cache` if that is not set. */
export const defaultTuningFile = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "cadnn", "tuning.jsonl");

/**
 * The text of a file of lines that is to be appended to; empty if there is none. A last line without an end, left by a process that was killed, is cut off
 * the file.
 */
export async function openLines(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof CadnnError && error.cause instanceof Error && "code" in error.cause && error.cause.code === "ENOENT") return "";
    throw error;
  }
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end < bytes.length) await failing(path, () => truncate(path, end));
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** Appends a whole line in one write, so that processes may share the file. Makes the directory if it is missing. Throws `E_FILE_WRITE`. */
export async function appendLine(path: string, line: string): Promise<void> {
  await failing(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await appendFile(path, line);
  });
}

async function failing(path: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CadnnError("E_FILE_WRITE", `the file cannot be written: ${why}`, { at: path, hint: "Check the path, its permissions and its disk.", cause });
  }
}
