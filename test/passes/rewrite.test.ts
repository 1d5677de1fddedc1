import { describe, expect, test } from "vitest";
import type { Value } from "../../src/ir/graph.ts";
import { zeros } from "../../src/ir/types.ts";
import { any, constantOf, maybe, type OpPattern, opOf } from "../../src/passes/pattern.ts";
import { applyRules, originalName, rule } from "../../src/passes/rewrite.ts";
import { expectEquivalent, gemm, TestGraph, text } from "./helpers.ts";

const x = any("x");
/** Neg(Neg(x)) ⇒ x */
const doubleNegation = rule({ name: "double-negation", match: opOf("Neg", "outer", [opOf("Neg", "inner", [x])]), rewrite: (found) => found.x });
/** Abs(x) ⇒ Max(x, Neg(x)) */
const spellAbs = rule({
  name: "spell-abs",
  match: opOf("Abs", "abs", [x]),
  rewrite: ({ abs, x }, rewriter) => rewriter.replace("Max", [x, rewriter.add("Neg", [x], {}, `${abs.name}.neg`)], {}),
});

function chain(...ops: string[]) {
  const b = new TestGraph();
  b.output(
    "y",
    ops.reduce<Value>((v, op, i) => b.add(op, [v], {}, `${op.toLowerCase()}${i}`), b.image("x", [2])),
  );
  return b;
}

describe("applyRules", () => {
  test("rewrites to a fixpoint", () => {
    const before = chain("Neg", "Neg", "Neg", "Neg", "Neg", "Relu").finish();
    const after = applyRules(before, [doubleNegation]);
    expect(after.nodes.map((n) => n.op)).toEqual(["Neg", "Relu"]);
    expectEquivalent(before, after);
  });

  test("matches what a rewrite adds, with what came before it", () => {
    const before = chain("Neg", "Abs").finish();
    const after = applyRules(before, [spellAbs, doubleNegation]);
    expect(text(after)).toMatchInlineSnapshot(`
      "%neg0: float32[2] = Neg(%x)
      %abs1: float32[2] = Max(%neg0, %x)
      output y = abs1"
    `);
    expectEquivalent(before, after);
  });

  test("gives the graph itself where nothing matches", () => {
    const graph = chain("Relu", "Neg").finish();
    expect(applyRules(graph, [doubleNegation, spellAbs])).toBe(graph);
  });

  test("follows updates and outputs to the values that replace others", () => {
    const b = chain("Neg", "Neg");
    b.update(b.parameter("p", zeros("float32", [2])), b.resultOf(1));
    const after = applyRules(b.finish(), [doubleNegation]);
    expect(after.nodes).toEqual([]);
    expect(after.outputs).toMatchObject([{ name: "y", value: { name: "x" } }]);
    expect(after.updates[0]?.value.name).toBe("x");
  });

  test("is linear in the length of a graph", () => {
    const graph = chain(...new Array<string>(20_000).fill("Neg")).finish();
    const start = performance.now();
    expect(applyRules(graph, [doubleNegation]).nodes).toEqual([]);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test("counts uses exactly while it rewrites: a reader that dies makes way for a rule that wants a single one", () => {
    const single = rule({ name: "single", match: opOf("Relu", "relu", [opOf("Sqrt", "root", [x], { once: true })]), rewrite: ({ x }, r) => r.replace("Exp", [x], {}) });
    const b = chain("Sqrt");
    const root = b.resultOf(0);
    const twice = b.add("Neg", [b.add("Neg", [root])]); // the second reader until it is found to be the root itself
    b.output("z", b.add("Relu", [twice]));
    const graph = { ...b.finish(), outputs: b.finish().outputs.slice(1) };
    expect(applyRules(graph, [doubleNegation, single]).nodes.map((n) => n.op)).toEqual(["Exp"]);
  });
});

describe("patterns", () => {
  const matches = <C>(match: OpPattern<C>, b: TestGraph): C | undefined => {
    let found: C | undefined;
    applyRules(b.finish(), [
      rule({
        name: "probe",
        match,
        rewrite(captures) {
          found = captures;
          return undefined;
        },
      }),
    ]);
    return found;
  };

  test("a name that occurs twice stands for one value", () => {
    const swish = opOf("Mul", "product", [x, opOf("Sigmoid", "gate", [x])]);
    const b = new TestGraph();
    const [p, q] = [b.image("p", [2]), b.image("q", [2])];
    b.output("y", b.add("Mul", [p, b.add("Sigmoid", [q])]));
    expect(matches(swish, b)).toBeUndefined();
    b.output("z", b.add("Mul", [p, b.add("Sigmoid", [p])]));
    expect(matches(swish, b)?.x?.name).toBe("p");
  });

  test("commutative operands match in either order, the later one first", () => {
    const sum = opOf("Add", "sum", [opOf("Neg", "neg", [x]), any("other")], { commutative: true });
    const b = new TestGraph();
    const p = b.image("p", [2]);
    const [first, second] = [b.add("Neg", [p], {}, "first"), b.add("Neg", [p], {}, "second")];
    b.output("y", b.add("Add", [first, second]));
    expect(matches(sum, b)?.neg?.name).toBe("second");
  });

  test("operands may be left out only where the pattern says so, and there may be no further ones", () => {
    const product = opOf("Gemm", "gemm", [x, constantOf("w"), maybe(constantOf("c"))]);
    const strict = opOf("Gemm", "gemm", [x, constantOf("w")]);
    const make = (bias: boolean) => {
      const b = new TestGraph();
      b.output("y", b.add("Gemm", [b.image("p", [1, 2]), b.weight("w", [2, 3]), ...(bias ? [b.weight("c", [3])] : [])], gemm));
      return b;
    };
    expect(matches(product, make(true))?.c?.name).toBe("c");
    expect(matches(product, make(false))).toBeDefined();
    expect(matches(strict, make(true))).toBeUndefined();
    expect(matches(strict, make(false))).toBeDefined();
  });
});

test("originalName takes off what folding adds to a name", () => {
  expect(["w", "w.folded", "w.folded_2", "layer.folded.w"].map(originalName)).toEqual(["w", "w", "w", "layer.folded.w"]);
});
