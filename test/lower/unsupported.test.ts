import { expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import type { CadnnError } from "../../src/errors.ts";
import type { ComputedValue, Value } from "../../src/ir/graph.ts";
import { lower } from "../../src/lower/index.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";

test("all nodes that no kernel computes are listed at once", () => {
  const b = new GraphBuilder("test");
  const made = (op: string, x: Value): Value => {
    const y: ComputedValue = { kind: "computed", name: `${op}.y`, type: x.type };
    b.addNode({ op, name: `my ${op}`, inputs: [x], outputs: [y], attrs: {} });
    return y;
  };
  const x = b.input("x", { dtype: "float32", shape: [2] });
  b.output("y", made("Bar", b.add("Relu", [made("Foo", x)])));
  const problem = (() => {
    try {
      lower(b.finish(), targets["wasm-x64-relaxed"]);
    } catch (error) {
      return error as CadnnError;
    }
    return undefined;
  })();
  expect(problem?.code).toBe("E_UNSUPPORTED_OP");
  expect(problem?.problems.map((p) => p.at)).toEqual(["my Foo", "my Bar"]);
  expect(problem?.hint).toBeTruthy();
});
