import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTuningLog } from "../../src/tune/index.ts";
import { cadnn } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-tune-"));
const at = (name: string) => join(folder, name);
const cache = process.env.XDG_CACHE_HOME;

beforeAll(async () => {
  process.env.XDG_CACHE_HOME = at("cache");
  await cadnn("zoo", "lenet5", "-o", at("net.onnx"));
});
afterAll(() => {
  if (cache === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cache;
  rmSync(folder, { recursive: true, force: true });
});

describe("tune", () => {
  test("adds what it measures to the log; a second run has nothing left to measure", async () => {
    const outcome = await cadnn("tune", at("net.onnx"), "--json");
    const { file, problems, complete, tried, space } = outcome.json() as { file: string; problems: number; complete: boolean; tried: number; space: number };
    expect(outcome.code).toBe(0);
    expect([file, complete]).toEqual([at("cache/cadnn/tuning.jsonl"), true]);
    expect(problems).toBeGreaterThan(2);
    expect(tried).toBeLessThan(space);
    const text = readFileSync(file, "utf8");
    expect(parseTuningLog(text).records).toHaveLength(problems);
    expect((await cadnn("tune", at("net.onnx"))).stdout).toMatch(/^measured +0 problems/m);
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("compile chooses by the log, by name or from the default place", async () => {
    for (const name of ["a", "b"]) await cadnn("compile", at("net.onnx"), "-o", at(`${name}.cadnn`), "--tuning", name === "a" ? "default" : at("cache/cadnn/tuning.jsonl"));
    expect(readFileSync(at("a.cadnn")).equals(readFileSync(at("b.cadnn")))).toBe(true);
  });

  test("goes on after a line that was cut, and without a budget leaves the log as it is", async () => {
    mkdirSync(at("cut"));
    const file = at("cut/log.jsonl");
    const line = readFileSync(at("cache/cadnn/tuning.jsonl"), "utf8").split("\n")[0] as string;
    writeFileSync(file, `${line}\n${line.slice(0, 40)}`);
    const { json } = await cadnn("tune", at("net.onnx"), "--log", file, "--budget", "0", "--json");
    expect(json()).toMatchObject({ problems: 0, complete: false });
    expect(readFileSync(file, "utf8")).toBe(`${line}\n`);
    expect(existsSync(at("none.jsonl"))).toBe(false);
  });

  test("keeps what it has when it is interrupted", async () => {
    await cadnn("zoo", "mobilenet_v2", "-o", at("large.onnx"));
    const cli = new URL("../../src/cli/main.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, ["--import", "tsx", cli, "tune", at("large.onnx"), "--log", at("large.jsonl")], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (text: Buffer) => {
      stderr += text.toString();
    });
    const exit = new Promise((resolve) => child.once("exit", resolve));
    while (!existsSync(at("large.jsonl"))) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGINT");
    expect(await exit).toBe(130);
    expect(stderr).toContain("E_INTERRUPTED");
    expect(stderr).toContain("the same command goes on from there");
    expect(parseTuningLog(readFileSync(at("large.jsonl"), "utf8")).records.length).toBeGreaterThan(0);
  });

  test("names a damaged line, a missing log and a target that does not run here", async () => {
    writeFileSync(at("bad.jsonl"), "{\n{}\n");
    for (const argv of [
      ["tune", at("net.onnx"), "--log", at("bad.jsonl")],
      ["compile", at("net.onnx"), "-o", at("x.cadnn"), "--tuning", at("bad.jsonl")],
    ])
      expect((await cadnn(...argv)).stderr).toContain(`error E_CORRUPT at ${at("bad.jsonl")}: line 1 of the tuning log: this line is damaged: it is no JSON`);
    expect((await cadnn("compile", at("net.onnx"), "-o", at("x.cadnn"), "--tuning", at("none.jsonl"))).stderr).toContain("E_FILE_NOT_FOUND");
    const elsewhere = await cadnn("tune", at("net.onnx"), "--target", "wasm-vax");
    expect([elsewhere.code, elsewhere.stderr]).toEqual([2, expect.stringContaining('there is no target "wasm-vax"')]);
  });

  test("counts for a core, and says what is missing to do so", async () => {
    const unknown = await cadnn("tune", at("net.onnx"), "--core", "m1");
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("Cores are: a55, a73, a76, a710, x1")]);
    const x64 = await cadnn("tune", at("net.onnx"), "--core", "a76", "--target", "wasm-x64-plain");
    expect([x64.code, x64.stderr]).toEqual([2, expect.stringContaining("this engine does not run that target")]);
    const path = process.env.PATH;
    process.env.PATH = at("cache");
    const bare = await cadnn("tune", at("net.onnx"), "--core", "a76");
    process.env.PATH = path;
    expect([bare.code, bare.stderr]).toEqual([1, expect.stringContaining("error E_TOOL_MISSING at qemu-aarch64")]);
    expect(bare.stderr).toContain("apt-get install qemu-user");
  });
});
