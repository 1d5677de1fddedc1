import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkpointFile } from "../../src/cli/checkpoint-file.ts";
import { decodeCheckpoint } from "../../src/train/checkpoint.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-killed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  const entryPoints = ["killed-run.ts", "killed-fit.ts"].map((name) => fileURLToPath(new URL(name, import.meta.url)));
  await build({
    entryPoints,
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "es2022",
    logLevel: "silent",
    packages: "external",
  });
});

async function start(program: string, checkpoint: string, result: string, ...more: readonly string[]): Promise<NodeJS.Signals | number | null> {
  const child = spawn(process.execPath, [at(program), at(checkpoint), at(result), ...more], { stdio: ["ignore", "ignore", "inherit"] });
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal ?? code;
}

const run = (...args: [checkpoint: string, result: string, ...kill: string[]]) => start("killed-run.mjs", ...args);
const fitted = (...args: [checkpoint: string, result: string, mode: string, ...kill: string[]]) => start("killed-fit.mjs", ...args);

describe("a run of compression that is killed", () => {
  test("in every phase, between steps or while it saves, goes on to the same bits", async () => {
    const phases = ["admm 2x", "exchange 2x", "retrain 2x", "admm 4x", "exchange 4x", "retrain 4x", "quantize", "frozen 50 %", "frozen 80 %", "frozen 100 %"];
    const straight = run("straight.checkpoint", "straight");
    for (const [i, phase] of phases.entries()) {
      expect(await run("killed.checkpoint", "killed", phase, phase.startsWith("exchange") ? "4" : "2", i % 2 === 0 ? "save" : "step")).toBe("SIGKILL");
      expect(existsSync(at("killed"))).toBe(false);
      const { meta } = decodeCheckpoint<{ phase: number; step: number }>(readFileSync(at("killed.checkpoint")));
      expect(meta.phase).toBe(i);
    }
    expect(await run("killed.checkpoint", "killed")).toBe(0);
    expect(await straight).toBe(0);
    expect(Buffer.compare(readFileSync(at("killed")), readFileSync(at("straight")))).toBe(0);
    await checkpointFile(at("killed.checkpoint")).load();
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  }, 180_000);

  // Three layers are fitted, of which the first takes 0 to 1 of what is done: its inputs' statistics four fifths of that, then its weights, biases and BatchNorm's statistics.
  test.each([
    ["levels", 3, ["0.3 step", "1 save", "1.6 step", "2 step", "2.8 save"]],
    ["distillation", 2, ["0.9 save", "1.1 step", "2.3 save", "2.6 step"]],
  ] as const)(
    "without training, with %s, goes on to the same bits from wherever it was",
    async (mode, layers, kills) => {
      const straight = fitted(`straight.${mode}`, `straight.${mode}.result`, mode);
      for (const [i, kill] of kills.entries()) {
        expect(await fitted(`killed.${mode}`, `killed.${mode}.result`, mode, ...kill.split(" ")), kill).toBe("SIGKILL");
        const finished = existsSync(at(`killed.${mode}`)) ? decodeCheckpoint<{ finished: number }>(readFileSync(at(`killed.${mode}`))).meta.finished : 0;
        expect(finished, kill).toBeGreaterThanOrEqual(Math.min(layers, Math.floor(Number.parseFloat(kills[i - 1] ?? "0"))));
      }
      expect(await fitted(`killed.${mode}`, `killed.${mode}.result`, mode)).toBe(0);
      expect(await straight).toBe(0);
      expect(Buffer.compare(readFileSync(at(`killed.${mode}.result`)), readFileSync(at(`straight.${mode}.result`)))).toBe(0);
    },
    180_000,
  );
});
