import { randomBytes } from "node:crypto";
import { open, readdir, readFile as readNodeFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CadnnError } from "../errors.ts";

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The file's bytes. Throws `E_FILE_NOT_FOUND` that names the file if it is missing or cannot be read. */
export async function readFile(path: string): Promise<Uint8Array> {
  try {
    const buffer = await readNodeFile(path);
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
  } catch (error) {
    throw readError(path, error);
  }
}

/** The file as UTF-8 text, without a byte order mark; errors as in `readFile`. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path));
}

function readError(path: string, cause: unknown): CadnnError {
  const make = (message: string, hint: string) => new CadnnError("E_FILE_NOT_FOUND", message, { at: path, hint, cause });
  switch (codeOf(cause)) {
    case "ENOENT":
    case "ENOTDIR":
      return make("there is no such file", "Check the path; relative paths start at the current directory.");
    case "EISDIR":
      return make("this is a directory, a file is expected", "Give the path of a file in it.");
    case "EACCES":
    case "EPERM":
      return make("this file may not be read", "Check its permissions.");
    default:
      return make(`the file cannot be read: ${textOf(cause)}`, "Check the file and its disk.");
  }
}

/**
 * Writes a file whole or not at all: into a temporary file beside it, flushed to disk, then renamed onto it. A file of that name stays as
 * it was if anything fails. Pipes and devices are written to directly. Throws `E_FILE_WRITE` that names the file.
 */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  try {
    const existing = await stat(path).catch(() => undefined);
    if (existing?.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
    if (existing !== undefined && !existing.isFile()) return await writeInto(path, "w", 0o666, content);
    const target = existing === undefined ? path : await realpath(path);
    const temporary = join(dirname(target), `${temporaryPrefix(target)}${randomBytes(6).toString("hex")}.tmp`);
    try {
      await writeInto(temporary, "wx", existing === undefined ? 0o666 : existing.mode & 0o777, content);
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  } catch (error) {
    throw writeError(path, error);
  }
}

const temporaryPrefix = (target: string) => `.${basename(target)}.`;

/** Removes what `writeFileAtomic` has left beside a file where the process was killed in the middle of it. Not to be called while another process writes the file. */
export async function removeTemporaries(path: string): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const names = await readdir(dirname(target)).catch(() => []);
  const isTemporary = (name: string) => name.startsWith(temporaryPrefix(target)) && /^[0-9a-f]{12}\.tmp$/.test(name.slice(temporaryPrefix(target).length));
  for (const name of names.filter(isTemporary)) await rm(join(dirname(target), name), { force: true });
}

async function writeInto(path: string, flags: string, mode: number, content: Uint8Array | string): Promise<void> {
  const file = await open(path, flags, mode);
  try {
    await file.writeFile(content);
    if (flags === "wx") await file.sync();
  } finally {
    await file.close();
  }
}

function writeError(path: string, cause: unknown): CadnnError {
  const make = (message: string, hint: string) => new CadnnError("E_FILE_WRITE", message, { at: path, hint, cause });
  switch (codeOf(cause)) {
    case "ENOSPC":
    case "EDQUOT":
      return make("the disk is full", "Free some space or write to another disk; nothing was left behind.");
    case "ENOENT":
    case "ENOTDIR":
      return make("its directory does not exist", "Create the directory first.");
    case "EISDIR":
      return make("this is a directory, a file is expected", "Give the path of a file in it.");
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return make("this file may not be written", "Check the permissions of the file and of its directory.");
    default:
      return make(`the file cannot be written: ${textOf(cause)}`, "Check the path and its disk.");
  }
}
