import { describe, expect, test } from "vitest";
import { decodeArtifact } from "../../src/artifact/format.ts";
import { type CompileStage, compile, type OptimizeSwitches, switchNames } from "../../src/compile/index.ts";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";
import { zooGraph } from "../../src/zoo/index.ts";

const net = () => zooGraph("lenet5", { sparsity: 0.5 });

/** The same net, its weights, the very same arrays, under other names. */
function renamed(graph: Graph): Graph {
  const values = new Map<Value, Value>();
  const other = (v: Value): Value => {
    if (v.kind !== "constant") return v;
    const known = values.get(v) ?? { ...v, name: `other.${v.name}` };
    values.set(v, known);
    return known;
  };
  return { ...graph, nodes: graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map((v) => v && other(v)) })) };
}

describe("compile", () => {
  test("one module a target; all share one copy of the weights", async () => {
    const [one, all] = [await compile(net(), { targets: ["wasm-x64-plain"] }), await compile(net(), { targets: ["wasm"] })].map(decodeArtifact);
    expect(all?.manifest.modules.map((m) => m.target)).toEqual(["wasm-x64-relaxed", "wasm-x64-relaxed-loadsfirst", "wasm-x64-plain", "wasm-arm64-relaxed", "wasm-arm64-plain"]);
    for (const { name } of one?.manifest.constants ?? []) expect(all?.manifest.constants.filter((c) => c.name === name)).toHaveLength(1);
    expect(all?.weights.byteLength).toBeLessThan(1.01 * (one?.weights.byteLength ?? 0));
  });

  test("a target named twice, or also by wasm, is compiled once", async () => {
    const { manifest } = decodeArtifact(await compile(net(), { targets: ["wasm-arm64-plain", "wasm-arm64-plain", "wasm"] }));
    expect(manifest.modules).toHaveLength(5);
  });

  test("a graph and its ONNX file give the same code", async () => {
    const [fromGraph, fromFile] = [await compile(net(), { targets: ["wasm-x64-plain"] }), await compile(exportOnnx(net()), { targets: ["wasm-x64-plain"] })].map(decodeArtifact);
    expect(fromFile?.code).toEqual(fromGraph?.code);
    expect(fromFile?.weights).toEqual(fromGraph?.weights);
  });

  test("what was compiled before leaves no trace", async () => {
    const graph = net();
    const before = await compile(renamed(net()), { targets: ["wasm-x64-plain"] });
    await compile(graph, { targets: ["wasm-x64-plain"] });
    expect(await compile(renamed(graph), { targets: ["wasm-x64-plain"] })).toEqual(before);
  });

  test("the observer is told of every stage", async () => {
    const stages: CompileStage[] = [];
    await compile(exportOnnx(net()), { targets: ["wasm-x64-plain", "wasm-x64-relaxed"], observer: (stage) => stages.push(stage) });
    const text = stages.map(({ stage, target }) => (target === undefined ? stage : `${stage} ${target}`));
    expect(text).toEqual(["import", "optimize", "lower wasm-x64-plain", "generate wasm-x64-plain", "lower wasm-x64-relaxed", "generate wasm-x64-relaxed", "pack"]);
    expect(stages.every((s) => s.milliseconds >= 0)).toBe(true);
  });

  test("an unknown target is named, with those that there are", async () => {
    await expect(compile(net(), { targets: ["wasm-mips" as "wasm"] })).rejects.toMatchObject({
      code: "E_INVALID_OPTION",
      at: "wasm-mips",
      hint: expect.stringContaining("wasm-x64-plain"),
    });
  });

  test("an unknown pass to leave out is named", async () => {
    await expect(compile(net(), { optimize: { disable: ["fold-nothing"] } })).rejects.toMatchObject({ code: "E_INVALID_OPTION", at: "fold-nothing" });
  });
});

describe("switches", () => {
  const codeOf = async (optimize: OptimizeSwitches) => decodeArtifact(await compile(net(), { targets: ["wasm-x64-plain"], optimize })).code;

  test("a switch that is off is the same as its name in `disable`", async () => {
    for (const name of switchNames) expect(await codeOf({ [name]: false })).toEqual(await codeOf({ disable: [name] }));
  });

  test("what is on changes nothing", async () => {
    expect(await codeOf(Object.fromEntries(switchNames.map((name) => [name, true])))).toEqual(await codeOf({}));
  });

  test("without fusion every op has a call of its own", async () => {
    const steps = async (optimize: OptimizeSwitches) => decodeArtifact(await compile(net(), { targets: ["wasm-x64-plain"], optimize })).manifest.modules[0]?.steps.length;
    expect(await steps({ fuse: false })).toBeGreaterThan((await steps({})) as number);
  });
});
