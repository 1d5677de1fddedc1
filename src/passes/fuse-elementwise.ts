import { type Expr, e, substitute } from "../ir/expr.ts";
import { isConstant, type Node, type Value } from "../ir/graph.ts";
import { broadcastShapes, sameShape } from "../ir/types.ts";
import { elementwiseExpr, elementwiseOps } from "../ops/elementwise.ts";
import { fuseActivationRule } from "./fuse-activation.ts";
import { rulePass } from "./pass.ts";
import { type MatchContext, opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

/** Tensors that one loop reads. More would run out of registers and of streams that hardware fetches ahead. */
const maxInputs = 8;
/** Nodes of one expression. */
const maxSize = 64;
/** Nodes of an expression that is worth computing again at each place that reads it. */
const maxRepeatedSize = 6;

/** An expression over distinct values: input i of `expr` is `leaves[i]`. */
interface Tree {
  readonly expr: Expr;
  readonly leaves: readonly Value[];
}

const costly: ReadonlySet<string> = new Set(["sqrt", "exp", "log", "log1p", "tanh", "sigmoid", "erf", "div", "pow"]);

function children(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "input":
    case "number":
      return [];
    case "unary":
      return [expr.a];
    case "binary":
      return [expr.a, expr.b];
    case "select":
      return [expr.condition, expr.a, expr.b];
  }
}
const sizeOf = (expr: Expr): number => children(expr).reduce((sum, c) => sum + sizeOf(c), 1);
const isCostly = (expr: Expr): boolean => ((expr.kind === "unary" || expr.kind === "binary") && costly.has(expr.op)) || children(expr).some(isCostly);
const readsOf = (expr: Expr, index: number): number => (expr.kind === "input" ? Number(expr.index === index) : children(expr).reduce((sum, c) => sum + readsOf(c, index), 0));

/** The node's own expression over distinct inputs; constants of one element become numbers where the shape does not need them. */
function treeOf(node: Node): Tree | undefined {
  const own = elementwiseExpr(node.op, node.attrs);
  const inputs = node.inputs as readonly Value[];
  const shape = node.outputs[0]?.type.shape ?? [];
  if (own === undefined) return undefined;
  const isNumber = (v: Value) => isConstant(v) && v.data.length === 1 && isFloat(v);
  const tensors = [...new Set(inputs.filter((v) => !isNumber(v)))];
  const embed = tensors.length > 0 && sameShape(broadcastShapes(...tensors.map((v) => v.type.shape)), shape);
  const leaves = embed ? tensors : [...new Set(inputs)];
  const args = inputs.map((v) => (embed && isConstant(v) && isNumber(v) ? e.number(v.data[0] as number) : e.input(leaves.indexOf(v))));
  return { expr: substitute(own, args), leaves };
}

/** The tree of `node`, grown by those of its operands that nothing else reads and that have its shape. */
function grow(node: Node, context: MatchContext): Tree | undefined {
  let tree = treeOf(node);
  const shape = node.outputs[0]?.type.shape ?? [];
  for (const leaf of tree?.leaves ?? []) {
    const producer = context.producerOf(leaf);
    if (tree === undefined || producer === undefined || !isScalarFunction(producer) || !sameShape(leaf.type.shape, shape)) continue;
    if (context.usesOf(leaf) !== node.inputs.filter((v) => v === leaf).length) continue;
    const operand = grow(producer, context);
    tree = (operand && join(tree, leaf, operand)) ?? tree;
  }
  return tree;
}

const isFloat = (value: Value) => value.type.dtype === "float32";
const isScalarFunction = (node: Node) =>
  node.outputs.length === 1 && ["float32", "bool"].includes(node.outputs[0]?.type.dtype ?? "") && elementwiseExpr(node.op, node.attrs) !== undefined;

/** `tree` with the expression of `operand` in place of one of its leaves, unless it grows beyond the limits. */
function join(tree: Tree, leaf: Value, operand: Tree): Tree | undefined {
  if (!operand.leaves.every(isFloat)) return undefined;
  const index = tree.leaves.indexOf(leaf);
  const leaves = [...new Set([...tree.leaves.filter((v) => v !== leaf), ...operand.leaves])];
  const inner = substitute(
    operand.expr,
    operand.leaves.map((v) => e.input(leaves.indexOf(v))),
  );
  const repeated = readsOf(tree.expr, index) > 1;
  if (leaves.length > maxInputs || (repeated && (isCostly(inner) || sizeOf(inner) > maxRepeatedSize))) return undefined;
  const expr = substitute(
    tree.expr,
    tree.leaves.map((v) => (v === leaf ? inner : e.input(leaves.indexOf(v)))),
  );
  return sizeOf(expr) <= maxSize ? { expr, leaves } : undefined;
}

/** f(g(x), h(y), 2) ⇒ Map of x and y, for elementwise f, g, h of float32 with one shape, each result read only by the next. */
export const fuseElementwiseRule = rule({
  name: "fuse-elementwise",
  match: opOf(
    elementwiseOps.map((op) => op.name),
    "node",
    undefined,
    { where: (node) => node.outputs[0]?.type.dtype === "float32" && node.inputs.every((v) => v !== undefined) },
  ),
  rewrite({ node }, rewriter) {
    const tree = grow(node, rewriter);
    if (tree === undefined || !tree.leaves.every(isFloat)) return undefined;
    const same = tree.leaves.length === node.inputs.length && tree.leaves.every((v, i) => v === node.inputs[i]);
    return same ? undefined : rewriter.replace("Map", tree.leaves, { expr: tree.expr });
  },
});

/** What becomes one function of a convolution's result, as x · sigmoid(x), joins the convolution at once. */
export const fuseElementwise = rulePass("fuse-elementwise", [fuseElementwiseRule, fuseActivationRule]);
