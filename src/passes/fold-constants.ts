import { type ConstantValue, type Encoding, isConstant, type Node, tensorOf } from "../ir/graph.ts";
import { elementCount, type Tensor } from "../ir/types.ts";
import { opNamed, opNames } from "../ops/registry.ts";
import { rulePass } from "./pass.ts";
import { opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

/** Multiplications that the reference semantics, which are slow, may spend on one node. */
const workLimit = 1 << 24;
/** Elements up to which a result may be larger than what it is made from: an Expand of a scalar is no weight to ship. */
const growthLimit = 1 << 12;

/** Ops that only move elements: zeros stay zeros, so an encoding that counts on them still fits. */
const movements: ReadonlySet<string> = new Set(["Reshape", "Transpose", "Slice", "Gather", "Identity", "Expand"]);
/** Ops that read a row of their second input for each element of the result. */
const products: ReadonlySet<string> = new Set(["Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul"]);

function isFoldable({ op, inputs, outputs }: Node): boolean {
  const [output] = outputs;
  if (output === undefined || outputs.length !== 1 || inputs.length === 0 || !inputs.every((v) => v === undefined || isConstant(v))) return false;
  const made = elementCount(output.type.shape);
  const read = inputs.reduce((sum, v) => sum + (v === undefined ? 0 : elementCount(v.type.shape)), 0);
  const work = products.has(op) ? made * elementCount(inputs[1]?.type.shape ?? []) : movements.has(op) ? 0 : made + read;
  return work <= workLimit && made <= Math.max(growthLimit, 2 * read);
}

/** f(constants) ⇒ constant, by the reference semantics of f. It is called after its largest input, which is most likely a weight. */
export const foldConstantsRule = rule({
  name: "fold-constants",
  match: opOf(opNames, "node", undefined, { where: isFoldable }),
  rewrite({ node }, rewriter) {
    const inputs = node.inputs as readonly (ConstantValue | undefined)[];
    const present = inputs.filter((v) => v !== undefined);
    const results = opNamed(node.op).evaluate(
      inputs.map((v) => v && tensorOf(v)),
      node.attrs,
      node.outputs.map((out) => out.type),
    );
    const source = present.reduce((a, b) => (b.data.length > a.data.length ? b : a));
    return rewriter.constant(source.name, results[0] as Tensor, movements.has(node.op) ? movedEncoding(source.encoding) : undefined);
  },
});

/** Levels of each channel lose their channel when elements move; that zeros are worth leaving out stays true. */
function movedEncoding(encoding: Encoding | undefined): Encoding | undefined {
  return encoding?.kind === "quantized" && encoding.levels.length > 1 ? { kind: "sparse" } : encoding;
}

export const foldConstants = rulePass("fold-constants", [foldConstantsRule]);
