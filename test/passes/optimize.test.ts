import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CadnnError } from "../../src/errors.ts";
import { printGraph } from "../../src/ir/print.ts";
import { gradientPasses, optimize, type Pass, passes, trainingPasses } from "../../src/passes/index.ts";
import { conv, expectEquivalent, TestGraph } from "./helpers.ts";
import { randomGraph } from "./random-graph.ts";

function convNormRelu() {
  const b = new TestGraph();
  const y = b.add("Conv", [b.image("x", [1, 2, 3, 3]), b.weight("w", [2, 2, 1, 1])], conv(), "conv");
  b.output("y", b.add("Relu", [b.add("Identity", [b.add("BatchNormalization", [y, ...b.statistics("bn", 2)], { epsilon: 1e-5 })])]));
  return b.finish();
}
const ops = (graph: ReturnType<typeof convNormRelu>) => graph.nodes.map((n) => n.op);

/** Layer upon layer of random weights amplifies rounding; what is wrong is off by far more. */
const tolerance = 1e-3;

describe("optimize", () => {
  test("random nets compute the same", () => {
    fc.assert(
      fc.property(fc.nat(1e6), (seed) => {
        const before = randomGraph(seed);
        expectEquivalent(before, optimize(before, { verify: true }), seed, tolerance);
      }),
      { numRuns: 150 },
    );
  });

  test.each(passes.map((pass) => [pass.name, pass] as const))("random nets compute the same after %s alone", (_, pass) => {
    fc.assert(
      fc.property(fc.nat(1e6), (seed) => {
        const before = randomGraph(seed);
        expectEquivalent(before, pass.run(before), seed, tolerance);
      }),
      { numRuns: 20 },
    );
  });

  test("a second time changes nothing", () => {
    fc.assert(
      fc.property(fc.nat(1e6), (seed) => {
        const once = optimize(randomGraph(seed));
        expect(printGraph(optimize(once))).toBe(printGraph(once));
      }),
      { numRuns: 60, examples: [[310565], [311611]] },
    );
  });

  test("equal input gives equal text, and the graph it is given stays as it is", () => {
    const graph = randomGraph(42);
    const text = printGraph(graph);
    expect(printGraph(optimize(randomGraph(42)))).toBe(printGraph(optimize(graph)));
    expect(printGraph(graph)).toBe(text);
  });

  test("reports each pass, stops after one, leaves others out", () => {
    const seen: string[] = [];
    expect(ops(optimize(convNormRelu(), { observer: (pass) => seen.push(pass) }))).toEqual(["FusedConv"]);
    expect(seen).toEqual(passes.map((pass) => pass.name));
    expect(ops(optimize(convNormRelu(), { after: "fold-batch-norm" }))).toEqual(["Conv", "Relu"]);
    expect(ops(optimize(convNormRelu(), { disable: ["fold-batch-norm", "fold-scale-shift", "lower-batch-norm"] }))).toEqual(["Conv", "BatchNormalization", "Relu"]);
  });

  test("names of passes are unique; unknown ones are errors", () => {
    expect(new Set(passes.map((pass) => pass.name)).size).toBe(passes.length);
    for (const options of [{ after: "fold-everything" }, { disable: ["fold-everything"] }]) {
      expect(() => optimize(convNormRelu(), options)).toThrow(CadnnError);
      expect(() => optimize(convNormRelu(), options)).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: "fold-everything" }));
    }
  });

  test("passes for training keep BatchNormalization and activations", () => {
    expect(ops(optimize(convNormRelu(), { passes: trainingPasses, verify: true }))).toEqual(["Conv", "BatchNormalization", "Relu"]);
  });

  test("passes for gradients compute the same", () => {
    fc.assert(
      fc.property(fc.nat(1e6), (seed) => {
        const before = randomGraph(seed);
        expectEquivalent(before, optimize(before, { passes: gradientPasses, verify: true }), seed, tolerance);
      }),
      { numRuns: 30 },
    );
  });

  test("a pass that breaks the graph is found out", () => {
    const broken: Pass = { name: "break", run: (graph) => ({ ...graph, nodes: graph.nodes.toReversed() }) };
    expect(() => optimize(convNormRelu(), { passes: [broken], verify: true })).toThrow(expect.objectContaining({ code: "E_INVALID_GRAPH" }));
  });
});
