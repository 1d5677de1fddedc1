import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { targets } from "../../src/codegen/target.ts";
import { CadnnError } from "../../src/errors.ts";
import { findEmulator } from "../../src/node/arm64/index.ts";
import type { Engine } from "../engine.ts";
import type { Instance } from "../instance.ts";
import type { PackedAction, Reply, Request } from "./protocol.ts";

export type Shell = "node" | "jsc";

const jscProgram = "/usr/bin/jsc";
const flags: Readonly<Record<Shell, readonly string[]>> = {
  // Optimized code alone: it is what users get, and what is compiled twice costs twice in emulation.
  node: ["--no-liftoff", "--no-wasm-lazy-compilation", "--no-wasm-inlining"],
  jsc: ["--useConcurrentJIT=0", "-m"],
};

/** The emulator and the shell that runs in it; or why there is none here. */
export type Found = { readonly command: readonly string[] } | { readonly missing: string };

export async function find(shell: Shell): Promise<Found> {
  try {
    const { qemu, node } = await findEmulator();
    if (shell === "node") return { command: [qemu, "-cpu", "cortex-a76", node, ...flags.node] };
    // EM_AARCH64 in the ELF header.
    const fits = existsSync(jscProgram) && readFileSync(jscProgram).readUInt16LE(18) === 183;
    return fits ? { command: [qemu, "-cpu", "cortex-a76", jscProgram, ...flags.jsc] } : { missing: `${jscProgram} for arm64 is missing` };
  } catch (error) {
    if (error instanceof CadnnError && error.code === "E_TOOL_MISSING") return { missing: `${error.message}. ${error.hint}` };
    throw error;
  }
}

/** An engine in emulation that can also run whole artifacts. Every call waits for the answer. */
export interface Emulated extends Engine {
  /** The only output of the last of so many inferences, and the target that ran. */
  run(artifact: Uint8Array, feeds: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>, options?: RunOptions): Ran;
  close(): void;
}
export interface RunOptions {
  readonly target?: string | undefined;
  readonly runs?: number;
}
export interface Ran {
  readonly target: string | undefined;
  readonly output: Float32Array;
}

/** Starts a shell. It ends by itself after ten minutes, whatever happens here. */
export function openEmulated(shell: Shell, command: readonly string[]): Emulated {
  const folder = mkdtempSync(join(tmpdir(), "cadnn-arm64-"));
  const file = (name: string, contents?: Uint8Array): string => {
    const path = join(folder, name);
    if (contents !== undefined) writeFileSync(path, contents);
    return path;
  };
  const script = file("guest.mjs");
  buildSync({ entryPoints: [fileURLToPath(new URL("guest.ts", import.meta.url))], outfile: script, bundle: true, format: "esm", platform: "neutral", target: "es2022" });
  const wire = startShell([...command, script], folder);
  const ask = (request: Request): Reply => {
    const reply = JSON.parse(wire.ask(JSON.stringify(request))) as Reply;
    if ("error" in reply) throw new Error(`${shell} on arm64: ${reply.error}`);
    return reply;
  };
  let loaded = 0;
  return {
    share: 1 / 8,
    targets: [targets["wasm-arm64-relaxed"], targets["wasm-arm64-plain"]].filter((t) => shell === "node" || !t.fma),
    load(module, memory, pages): Instance {
      ask({ kind: "load", module: file("module.wasm", module), memory, pages });
      const id = ++loaded;
      return {
        perform(actions) {
          if (id !== loaded) throw new Error("another module took this one's place");
          const parts: Uint8Array[] = [];
          let size = 0;
          const packed = actions.map((a): PackedAction => {
            if (a.kind !== "write") return a;
            parts.push(a.data);
            size += a.data.byteLength;
            return { kind: "write", at: a.at, from: size - a.data.byteLength, bytes: a.data.byteLength };
          });
          const result = file("result");
          ask({ kind: "perform", actions: packed, data: file("data", Buffer.concat(parts, size)), result });
          const bytes = new Uint8Array(readFileSync(result));
          let at = 0;
          return actions.flatMap((a) => {
            if (a.kind !== "read") return [];
            at += a.bytes;
            return [bytes.slice(at - a.bytes, at)];
          });
        },
      };
    },
    run(artifact, feeds, { target, runs = 1 } = {}) {
      const paths = Object.entries(feeds).map(([name, { shape, data }], i) => {
        const path = file(`feed-${i}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        return [name, { shape, path }] as const;
      });
      const result = file("result");
      const reply = ask({ kind: "run", artifact: file("net.cadnn", artifact), target, feeds: Object.fromEntries(paths), result, runs });
      return { target: "target" in reply ? reply.target : undefined, output: new Float32Array(Uint8Array.from(readFileSync(result)).buffer) };
    },
    close() {
      wire.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A process on two named pipes, so that a question and its answer are one synchronous call, as properties of tests want it. */
function startShell(command: readonly string[], folder: string): { ask(line: string): string; close(): void } {
  const [toShell, fromShell] = [join(folder, "in"), join(folder, "out")];
  execFileSync("mkfifo", [toShell, fromShell]);
  // Opened for both ways first, as opening one end alone waits for the other.
  const held = [openSync(toShell, "r+"), openSync(fromShell, "r+")];
  const [stdin, stdout] = [openSync(toShell, "r"), openSync(fromShell, "w")];
  const [write, read] = [openSync(toShell, "w"), openSync(fromShell, constants.O_RDONLY)];
  const child = spawn("timeout", ["600", ...command], { stdio: [stdin, stdout, "inherit"] });
  for (const fd of [...held, stdin, stdout]) closeSync(fd);
  const buffer = new Uint8Array(65536);
  return {
    ask(line) {
      writeSync(write, `${line}\n`);
      for (let text = ""; ; ) {
        const bytes = readSync(read, buffer);
        if (bytes === 0) throw new Error("the emulated engine ended");
        text += new TextDecoder().decode(buffer.subarray(0, bytes));
        if (text.endsWith("\n")) return text;
      }
    },
    close() {
      closeSync(write);
      closeSync(read);
      child.kill();
    },
  };
}
