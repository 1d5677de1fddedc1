import { describe, expect, test } from "vitest";
import { CadnnError } from "../../src/errors.ts";
import { relu } from "../../src/ir/activation.ts";
import { e } from "../../src/ir/expr.ts";
import type { ComputedValue, Graph, Node, Value } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import { tensorType } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { hasOp, opNamed, opNames } from "../../src/ops/registry.ts";
import { verify } from "../../src/ops/verify.ts";
import { count, f, ints } from "./run-op.ts";

/** A convolution, fused ops, two outputs and a parameter that counts up. */
function example(): Graph {
  const b = new GraphBuilder("example");
  const x = b.input("x", tensorType("float32", [1, 1, 2, 2]));
  const w = b.constant("w", f([2, 1, 2, 2], [1, 0, 0, 1, 0, -1, -1, 0]), { kind: "sparse" });
  const step = b.parameter("step", f([], [1]));
  const attrs = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
  const conv = b.add("FusedConv", [x, w, undefined, undefined], { ...attrs, activation: relu }, "conv1");
  const [first, second] = b.addMany("Split", [conv], { axis: 1, sizes: [1, 1] }, "split", ["a", undefined]);
  const sum = b.add("Map", [first, second, step], { expr: e.add(e.add(e.input(0), e.input(1)), e.input(2)) }, "sum");
  const next = b.add("Add", [step, b.constant("one", f([], [1]))], {}, "next");
  b.output("result", sum);
  b.output("features", conv);
  b.update(step, next);
  return b.finish();
}

describe("interpret", () => {
  const x = count(1, 1, 2, 2);
  test("gives outputs by name and updates by parameter", () => {
    const graph = example();
    const { outputs, updates } = interpret(graph, { x });
    expect([...(outputs.get("features")?.data ?? [])]).toEqual([5, 0]);
    expect([...(outputs.get("result")?.data ?? [])]).toEqual([6]);
    const parameter = graph.updates[0]?.parameter;
    expect(parameter && updates.get(parameter)?.data).toEqual(Float32Array.of(2));
    const again = interpret(graph, new Map([["x", x]]), updates);
    expect([...(again.outputs.get("result")?.data ?? [])]).toEqual([7]);
  });
  test("outputs may be inputs, constants or parameters", () => {
    const b = new GraphBuilder();
    const input = b.input("x", tensorType("float32", [1]));
    b.output("same", input);
    b.output("constant", b.constant("c", count(1)));
    expect(interpret(b.finish(), { x: f([1], [7]) }).outputs).toEqual(
      new Map([
        ["same", f([1], [7])],
        ["constant", count(1)],
      ]),
    );
  });
  test.each([
    [{}, "E_INPUT_NAME", "x"],
    [{ x, y: x }, "E_INPUT_NAME", "y"],
    [{ x: count(1, 1, 2, 3) }, "E_SHAPE_MISMATCH", "x"],
    [{ x: ints("int32", [1, 1, 2, 2], [1, 2, 3, 4]) }, "E_DTYPE_MISMATCH", "x"],
  ])("checks its feeds: %#", (feeds, code, at) => {
    expect(() => interpret(example(), feeds as never)).toThrow(expect.objectContaining({ code, at }));
  });
  test("names the node that fails", () => {
    const b = new GraphBuilder();
    const index = b.input("index", tensorType("int64", []));
    b.output("y", b.add("Gather", [b.constant("table", count(2)), index], { axis: 0 }, "lookup"));
    expect(() => interpret(b.finish(), { index: ints("int64", [], [5]) })).toThrow(expect.objectContaining({ at: "lookup" }));
  });
});

