import { abi, control } from "../../../src/artifact/control.ts";
import { encodeArtifact } from "../../../src/artifact/format.ts";
import type { Manifest, ModuleRecord, TargetName } from "../../../src/artifact/manifest.ts";
import { targetNames } from "../../../src/artifact/validate.ts";
import {
  addF32,
  assemble,
  at,
  type Code,
  call,
  constant,
  equals,
  float,
  get,
  loadF32,
  loadI32,
  loop,
  meeting,
  multiplyF32,
  storeF32,
  storeI32,
  subtract,
  when,
} from "./assemble.ts";

/** Elements of x and y: prime, so that threads get unequal shares. */
export const n = 61;
const from = control.bytes;
const place = { runs: from, x: from + 1024, w: from + 2048, t: from + 3072, y: from + 4096, k: from + 5120, swapped: from + 5136, staging: from + 8192 } as const;

export const weights = Float32Array.from({ length: n }, (_, i) => 1 + i / 8);

/** What the net computes in its run number `run` (from 0): y[i] = t[n−1−i] + run, t = x · w; swapped = k reversed. */
export function expected(x: Float32Array, run: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => Math.fround(Math.fround((x[n - 1 - i] as number) * (weights[n - 1 - i] as number)) + run));
}

export interface TinyOptions {
  readonly targets?: readonly TargetName[];
  readonly pages?: number;
  /** What `run` does at its start and end; locals are thread and threads. */
  readonly prologue?: Code;
  readonly epilogue?: Code;
}

/**
 * A net of three steps with barriers between them, such that each step needs what other threads did in the one before, and with a
 * parameter `runs` that counts runs. A module made for target i adds i · 1000 to y, so that tests see which one was taken.
 */
export function tinyNet(options: TinyOptions = {}): Uint8Array {
  const targets = options.targets ?? (["wasm-x64-plain"] as const);
  const codes: Uint8Array[] = [];
  let offset = 0;
  const modules = targets.map((target): ModuleRecord => {
    const { code, sharedFlagOffset } = tinyModule(targets.length > 1 ? 1000 * targetNames.indexOf(target) : 0, options);
    codes.push(code);
    const module: ModuleRecord = {
      target,
      offset,
      bytes: code.length,
      sharedFlagOffset,
      pages: options.pages ?? 1,
      inputOffsets: [place.x, place.k],
      outputOffsets: [place.y, place.swapped],
      prepare: [{ constant: 0, staging: place.staging }],
      parameters: [{ name: "runs", dtype: "float32", shape: [], offset: place.runs }],
      steps: ["multiply", "reverse", "count"].map((node) => ({ node, kernel: `test-${node}`, macs: n })),
    };
    offset += code.length;
    return module;
  });
  const manifest: Manifest = {
    name: "tiny",
    producer: "test",
    inputs: [
      { name: "x", dtype: "float32", shape: [1, n] },
      { name: "k", dtype: "int64", shape: [2] },
    ],
    outputs: [
      { name: "y", dtype: "float32", shape: [1, n] },
      { name: "swapped", dtype: "int64", shape: [2] },
    ],
    constants: [{ name: "w", dtype: "float32", shape: [n], encoding: { kind: "dense" }, offset: 0, bytes: 4 * n }],
    modules,
  };
  return encodeArtifact({ manifest, weights: new Uint8Array(weights.buffer), code: Uint8Array.from(codes.flatMap((code) => [...code])) });
}

function tinyModule(mark: number, { pages = 1, prologue = [], epilogue = [] }: TinyOptions): { code: Uint8Array; sharedFlagOffset: number } {
  const zero = constant(0);
  // Steps take (thread, threads); locals after them: 2 the loop counter.
  const share = (body: Code): Code => loop(2, get(0), n, get(1), body);
  const mirrored = at([constant(n - 1), get(2), subtract]);
  const move = (from: number, to: number): Code => [zero, zero, loadI32(from), storeI32(to)];
  const multiply = share([at(get(2)), at(get(2)), loadF32(place.x), at(get(2)), loadF32(place.w), multiplyF32, storeF32(place.t)]);
  const reverse: Code = [
    share([at(get(2)), mirrored, loadF32(place.t), zero, loadF32(place.runs), addF32, float(mark), addF32, storeF32(place.y)]),
    when(equals(get(0), zero), [move(place.k, place.swapped + 4), move(place.k + 4, place.swapped)]),
  ];
  const count = when(equals(get(0), zero), [zero, zero, loadF32(place.runs), float(1), addF32, storeF32(place.runs)]);
  const step = (index: number): Code => [get(1), get(2), call(index)];
  return assemble(
    [
      { parameters: 2, locals: 1, body: multiply },
      { parameters: 2, locals: 1, body: reverse },
      { parameters: 2, locals: 1, body: count },
      { name: abi.warm, parameters: 0, locals: 0, body: [] },
      { name: abi.prepare, parameters: 1, locals: 1, body: loop(1, zero, n, constant(1), [at(get(1)), at(get(1)), loadF32(place.staging), storeF32(place.w)]) },
      // Local 3 is spare: V8 11's baseline code overwrites the last local with zeros whenever memory.atomic.wait32 sleeps.
      { name: abi.run, parameters: 2, locals: 2, body: [prologue, [0, 1, 2].map((i): Code => [get(0), get(1), call(i), meeting(i, i === 2, 1, 2)]), epilogue] },
      { name: abi.runStep, parameters: 3, locals: 1, body: [0, 1, 2].map((i) => when(equals(get(0), constant(i)), step(i))) },
    ],
    pages,
  );
}

/** The tiny net, but each run counts to 2²⁸ first, on every thread: tenths of a second. */
export function spinningNet(): Uint8Array {
  return tinyNet({ epilogue: loop(2, constant(0), 2 ** 28, constant(1), []) });
}

/** The tiny net, but the share of one thread traps at once, while the others wait for it. */
export function trappingNet(thread: number): Uint8Array {
  return tinyNet({ prologue: when(equals(get(0), constant(thread)), [0x00]) });
}
