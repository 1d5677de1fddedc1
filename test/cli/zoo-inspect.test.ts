import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { cadnn } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("zoo and inspect", () => {
  test("--list shows every net", async () => {
    const { json } = await cadnn("zoo", "--list", "--json");
    expect((json().nets as { name: string; macs: number }[]).find((n) => n.name === "resnet50")).toMatchObject({ macs: 4_089_184_256, inputShape: [1, 3, 224, 224] });
    expect((await cadnn("zoo", "--list")).stdout).toContain("mobilenet_v2  1×3×224×224  300.8 M     3.505 M");
  });

  test("writes an ONNX net that inspect reads", async () => {
    const file = join(folder, "lenet5.onnx");
    const written = await cadnn("zoo", "lenet5", "--sparsity", "0.9", "--seed", "7", "-o", file, "--json");
    expect(written.code).toBe(0);
    const zeros = Math.round(0.9 * 25_000) + Math.round(0.9 * 400_000) + Math.round(0.9 * 5_000);
    expect(written.json()).toMatchObject({ name: "lenet5", seed: 7, macs: 2_293_000, parameters: 431_080, zeros, bytes: statSync(file).size });
    expect(readdirSync(folder)).toEqual(["lenet5.onnx"]);

    const { json } = await cadnn("inspect", file, "--json");
    expect(json()).toMatchObject({ kind: "onnx", macs: 2_293_000, parameters: 431_080, inputs: [{ name: "input", dtype: "float32", shape: [1, 1, 28, 28] }] });
    expect((json().layers as { name: string }[]).find((l) => l.name === "ip1")).toMatchObject({ op: "Gemm", output: [1, 500], macs: 400_000, parameters: 400_500, density: 0.1 });
    const table = (await cadnn("inspect", file)).stdout;
    expect(table).toMatch(/^conv2 +Conv +1×50×8×8 +1\.600 M +25\.05 k +10\.0 %$/m);
  });

  test("--after prints the graph as text after a pass", async () => {
    const file = join(folder, "lenet5.onnx");
    const before = (await cadnn("inspect", file, "--after=import")).stdout;
    const after = (await cadnn("inspect", file, "--after", "fuse-activation")).stdout;
    expect(before).toContain("= Relu(%ip1)");
    expect(after).not.toContain("= Relu(");
    expect(await cadnn("inspect", file, "--after", "fold")).toMatchObject({ code: 2, stderr: expect.stringContaining("fold-batch-norm") });
  });

  test("--target shows what kernel calls move, against the caches of phones", async () => {
    const file = join(folder, "lenet5.onnx");
    const { json } = await cadnn("inspect", file, "--target", "wasm-arm64-relaxed", "--json");
    const calls = json().calls as { node: string; kernel: string; weights: number; fits: { l1: boolean[]; l2: boolean } }[];
    expect(calls.find((c) => c.node === "conv2" && c.kernel !== "x32-fill")).toMatchObject({ fits: { l1: [true, true], l2: true } });
    expect((await cadnn("inspect", file, "--target", "wasm-arm64-relaxed")).stdout).toMatch(/^tiles above 32 KiB +\d+ of \d+ calls$/m);
    expect(await cadnn("inspect", file, "--target", "arm")).toMatchObject({ code: 2 });
  });
});
