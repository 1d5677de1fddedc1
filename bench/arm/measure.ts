import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { type Core, countClasses, emulate, estimate, type Interval } from "../../src/node/arm64/index.ts";
import { type Models, openModels, type Variant } from "../peers/models.ts";
import { relativeError } from "../peers/report.ts";
import { type ContenderName, rowOf } from "./contenders.ts";

/** One inference on one thread. */
export interface Measurement {
  readonly net: string;
  readonly variant: Variant;
  readonly contender: ContenderName;
  /** Of code that the engine compiled from WebAssembly. */
  readonly instructions: number;
  readonly classes: Readonly<Record<string, number>>;
  /** Estimated, and what the execution units alone take. */
  readonly cycles: Readonly<Record<Core, number>>;
  readonly bound: Readonly<Record<Core, number>>;
  /** Largest difference from the expected output, over the range of that. */
  readonly error: number;
  /** Where code is made in tiers: instructions of the inference before that, over this one's; near 1 when the last tier is there. */
  readonly settled?: number;
}

/** What was executed, before it is weighed. */
export interface Counted {
  readonly last: Interval;
  readonly error: number;
  readonly settled?: number;
}

/** One that is to be made. Equal keys mean equal counts. */
export interface Task {
  readonly net: string;
  readonly variant: Variant;
  readonly contender: ContenderName;
  readonly key: string;
  count(): Promise<Counted>;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const jscProgram = "/usr/bin/jsc";

/** How contenders are run until their engine has made its last code. JavaScript, which only copies, stays with the interpreter, which is not counted. */
interface Regime {
  readonly flags: readonly string[];
  /** The last of so many inferences is counted. */
  readonly runs: number;
  /** Milliseconds after each other one, for what is hot to be compiled. */
  readonly pauseMs: number;
}

const interpretedJs = ["--no-opt", "--no-sparkplug", "--no-maglev"];
const regimes = {
  /** Optimized code from the first call on. V8 14 inlines by what baseline code has counted, and ends the process where there was none. */
  own: { flags: ["--no-liftoff", "--no-wasm-lazy-compilation", "--no-wasm-inlining", ...interpretedJs], runs: 1, pauseMs: 0 },
  /** Megabytes of code, most of it run once: baseline code first, as in browsers. */
  peer: { flags: interpretedJs, runs: 3, pauseMs: 3000 },
  /** JavaScriptCore compiles what is hot in tiers, and has no flag to begin with the last one; on the main thread, so that nothing depends on time. */
  jsc: { flags: ["--useConcurrentJIT=0", "--thresholdForBBQOptimizeAfterWarmUp=5", "--thresholdForOMGOptimizeAfterWarmUp=50", "-m"], runs: 3, pauseMs: 0 },
} as const satisfies Readonly<Record<string, Regime>>;

const hash = (...parts: readonly (string | Uint8Array)[]): string =>
  parts
    .reduce((h, part) => h.update(part).update("\0"), createHash("sha256"))
    .digest("hex")
    .slice(0, 16);

/** Hashes of large files, which several tasks ask for. */
const hashes = new Map<string, string>();
function hashOf(path: string): string {
  const known = hashes.get(path) ?? hash(readFileSync(path));
  hashes.set(path, known);
  return known;
}

const versionOf = (name: string): string => {
  const require = createRequire(import.meta.url);
  const [folder] = (require.resolve.paths(name) ?? []).map((at) => join(at, name, "package.json")).filter((path) => existsSync(path));
  return folder === undefined ? "" : (JSON.parse(readFileSync(folder, "utf8")) as { version: string }).version;
};

/** Of what weighs. */
export const estimatorHash = (): string => hash(...["traces.ts", "estimate.ts"].map((name) => readFileSync(here(`../../src/node/arm64/${name}`))));

export async function weigh({ net, variant, contender }: Task, { last, ...rest }: Counted): Promise<Measurement> {
  const [weighed] = await estimate([last]);
  if (weighed === undefined) throw new Error("nothing was counted");
  const { cycles, bound, instructions } = weighed;
  return { net, variant, contender, instructions, classes: countClasses(last.blocks), cycles, bound, ...rest };
}

interface Switches {
  readonly winograd: boolean;
}

export interface Inputs {
  readonly models: Models;
  /** Compiled nets. */
  artifact(net: string, variant: Variant, switches: Switches): Promise<string | undefined>;
  expected(net: string, variant: Variant, tfPadding: boolean): Float32Array | undefined;
}

const floats = (path: string): Float32Array => new Float32Array(Uint8Array.from(readFileSync(path)).buffer);

/** The task of a contender; nothing if there is no file for it. */
export async function taskOf(net: string, variant: Variant, contender: ContenderName, inputs: Inputs): Promise<Task | undefined> {
  const row = rowOf(contender);
  const model = row.form === "cadnn" ? await inputs.artifact(net, variant, { winograd: row.winograd !== false }) : await inputs.models.file(net, variant, row.form);
  if (model === undefined) return undefined;
  const { path: input, shape } = inputs.models.input(net);
  const guest = bundle(row.peer === undefined ? "guest-cadnn" : "guest-peer");
  const version = row.peer === undefined ? hashOf(guest) : `${row.peer.package} ${versionOf(row.peer.package)}`;
  const { flags, runs, pauseMs } = regimes[row.engine === "jsc" ? "jsc" : row.peer === undefined ? "own" : "peer"];
  const key = hash(contender, hashOf(model), hashOf(input), version, row.target ?? "", flags.join(" "), String(runs));
  const count = async (): Promise<Counted> => {
    const folder = mkdtempSync(join(tmpdir(), "cadnn-arm-"));
    try {
      const result = join(folder, "result");
      const common = [model, ...(row.peer === undefined ? [row.target as string] : []), input, shape.join()];
      const args =
        row.peer === undefined
          ? [...flags, guest, ...(row.engine === "jsc" ? ["--"] : []), ...common, String(runs), result]
          : [...flags, guest, row.peer.maker, ...common, row.layout, String(runs), String(pauseMs), result];
      const { intervals } = await emulate(args, row.engine === "jsc" ? { program: jscProgram } : {});
      const last = intervals.find(({ label }) => label === runs) as Interval;
      const before = intervals.find(({ label }) => label > 0 && label === runs - 1);
      const expected = inputs.expected(net, variant, row.tfPadding === true);
      const error = expected === undefined ? Number.NaN : relativeError([...floats(result)], [...expected]);
      return { last, error, ...(before !== undefined && { settled: before.instructions / last.instructions }) };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  return { net, variant, contender, key, count };
}

const bundles = new Map<string, string>();
const bundleFolder = here(`../../node_modules/.cache/cadnn-arm/${process.pid}`);

/**
 * A script for the guests. (Node would run TypeScript too, but its parser for that is WebAssembly, which takes an optimizing compiler long in emulation.) It lies
 * where packages are found.
 */
function bundle(name: string): string {
  const known = bundles.get(name);
  if (known !== undefined) return known;
  const outfile = join(bundleFolder, `${name}.mjs`);
  buildSync({ entryPoints: [here(`${name}.ts`)], outfile, bundle: true, packages: "external", format: "esm", platform: "neutral", target: "es2022", external: ["node:*"] });
  bundles.set(name, outfile);
  return outfile;
}

/** Nets of a folder; expected outputs are the files of the folder, too. Nets are compiled when first asked for. */
export function openInputs(folder: string | undefined, compile: (onnx: Uint8Array, switches: Switches) => Promise<Uint8Array>): Inputs & { close(): void } {
  const models = openModels(folder);
  const temporary = mkdtempSync(join(tmpdir(), "cadnn-arm-nets-"));
  const made = new Map<string, Promise<string | undefined>>();
  const make = async (net: string, variant: Variant, switches: Switches): Promise<string | undefined> => {
    const onnx = await models.file(net, variant, "onnx");
    if (onnx === undefined) return undefined;
    const path = join(temporary, `${net}-${variant}${switches.winograd ? "" : "-direct"}.cadnn`);
    writeFileSync(path, await compile(readFileSync(onnx), switches));
    return path;
  };
  return {
    models,
    artifact(net, variant, switches) {
      const key = `${net} ${variant} ${switches.winograd}`;
      const artifact = made.get(key) ?? make(net, variant, switches);
      made.set(key, artifact);
      return artifact;
    },
    expected(net, variant, tfPadding) {
      const path = join(folder ?? "", `${net}${variant === "sparse" ? "-sparse" : ""}.expected${tfPadding ? "-tfsame" : ""}.bin`);
      return folder !== undefined && existsSync(path) ? floats(path) : undefined;
    },
    close() {
      models.close();
      for (const folder of [temporary, bundleFolder]) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Values in files by their keys. */
export function openCache<T>(folder: string): { get(key: string): T | undefined; set(key: string, value: T): void } {
  mkdirSync(folder, { recursive: true });
  const path = (key: string): string => join(folder, `${key}.json`);
  return {
    get: (key) => (existsSync(path(key)) ? (JSON.parse(readFileSync(path(key), "utf8")) as T) : undefined),
    set(key, value) {
      writeFileSync(`${path(key)}.${process.pid}`, JSON.stringify(value));
      renameSync(`${path(key)}.${process.pid}`, path(key));
    },
  };
}
