import { mkdir, mkdtemp, readdir, readFile as readNodeFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readFile, readText, removeTemporaries, writeFileAtomic } from "../../src/node/files.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cadnn-files-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("readFile", () => {
  test("gives bytes and text", async () => {
    await writeFile(join(folder, "a"), "\uFEFFabc");
    expect((await readFile(join(folder, "a"))).length).toBe(6);
    expect(await readText(join(folder, "a"))).toBe("abc");
  });

  test("names a file that is missing or is a directory", async () => {
    await expect(readFile(join(folder, "none"))).rejects.toMatchObject({ code: "E_FILE_NOT_FOUND", at: join(folder, "none"), hint: expect.any(String) });
    await expect(readFile(folder)).rejects.toMatchObject({ code: "E_FILE_NOT_FOUND", at: folder });
  });
});

describe("writeFileAtomic", () => {
  test("writes, replaces and leaves no temporary file", async () => {
    const path = join(folder, "a.bin");
    await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    await writeFileAtomic(path, "text");
    expect(await readNodeFile(path, "utf8")).toBe("text");
    expect(await readdir(folder)).toEqual(["a.bin"]);
  });

  test("what a killed writer has left is removed, and nothing else", async () => {
    for (const name of ["a", ".a.0123456789ab.tmp", ".a.0123456789xy.tmp", ".ab.0123456789ab.tmp", "b"]) await writeFile(join(folder, name), "");
    await removeTemporaries(join(folder, "a"));
    await removeTemporaries(join(folder, "none", "a"));
    expect((await readdir(folder)).sort()).toEqual([".a.0123456789xy.tmp", ".ab.0123456789ab.tmp", "a", "b"]);
  });

  test("keeps the mode of the file and a link to it", async () => {
    const path = join(folder, "a");
    await writeFile(path, "old", { mode: 0o600 });
    await symlink(path, join(folder, "link"));
    await writeFileAtomic(join(folder, "link"), "new");
    expect(await readNodeFile(path, "utf8")).toBe("new");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("names a file whose directory is missing, or that is a directory", async () => {
    const missing = join(folder, "none", "a");
    await expect(writeFileAtomic(missing, "x")).rejects.toMatchObject({ code: "E_FILE_WRITE", at: missing });
    await mkdir(join(folder, "d"));
    await expect(writeFileAtomic(join(folder, "d"), "x")).rejects.toMatchObject({ code: "E_FILE_WRITE", at: join(folder, "d") });
    expect(await readdir(folder)).toEqual(["d"]);
  });

  test("a full disk is said to be full", async () => {
    await expect(writeFileAtomic("/dev/full", "x".repeat(100_000))).rejects.toMatchObject({ code: "E_FILE_WRITE", at: "/dev/full", message: "the disk is full" });
  });
});
