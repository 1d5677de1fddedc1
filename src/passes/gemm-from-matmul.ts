import type { Node, Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import type { Pass } from "./pass.ts";
import { any, constantOf, opOf } from "./pattern.ts";
import { applyRules, type Rewriter, rule } from "./rewrite.ts";

const isMatrix = (value: Value) => value.type.shape.length === 2;
const product = [any("a", (a) => a.type.shape.length >= 2), constantOf("b", isMatrix)] as const;
const plain = { alpha: 1, beta: 1, transA: false, transB: false };

/** a · b + c, where the leading dimensions of a become rows. */
function gemm(rewriter: Rewriter, node: Node, matmul: Node, a: Value, b: Value, c?: Value): Value {
  if (isMatrix(a)) return rewriter.replace("Gemm", [a, b, c], plain, matmul.name);
  const k = a.type.shape.at(-1) as number;
  const rows = rewriter.add("Reshape", [a], { shape: [elementCount(a.type.shape) / k, k] }, `${matmul.name}.rows`);
  const y = rewriter.add("Gemm", [rows, b, c], plain, `${matmul.name}.gemm`);
  return rewriter.replace("Reshape", [y], { shape: node.outputs[0]?.type.shape ?? [] });
}

/** Add(MatMul(a, B), c) ⇒ Gemm(a, B, c) for a constant matrix B and a bias of one number a column. */
export const gemmFromBiasedMatMulRule = rule({
  name: "gemm-from-biased-matmul",
  match: opOf("Add", "sum", [opOf("MatMul", "matmul", product, { once: true }), constantOf("c")], { commutative: true }),
  rewrite({ sum, matmul, a, b, c }, rewriter) {
    const columns = b.type.shape[1];
    const fits = sum.outputs[0]?.type.shape.length === a.type.shape.length && c.type.shape.length === 1 && (c.type.shape[0] === columns || c.type.shape[0] === 1);
    return fits ? gemm(rewriter, sum, matmul, a, b, c) : undefined;
  },
});

/** MatMul(a, B) ⇒ Gemm(a, B) for a constant matrix B. */
export const gemmFromMatMulRule = rule({
  name: "gemm-from-matmul",
  match: opOf("MatMul", "matmul", product),
  rewrite: ({ matmul, a, b }, rewriter) => gemm(rewriter, matmul, matmul, a, b),
});

/** Biased products first: a MatMul comes before its Add, and would be gone when that is looked at. */
export const gemmFromMatMul: Pass = {
  name: "gemm-from-matmul",
  run: (graph) => applyRules(applyRules(graph, [gemmFromBiasedMatMulRule]), [gemmFromMatMulRule]),
};
