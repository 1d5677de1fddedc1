import { decodeArtifact } from "../artifact/format.ts";
import type { Manifest, ModuleRecord, TargetName } from "../artifact/manifest.ts";
import { CadnnError } from "../errors.ts";
import type { LoadRequest } from "./executor.ts";
import { detectFeatures, type Features, isPage, targetsFor } from "./features.ts";
import { hostedEngine, localEngine } from "./host.ts";
import { Session } from "./session.ts";
import { type ArtifactSource, readSource } from "./source.ts";

export interface SessionOptions {
  /** `"auto"` (default) takes the best backend that the file and the engine share. */
  readonly backend?: "auto" | "wasm" | undefined;
  /** 1 … 64. Default: the processors up to 4; 1 in pages that are not cross-origin isolated, as they share no memory. */
  readonly threads?: number | undefined;
  /** A module of the file to take in place of the best one that the engine supports; of several, the first that the file has. */
  readonly target?: TargetName | readonly TargetName[] | undefined;
}

/**
 * Loads a `.cadnn` file: checks it, picks the module for this engine, compiles it and prepares the weights.
 * Works on Node's main thread and in workers of all kinds; in a page, the net runs in a worker of its own.
 *
 * Throws E_INVALID_FILE, E_CORRUPT, E_UNSUPPORTED_VERSION (the file), E_FILE_NOT_FOUND (an address), E_NO_BACKEND (no module
 * for this engine), E_OUT_OF_MEMORY, E_WORKER, E_INVALID_OPTION.
 *
 * @example
 * const session = await createSession("mobilenet.cadnn", { threads: 2 });
 * const { logits } = await session.run({ input: pixels });
 */
export async function createSession(source: ArtifactSource, options: SessionOptions = {}): Promise<Session> {
  checkOptions(options);
  const { bytes, owned } = await readSource(source);
  const { manifest, weights, code } = decodeArtifact(bytes);
  const features = detectFeatures();
  const notes: string[] = [];
  const module = chooseModule(manifest, features, options.target, notes);
  const hosted = isPage() && !features.mayBlock;
  const threads = chooseThreads(features, options.threads, hosted, notes);
  const engine = hosted ? hostedEngine() : localEngine();
  try {
    // What goes to another thread is transferred, and must be nobody else's: the whole file if it is ours, else a copy of the weights.
    const sent = hosted && !owned ? weights.slice() : weights;
    const request = loadRequest(manifest, module, code, sent, threads);
    await engine.load(request, hosted ? [request.code.buffer, sent.buffer as ArrayBuffer] : []);
  } catch (error) {
    void engine.dispose().catch(() => {});
    throw error;
  }
  return new Session(engine, manifest, module, { backend: "wasm", target: module.target, threads, notes });
}

function loadRequest(manifest: Manifest, module: ModuleRecord, code: Uint8Array, weights: Uint8Array, threads: number): LoadRequest {
  const bytes = new Uint8Array(code.subarray(module.offset, module.offset + module.bytes));
  bytes[module.sharedFlagOffset] = threads > 1 ? 3 : 1;
  const prepare = module.prepare.map(({ constant, staging }) => {
    const record = manifest.constants[constant];
    return { staging, offset: record?.offset ?? 0, bytes: record?.bytes ?? 0 };
  });
  return { code: bytes, pages: module.pages, threads, weights, prepare };
}

/** Exactly the architecture and SIMD of this engine, else the next best. */
function chooseModule(manifest: Manifest, features: Features, wanted: SessionOptions["target"], notes: string[]): ModuleRecord {
  const runnable = targetsFor(features);
  const names = wanted === undefined ? runnable : [wanted].flat();
  const present = manifest.modules.map((module) => module.target);
  const target = names.find((name) => present.includes(name) && runnable.includes(name));
  const module = manifest.modules.find((m) => m.target === target);
  if (module === undefined) {
    const engine = runnable.length === 0 ? "this engine has no WebAssembly SIMD" : `this engine runs: ${runnable.join(", ")}`;
    throw new CadnnError(
      "E_NO_BACKEND",
      `${wanted === undefined ? "no module of the file" : `no module ${names.join(" or ")}`} runs here: the file has ${present.join(", ") || "none"}; ${engine}`,
      {
        at: wanted === undefined ? manifest.name : names.join(),
        hint: features.simd && !features.relaxedSimd ? "In Node 20, cadnn/node switches relaxed SIMD on." : "Compile the net for this engine's target, or update the engine.",
      },
    );
  }
  if (wanted === undefined && module.target !== runnable[0]) notes.push(`target ${module.target}: the file has no module for ${runnable[0]}`);
  if (wanted === undefined && !features.relaxedSimd && present.some((name) => name.includes("-relaxed"))) {
    notes.push(`target ${module.target}: this engine has no relaxed SIMD, which the file has a faster module for`);
  }
  return module;
}

function chooseThreads(features: Features, wanted: number | undefined, hosted: boolean, notes: string[]): number {
  const threads = wanted ?? Math.min(4, features.hardwareConcurrency);
  const why = !features.threads
    ? "no SharedArrayBuffer: pages need the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp"
    : !features.mayBlock && !hosted
      ? "this kind of worker may not block"
      : undefined;
  if (threads === 1 || why === undefined) return threads;
  notes.push(`threads 1 instead of ${threads}: ${why}`);
  return 1;
}

function checkOptions({ backend, threads }: SessionOptions): void {
  if (backend !== undefined && backend !== "auto" && backend !== "wasm") {
    throw new CadnnError("E_INVALID_OPTION", `backend "${String(backend)}" is unknown`, { at: "backend", hint: `Use "auto" or "wasm".` });
  }
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1 && threads <= 64)) {
    throw new CadnnError("E_INVALID_OPTION", `threads must be an integer from 1 to 64, not ${threads}`, { at: "threads", hint: "Leave it out for as many as are useful." });
  }
}
