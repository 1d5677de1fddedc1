import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32Tensor } from "../../src/ir/types.ts";
import { readNpy, writeNpy } from "../../src/node/npy.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { cadnn } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-compile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  await cadnn("zoo", "lenet5", "--sparsity", "0.9", "-o", at("net.onnx"));
  const random = createRandom(1);
  writeFileSync(
    at("x.npy"),
    writeNpy(
      float32Tensor(
        [1, 1, 28, 28],
        Float32Array.from({ length: 784 }, () => random.normal()),
      ),
    ),
  );
});

describe("compile, inspect, run and bench", () => {
  test("compile writes an artifact with a module for each target", async () => {
    const outcome = await cadnn("compile", at("net.onnx"), "-o", at("net.cadnn"), "--json");
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    const { bytes, modules, macs, stages } = outcome.json();
    expect([bytes, macs]).toEqual([statSync(at("net.cadnn")).size, 2_293_000]);
    expect((modules as { target: string }[]).map((m) => m.target)).toEqual([
      "wasm-x64-relaxed",
      "wasm-x64-relaxed-loadsfirst",
      "wasm-x64-plain",
      "wasm-arm64-relaxed",
      "wasm-arm64-plain",
    ]);
    expect((stages as { stage: string }[]).map((s) => s.stage)).toContain("generate");
    await cadnn("compile", at("net.onnx"), "-o", at("again.cadnn"));
    expect(readFileSync(at("again.cadnn")).equals(readFileSync(at("net.cadnn")))).toBe(true);
  });

  test("inspect shows sections, modules, constants and kernel calls", async () => {
    const { json } = await cadnn("inspect", at("net.cadnn"), "--json");
    const { sections, bytes, constants, modules } = json() as { sections: Record<string, number>; bytes: number; constants: object[]; modules: { steps: object[] }[] };
    expect(Object.values(sections).reduce((a, b) => a + b)).toBe(bytes);
    expect(constants).toContainEqual(expect.objectContaining({ name: "ip1.weight", encoding: "sparse", denseBytes: 1_600_000 }));
    expect(modules[0]?.steps).toContainEqual(expect.objectContaining({ node: "conv2", macs: 1_600_000 }));
    const text = (await cadnn("inspect", at("net.cadnn"), "--target", "wasm-arm64-plain")).stdout;
    expect(text).toMatch(/^ip1\.weight +float32 500×800 +sparse/m);
    expect(await cadnn("inspect", at("net.cadnn"), "--after", "import")).toMatchObject({ code: 2 });
  });

  test.each(["net.onnx", "net.cadnn"])("run gives the same results from %s as the reference", async (model) => {
    const run = async (...more: string[]) => {
      expect(await cadnn("run", at(model), "--input", `input=${at("x.npy")}`, "--output-dir", folder, ...more)).toMatchObject({ code: 0 });
      return readNpy(readFileSync(at("logits.npy"))).data as Float32Array;
    };
    const expected = await (async () => {
      await cadnn("run", at("net.onnx"), "--input", `input=${at("x.npy")}`, "--output-dir", folder, "--reference");
      return readNpy(readFileSync(at("logits.npy"))).data as Float32Array;
    })();
    for (const argv of [["--threads", "1"], ["--threads", "2"], ["--target", "wasm-x64-plain"], ["--revectorize"]]) {
      const actual = await run(...argv);
      expected.forEach((value, i) => {
        expect(actual[i]).toBeCloseTo(value, 4);
      });
    }
  });

  test("bench prints latencies as numbers", async () => {
    const { code, json } = await cadnn("bench", at("net.cadnn"), "--threads", "1", "--runs", "5", "--json");
    expect(code).toBe(0);
    expect(json()).toMatchObject({ medianMs: expect.any(Number), minMs: expect.any(Number), backend: "wasm", threads: 1, runs: 5, macs: 2_293_000 });
    expect((await cadnn("bench", at("net.onnx"), "--runs", "2")).stdout).toMatch(/^latency +[\d.]+ ms median/m);
  });

  test("targets can be chosen, and a missing one is an error", async () => {
    await cadnn("compile", at("net.onnx"), "-o", at("arm.cadnn"), "--targets", "wasm-arm64-plain");
    expect(await cadnn("bench", at("arm.cadnn"), "--target", "wasm-x64-plain")).toMatchObject({ code: 1, stderr: expect.stringContaining("E_NO_BACKEND") });
    expect(await cadnn("inspect", at("arm.cadnn"), "--target", "wasm-x64-plain")).toMatchObject({ code: 2, stderr: expect.stringContaining("It has: wasm-arm64-plain.") });
  });
});

const data = new URL("../../../shared/data/", import.meta.url).pathname;
describe.skipIf(!existsSync(data))("accuracy of real nets on compiled kernels (skipped where ../shared/data is missing)", () => {
  const evaluate = async (net: string, images: string, ...more: string[]) => (await cadnn("eval", join(data, "nets", net), "--data", join(data, images), "--json", ...more)).json();

  test.each(["1", "2"])("MobileNet-V1 0.25 on 500 photographs, %s threads", async (threads) => {
    const { images, top1, top5 } = await evaluate("mobilenet_v1_0.25_224_bn.onnx", "imagenet/images.csv", "--preprocess", "tf", "--threads", threads);
    expect(images).toBe(500);
    expect(Math.abs((top1 as number) - 55.2)).toBeLessThanOrEqual(0.6);
    expect(Math.abs((top5 as number) - 79.8)).toBeLessThanOrEqual(0.6);
  });

  test("ResNet-20 on the first 1,000 CIFAR images gets as many right as with onnxruntime", async () => {
    const { top1 } = await evaluate("cifar10_resnet20.onnx", "cifar10/test.png", "--preprocess", "torch", "--limit", "1000", "--threads", "1");
    expect(Math.abs((top1 as number) - 92.6)).toBeLessThanOrEqual(0.1);
  });
});
