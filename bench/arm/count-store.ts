import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { emitKernel } from "../../src/kernels/emit.ts";
import { cacheFolder } from "../../src/node/arm64/index.ts";
import type { Candidate, CountStore, Part } from "../../src/tune/index.ts";

/** What decides what a count is, beside the candidate. */
const sources = ["counter.c", "guest.ts", "emulate.ts", "count-calls.ts", "traces.ts", "estimate.ts", "cycle-counter.ts"];

/** Counts in a file of the user's cache, by a hash of all that they depend on: the candidate's code, its weights, the parts that are counted, the emulator and the estimator. */
export function openCountStore(engine: string): CountStore & { readonly hits: () => number } {
  const common = createHash("sha256").update(engine);
  for (const name of sources) common.update(readFileSync(fileURLToPath(new URL(`../../src/node/arm64/${name}`, import.meta.url))));
  const file = join(cacheFolder(), "bench", "choices", `${common.digest("hex").slice(0, 16)}.txt`);
  mkdirSync(dirname(file), { recursive: true });
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  const known = new Map(lines.filter((line) => /^\w{32} \S+$/.test(line)).map((line) => [line.slice(0, 32), Number(line.slice(33))]));
  let hits = 0;
  return {
    hits: () => hits,
    get(candidate, parts) {
      const found = known.get(keyOf(candidate, parts));
      if (found !== undefined) hits++;
      return found;
    },
    set(candidate, parts, cycles) {
      const key = keyOf(candidate, parts);
      known.set(key, cycles);
      appendFileSync(file, `${key} ${cycles}\n`);
    },
  };
}

function keyOf({ target, call, prepare }: Candidate, parts: readonly Part[]): string {
  const builder = new ModuleBuilder();
  builder.export("kernel", emitKernel(builder, target, call.template, call.problem, call.choice));
  const hash = createHash("sha256").update(builder.finish({ import: ["env", "memory"], pages: 1 }).bytes);
  for (const { constant, spec } of prepare) hash.update(hashOf(constant.bytes)).update(JSON.stringify(spec));
  return hash.update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}

/** Weights are the same for all choices of a layer. */
const hashes = new WeakMap<Uint8Array, string>();
function hashOf(bytes: Uint8Array): string {
  const known = hashes.get(bytes) ?? createHash("sha256").update(bytes).digest("hex");
  hashes.set(bytes, known);
  return known;
}
