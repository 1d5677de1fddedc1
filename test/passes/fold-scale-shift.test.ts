import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { foldScaleShift } from "../../src/passes/fold-scale-shift.ts";
import { conv, expectEquivalent, gemm, TestGraph, text } from "./helpers.ts";

const steps = ["Mul", "Add", "Div", "Sub", "c Mul", "c Add", "c Sub"] as const;
type Step = (typeof steps)[number];

function convThen(list: readonly Step[], shapes: readonly (readonly number[])[], kind: "Conv" | "ConvTranspose" | "Gemm" = "Conv", bias = true, seed = 0) {
  const b = new TestGraph(seed);
  const c = bias ? b.weight("b", [4]) : undefined;
  let v =
    kind === "Gemm"
      ? b.add("Gemm", [b.image("x", [2, 3]), b.weight("w", [3, 4]), c], { ...gemm, alpha: 2, beta: 0.5 }, "fc")
      : kind === "Conv"
        ? b.add("Conv", [b.image("x", [1, 2, 4, 4]), b.weight("w", [4, 2, 3, 3]), c], conv(1), "conv")
        : b.add("ConvTranspose", [b.image("x", [1, 2, 3, 3]), b.weight("w", [2, 2, 3, 3]), c], { ...conv(1, 2, 2), outputPadding: [0, 0] }, "conv");
  list.forEach((step, i) => {
    const shape = (shapes[i % shapes.length] as readonly number[]).slice(kind === "Gemm" ? 0 : undefined);
    const constant = b.weight(`c${i}`, shape, (t) => t + 2 * Math.sign(t));
    const op = step.replace("c ", "");
    v = b.add(op, step.startsWith("c ") ? [constant, v] : [v, constant], {}, `step${i}`);
  });
  b.output("y", v);
  return b.finish();
}

describe("fold-scale-shift", () => {
  test("takes scales and shifts into weight and bias", () => {
    const before = convThen(["Mul", "Add"], [[4, 1, 1]], "Conv", false);
    expect(text(before)).toMatchInlineSnapshot(`
      "%conv: float32[1, 4, 4, 4] = Conv(%x, @w, _) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      %step0: float32[1, 4, 4, 4] = Mul(%conv, @c0)
      %step1: float32[1, 4, 4, 4] = Add(%step0, @c1)
      output y = step1"
    `);
    const after = foldScaleShift.run(before);
    expect(text(after)).toMatchInlineSnapshot(`
      "%step1: float32[1, 4, 4, 4] = Conv(%x, @w.folded, @c1.folded) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      output y = step1"
    `);
    expectEquivalent(before, after);
  });

  test("a shift alone leaves the weight as it is", () => {
    expect(text(foldScaleShift.run(convThen(["Sub"], [[1, 4, 1, 1]])))).toMatchInlineSnapshot(`
      "%step0: float32[1, 4, 4, 4] = Conv(%x, @w, @b.folded) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1}
      output y = step0"
    `);
  });

  test("normalization after a scale folds as well", () => {
    const b = new TestGraph();
    const y = b.add("Conv", [b.image("x", [1, 2, 3, 3]), b.weight("w", [4, 2, 1, 1])], conv());
    b.output("y", b.add("BatchNormalization", [b.add("Mul", [y, b.weight("c", [1])]), ...b.statistics("bn", 4)], { epsilon: 1e-5 }));
    const before = b.finish();
    const after = foldScaleShift.run(before);
    expect(after.nodes.map((n) => n.op)).toEqual(["Conv"]);
    expectEquivalent(before, after);
  });

  test("does not fire on constants that differ within a channel, enlarge the result or divide by zero", () => {
    const divided = new TestGraph();
    divided.output("y", divided.add("Div", [divided.add("Gemm", [divided.image("x", [1, 2]), divided.weight("w", [2, 4])], gemm), divided.filled("zero", [4], 0)]));
    const graphs = [convThen(["Mul"], [[4]]), convThen(["Add"], [[1, 4, 4, 4]]), convThen(["Add"], [[2, 1, 1, 1]]), convThen(["Mul"], [[2, 1]], "Gemm"), divided.finish()];
    for (const graph of graphs) expect(foldScaleShift.run(graph)).toBe(graph);
  });

  test("computes the same", () => {
    const kind = fc.constantFrom("Conv" as const, "ConvTranspose" as const, "Gemm" as const);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...steps), { minLength: 1, maxLength: 4 }), kind, fc.boolean(), fc.nat(999), (list, k, bias, seed) => {
        const shapes = k === "Gemm" ? [[4], [1], [1, 4]] : [[4, 1, 1], [], [1, 4, 1, 1], [1]];
        const before = convThen(list, shapes, k, bias, seed);
        const after = foldScaleShift.run(before);
        expect(after.nodes.map((n) => n.op)).toEqual([k]);
        expectEquivalent(before, after, seed);
      }),
      { numRuns: 60 },
    );
  });
});