describe("verify", () => {
  const problemsOf = (graph: Graph) => {
    try {
      verify(graph);
    } catch (error) {
      if (error instanceof CadnnError) return error.problems.length === 0 ? [error] : error.problems;
      throw error;
    }
    return [];
  };
  const replace = (graph: Graph, index: number, change: (node: Node) => Node): Graph => ({ ...graph, nodes: graph.nodes.with(index, change(graph.nodes[index] as Node)) });

  test("accepts a well-formed graph", () => {
    expect(problemsOf(example())).toEqual([]);
  });
  test("nodes out of order", () => {
    const graph = example();
    const problems = problemsOf({ ...graph, nodes: graph.nodes.toReversed() });
    expect(problems.map((p) => p.message)).toContain("conv1 is read before it is computed");
  });
  test("an unknown input, an unknown op, duplicate names, wrong types: all at once", () => {
    const graph = example();
    const stranger: Value = { kind: "input", name: "stranger", type: tensorType("float32", [1, 1, 2, 2]) };
    const wrong: ComputedValue = { kind: "computed", name: "x", type: tensorType("float32", [3]) };
    let broken = replace(graph, 0, (node) => ({ ...node, inputs: [stranger, ...node.inputs.slice(1)] }));
    broken = replace(broken, 3, (node) => ({ ...node, outputs: [wrong] }));
    broken = { ...broken, nodes: [...broken.nodes, { op: "Nonsense", name: "n", inputs: [], outputs: [], attrs: {} }] };
    expect(problemsOf(broken).map((p) => `${p.code} ${p.at}: ${p.message}`)).toMatchInlineSnapshot(`
      [
        "E_INVALID_GRAPH conv1: input stranger is not among the graph's",
        "E_INVALID_GRAPH x: two values are named x",
        "E_SHAPE_MISMATCH next: x is stored as float32[3], inferred float32[]",
        "E_UNSUPPORTED_OP n: operator Nonsense is not supported",
        "E_INVALID_GRAPH step: next is read before it is computed",
      ]
    `);
  });
  test("a value computed twice, two outputs or updates of one name", () => {
    const graph = example();
    const messages = problemsOf({
      ...graph,
      nodes: [...graph.nodes, graph.nodes[0] as Node],
      outputs: [...graph.outputs, ...graph.outputs],
      updates: [...graph.updates, ...graph.updates],
    }).map((p) => p.message);
    expect(messages).toEqual(["conv1 is computed twice", "two outputs are named result", "two outputs are named features", "step is updated twice"]);
  });
  test("constants that are not what they say", () => {
    const b = new GraphBuilder();
    const bad: Value = { kind: "constant", name: "bad", type: tensorType("int32", [3]), data: new Float32Array(2) };
    b.output("y", b.add("Identity", [bad]));
    expect(problemsOf(b.finish()).map((p) => p.code)).toEqual(["E_SHAPE_MISMATCH", "E_DTYPE_MISMATCH"]);
  });
});

describe("printGraph", () => {
  test("is stable", () => {
    expect(printGraph(example())).toMatchInlineSnapshot(`
      "graph example
        input %x: float32[1, 1, 2, 2]
        constant @w: float32[2, 1, 2, 2], 4 non-zeros, sparse
        constant @one: float32[], 1 non-zeros
        parameter $step: float32[], 1 non-zeros
        %conv1: float32[1, 2, 1, 1] = FusedConv(%x, @w, _, _) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, activation: relu}
        %a: float32[1, 1, 1, 1], %split.1: float32[1, 1, 1, 1] = Split(%conv1) {axis: 1, sizes: [1, 1]}
        %sum: float32[1, 1, 1, 1] = Map(%a, %split.1, $step) {expr: add(add(x0, x1), x2)}
        %next: float32[] = Add($step, @one)
        output result = %sum
        output features = %conv1
        update $step := %next
      "
    `);
    expect(printGraph(example())).toBe(printGraph(example()));
  });
  test("shows every kind of attribute", () => {
    const b = new GraphBuilder("attributes");
    const x = b.input("x", tensorType("float32", [1]));
    const attrs = { word: "a", flag: true, list: [1, 2], words: ["a"], table: count(10), activation: { kind: "clamp", low: 0, high: 6 }, missing: undefined } as const;
    b.output("y", b.add("Identity", [x], attrs, "y"));
    expect(printGraph(b.finish())).toMatchInlineSnapshot(`
      "graph attributes
        input %x: float32[1]
        %y: float32[1] = Identity(%x) {word: "a", flag: true, list: [1, 2], words: ["a"], table: float32[10] (1, 2, 3, 4, 5, 6, 7, 8, …), activation: clamp(0, 6)}
        output y = %y
      "
    `);
  });
});

describe("registry", () => {
  test("names are unique and found", () => {
    expect(new Set(opNames).size).toBe(opNames.length);
    for (const name of opNames) expect(opNamed(name).name).toBe(name);
    expect(hasOp("Nonsense")).toBe(false);
    expect(() => opNamed("Nonsense")).toThrow(expect.objectContaining({ code: "E_UNSUPPORTED_OP" }));
  });
});
