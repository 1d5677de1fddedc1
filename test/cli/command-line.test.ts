import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { cadnn } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const commands = ["demo", "zoo", "inspect", "compress", "tune", "compile", "run", "eval", "bench"];

describe("help", () => {
  test("lists all commands", async () => {
    const { code, stdout } = await cadnn("--help");
    expect(code).toBe(0);
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
  });

  test.each(commands)("%s --help shows its options and examples, without colours in a pipe", async (name) => {
    const { code, stdout } = await cadnn(name, "--help");
    expect(code).toBe(0);
    expect(stdout).toContain("--json");
    expect(stdout).toContain(`cadnn ${name}`);
    expect(stdout).not.toContain("\u001b");
    expect((await cadnn("help", name)).stdout).toBe(stdout);
  });

  test("--version prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
    expect(await cadnn("--version")).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe("usage errors exit with 2 and say what is wrong", () => {
  test.each([
    [["zo"], "error E_INVALID_OPTION at zo: there is no command zo\n  Did you mean zoo?\n"],
    [["--frobnicate"], "there is no option --frobnicate"],
    [["zoo", "lenet5", "--seeed", "1"], "error E_INVALID_OPTION at --seeed: there is no option --seeed\n  Did you mean seed?"],
    [["zoo", "lenet5", "x", "-o", "y"], 'the argument "x" is one too many'],
    [["zoo", "-o", "y"], "NAME is missing"],
    [["zoo", "lenet5"], "--output is missing"],
    [["zoo", "lenet5", "-o"], "--output needs a value"],
    [["zoo", "lenet", "-o", "y"], "Did you mean lenet5?"],
    [["zoo", "lenet5", "--sparsity", "1", "-o", "y"], '--sparsity is "1"\n  Give a number from 0 to below 1.'],
    [["zoo", "lenet5", "--seed", "1.5", "-o", "y"], '--seed is "1.5"\n  Give a whole number from 0.'],
    [["inspect"], "MODEL is missing"],
    [["compile", "x.onnx", "-o", "y", "--targets", "riscv"], 'there is no target "riscv"'],
    [["compile", "x.onnx", "-o", "y", "--input-shape", "x=1x"], '"x=1x" is no input shape'],
    [["run", "x.onnx"], "there is nothing to run on"],
    [["eval", "x.onnx", "--data", "x.csv", "--preprocess", "keras"], 'cannot read the preprocessing "keras"'],
    [["eval", "x.onnx", "--data", "x.zip"], '"x.zip" is no data set'],
    [["bench", "x.onnx", "--threads", "0"], '--threads is "0"'],
  ])("%o", async (argv, message) => {
    const { code, stdout, stderr } = await cadnn(...argv);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("no command at all prints the overview on stderr", async () => {
    const { code, stdout, stderr } = await cadnn();
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("Commands:");
  });
});

describe("errors in files exit with 1", () => {
  test.each(["inspect", "run", "bench"])("%s names a file that is missing", async (name) => {
    const missing = join(folder, "none.onnx");
    const { code, stderr } = await cadnn(name, missing, ...(name === "run" ? ["--image", "x.jpg"] : []));
    expect([code, stderr]).toEqual([1, `error E_FILE_NOT_FOUND at ${missing}: there is no such file\n  Check the path; relative paths start at the current directory.\n`]);
  });

  test("a file of another kind is named, with --json in a document as well", async () => {
    const file = join(folder, "text.onnx");
    writeFileSync(file, "this is no net");
    const outcome = await cadnn("inspect", file, "--json");
    expect(outcome.code).toBe(1);
    expect(outcome.json()).toMatchObject({ error: { code: "E_INVALID_FILE", at: expect.stringContaining(file), hint: expect.any(String) } });
    expect(outcome.stderr).toContain("error E_INVALID_FILE");
  });

  test("a cut .cadnn file is named", async () => {
    const file = join(folder, "cut.cadnn");
    writeFileSync(file, Buffer.from([0x89, 0x63, 0x61, 0x64, 0x6e, 0x6e, 0x0d, 0x0a, 1, 0]));
    const { code, stderr } = await cadnn("inspect", file);
    expect(code).toBe(1);
    expect(stderr).toContain(`error E_INVALID_FILE at ${file}`);
  });

  test("a file that cannot be written is named", async () => {
    const file = join(folder, "none", "lenet5.onnx");
    const { code, stderr } = await cadnn("zoo", "lenet5", "-o", file);
    expect([code, stderr]).toEqual([1, `error E_FILE_WRITE at ${file}: its directory does not exist\n  Create the directory first.\n`]);
  });
});

test("the bin runs as a process with its exit code", () => {
  const cli = new URL("../../src/cli/main.ts", import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", cli, "zoo", "lenet", "--json", "-o", "x"], { encoding: "utf8" });
  expect(status).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "E_INVALID_OPTION", at: "NAME" } });
  expect(stderr).toContain("Did you mean lenet5?");
});
