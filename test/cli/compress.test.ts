import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { colourNet, writeColours } from "./colours.ts";
import { cadnn } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-compress-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  writeFileSync(at("net.onnx"), colourNet(0, 0.1));
  await writeColours(folder);
});

const compress = (...more: string[]) =>
  cadnn(
    "compress",
    at("net.onnx"),
    "--data",
    at("mosaic.png"),
    "--validation",
    at("data.csv"),
    "--preprocess",
    "mean=0,std=1",
    "--batch",
    "3",
    "--epochs",
    "2",
    "--reference",
    "--json",
    ...more,
  );

describe("compress", () => {
  test("prunes to the rate, keeps what matters, and writes an ONNX net", async () => {
    const outcome = await compress("--rate", "3", "--retrain-epochs", "1", "-o", at("small.onnx"));
    expect(outcome.complaints).toBe("");
    expect(outcome.json()).toMatchObject({ weights: 9, kept: 3, rate: 3, accuracy: { before: 75, after: 75 }, validationImages: 4 });
    expect((await cadnn("inspect", at("small.onnx"), "--json")).json()).toMatchObject({ nonZeros: 3 });
    expect((await cadnn("eval", at("small.onnx"), "--data", at("mosaic.png"), "--reference", "--json")).json()).toMatchObject({ top1: 100 });
    expect(existsSync(at("small.onnx.checkpoint"))).toBe(false);
  });

  test("tells what it would take, and writes nothing", async () => {
    const outcome = await compress("--rate", "3", "--dry-run");
    expect(outcome.json()).toMatchObject({ epochs: 6, batch: 3, seconds: expect.any(Number), bytes: expect.any(Number) });
    expect((await compress("--plan", "lenet6", "-o", at("x.onnx"))).json()).toMatchObject({ error: { at: "--plan" } });
  });

  test("chooses densities by what pruning each layer alone does, and tells them", async () => {
    const outcome = await compress("--rate", "3", "--budget", "sensitivity", "--retrain-epochs", "1", "-o", at("sensitive.onnx"));
    expect(outcome.json()).toMatchObject({ kept: 3, budget: { layers: [{ density: 1 / 3 }], plan: { rate: 3 } } });
    expect(existsSync(at("sensitive.onnx.checkpoint.budget.json"))).toBe(false);
  });

  test("reads a plan, which options overrule", async () => {
    writeFileSync(at("plan.json"), JSON.stringify({ rate: 9, retrain: { epochs: 0 }, scope: "layer" }));
    expect((await compress("--plan", at("plan.json"), "--rate", "1.5", "-o", at("planned.onnx"))).json()).toMatchObject({ kept: 6 });
  });

  test("varies images, learns from another net, measures on a test set once, and joins data", async () => {
    const outcome = await compress(
      "--rate",
      "1.5",
      "--data",
      at("data.csv"),
      "--augment",
      "shift=1,mirror",
      "--teacher",
      at("net.onnx"),
      "--test",
      at("data.csv"),
      "-o",
      at("more.onnx"),
    );
    expect(outcome.complaints).toBe("");
    expect(outcome.json()).toMatchObject({ kept: 6, test: { before: 75, images: 4 } });
  });

  test.each([
    [["--rate", "2", "--augment", "turn"], "--augment"],
    [["--rate", "2", "--distill", "2"], "--distill"],
    [["--rate", "2", "--distill", "0.5,0"], "--distill"],
    [[], "--rate"],
    [["--rate", "2", "--sparsity", "0.5"], "--sparsity"],
    [["--rate", "0.5"], "--rate"],
    [["--rate", "2", "--scope", "net"], "--scope"],
    [["--rate", "4", "--steps", "a"], "--steps"],
    [["--rate", "4", "--budget", "money"], "--budget"],
    [["--bits", "4", "--budget", "sensitivity"], "--budget"],
    [["--rate", "4", "--core", "a76"], "--core"],
  ])("%o is a usage error", async (argv, at_) => {
    const outcome = await compress(...argv, "-o", at("x.onnx"));
    expect(outcome.code).toBe(2);
    expect(outcome.json()).toMatchObject({ error: { code: "E_INVALID_OPTION", at: at_ } });
  });

  test("a plan that is no JSON is named", async () => {
    writeFileSync(at("bad.json"), "{");
    expect(await compress("--plan", at("bad.json"), "-o", at("x.onnx"))).toMatchObject({ code: 1, stderr: expect.stringContaining(`E_INVALID_FILE at ${at("bad.json")}`) });
  });
});

describe("compress --post-training", () => {
  const fitted = (...more: string[]) => cadnn("compress", at("net.onnx"), "--post-training", "--preprocess", "mean=0,std=1", "--batch", "2", "--reference", "--json", ...more);

  test("prunes and quantizes from a folder of images, writes both kinds of file and a report", async () => {
    const argv = [
      "--data",
      folder,
      "--validation",
      at("data.csv"),
      "--sparsity",
      "0.6",
      "--bits",
      "3",
      "--per",
      "tensor",
      "--augment",
      "mirror",
      "-o",
      at("fit.onnx"),
      "-o",
      at("fit.cadnn"),
      "--report",
      at("fit.json"),
    ];
    const outcome = await fitted(...argv);
    expect(outcome.complaints).toBe("");
    const json = outcome.json() as { files: unknown[] };
    expect(json).toMatchObject({ weights: 9, kept: 3, accuracy: { images: 4 }, layers: [{ bits: 3 }] });
    expect(json.files.length).toBe(2);
    expect(JSON.parse(readFileSync(at("fit.json"), "utf8"))).toMatchObject({ kept: 3, left: [] });
    expect((await cadnn("inspect", at("fit.onnx"), "--json")).json()).toMatchObject({ nonZeros: 3 });
    expect((await cadnn("eval", at("fit.cadnn"), "--data", at("data.csv"), "--preprocess", "mean=0,std=1", "--json")).json()).toMatchObject({ images: 4 });
  });

  test.each([
    [["--data", ".", "--bits", "4", "--steps", "3"], "--steps"],
    [["--data", ".", "--bits", "4", "--augment", "shift=2"], "--augment"],
    [["--data", ".", "--bits", "4", "--levels", "odd"], "--levels"],
    [["--data", ".", "--bits", "0"], "bits"],
    [["--data", "."], "rate"],
  ])("%o is an error", async (argv, at_) => {
    const outcome = await fitted(...argv.map((a) => (a === "." ? folder : a)), "-o", at("x.onnx"));
    expect(outcome.json()).toMatchObject({ error: { code: "E_INVALID_OPTION", at: at_ } });
  });

  test("a folder without images, and options of one mode in the other", async () => {
    mkdirSync(at("empty"));
    expect((await fitted("--data", at("empty"), "--bits", "4", "-o", at("x.onnx"))).json()).toMatchObject({ error: { code: "E_INVALID_DATASET", at: at("empty") } });
    expect((await compress("--rate", "2", "--method", "admm", "-o", at("x.onnx"))).json()).toMatchObject({ error: { at: "--method" } });
  });
});
