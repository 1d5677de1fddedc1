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
const program = at("killed-run.mjs");

beforeAll(async () => {
  const entry = fileURLToPath(new URL("killed-run.ts", import.meta.url));
  await build({ entryPoints: [entry], outfile: program, bundle: true, platform: "node", format: "esm", target: "es2022", logLevel: "silent", packages: "external" });
});

async function run(checkpoint: string, result: string, ...kill: readonly string[]): Promise<NodeJS.Signals | number | null> {
  const child = spawn(process.execPath, [program, at(checkpoint), at(result), ...kill], { stdio: ["ignore", "ignore", "inherit"] });
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal ?? code;
}

describe("a run of compression that is killed", () => {
  test("in every phase, between steps or while it saves, goes on to the same bits", async () => {
    const phases = ["admm 2x", "retrain 2x", "admm 4x", "retrain 4x", "quantize", "frozen 50 %", "frozen 80 %", "frozen 100 %"];
    const straight = run("straight.checkpoint", "straight");
    for (const [i, phase] of phases.entries()) {
      expect(await run("killed.checkpoint", "killed", phase, "2", i % 2 === 0 ? "save" : "step")).toBe("SIGKILL");
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
});
