import { type ConstantValue, isConstant, type Node, type Value } from "../ir/graph.ts";
import { sameType } from "../ir/types.ts";
import { rulePass } from "./pass.ts";
import { opOf } from "./pattern.ts";
import { rule } from "./rewrite.ts";

const allAre = (list: unknown, value: number) => (list as readonly number[]).every((v) => v === value);
const readsOnePoint = ({ attrs }: Node) => allAre(attrs.kernel, 1) && allAre(attrs.pads, 0);
const isFilledWith = (value: Value | undefined, n: number): boolean => isConstant(value) && value.data.length > 0 && (value as ConstantValue).data.every((v) => Number(v) === n);

/**
 * For each op: which input the output equals, if the op does nothing. Only asked where that input has the output's type, so
 * that no broadcast is lost.
 */
const passedThrough: Readonly<Record<string, (node: Node) => number | undefined>> = {
  Identity: () => 0,
  Dropout: () => 0,
  Reshape: () => 0,
  Expand: () => 0,
  Cast: () => 0,
  Concat: ({ inputs }) => (inputs.length === 1 ? 0 : undefined),
  Split: ({ outputs }) => (outputs.length === 1 ? 0 : undefined),
  Slice: ({ attrs }) => (allAre(attrs.starts, 0) && allAre(attrs.steps, 1) ? 0 : undefined),
  Pad: ({ attrs }) => (allAre(attrs.pads, 0) ? 0 : undefined),
  Transpose: ({ attrs }) => ((attrs.perm as readonly number[]).every((p, i) => p === i) ? 0 : undefined),
  Clip: ({ attrs }) => (attrs.min === Number.NEGATIVE_INFINITY && attrs.max === Number.POSITIVE_INFINITY ? 0 : undefined),
  Resize: ({ attrs }) => (attrs.mode !== "cubic" && attrs.coordinateMode !== "tf_crop_and_resize" ? 0 : undefined),
  MaxPool: (node) => (node.outputs.length === 1 && readsOnePoint(node) ? 0 : undefined),
  AveragePool: (node) => (readsOnePoint(node) ? 0 : undefined),
  DepthToSpace: ({ attrs }) => (attrs.blocksize === 1 ? 0 : undefined),
  SpaceToDepth: ({ attrs }) => (attrs.blocksize === 1 ? 0 : undefined),
};

const changesNothing = (node: Node, index: number | undefined): Value | undefined => {
  const input = index === undefined ? undefined : node.inputs[index];
  const output = node.outputs[0];
  return input !== undefined && output !== undefined && sameType(input.type, output.type) ? input : undefined;
};

/** f(x) ⇒ x where f leaves every x as it is: Identity, Dropout, a Reshape to the same shape, a Pad of nothing, … */
export const eliminateIdentityRule = rule({
  name: "eliminate-identity",
  match: opOf(Object.keys(passedThrough), "node"),
  rewrite: ({ node }) => changesNothing(node, passedThrough[node.op]?.(node)),
});

/** Which operand the output equals, if the other one is a constant that changes nothing. */
const besideNeutral: Readonly<Record<string, (node: Node) => number | undefined>> = {
  Add: (node) => neutralEither(node, 0),
  Sub: ({ inputs }) => (isFilledWith(inputs[1], 0) ? 0 : undefined),
  Mul: (node) => neutralEither(node, 1),
  Div: ({ inputs }) => (isFilledWith(inputs[1], 1) ? 0 : undefined),
  Pow: ({ inputs }) => (isFilledWith(inputs[1], 1) ? 0 : undefined),
};

/** The operand beside one that is `neutral` all over. */
function neutralEither({ inputs: [a, b] }: Node, neutral: number): number | undefined {
  return isFilledWith(b, neutral) ? 0 : isFilledWith(a, neutral) ? 1 : undefined;
}

/** x + 0 ⇒ x, x · 1 ⇒ x, … Not before training: a bias that is 0 at the start shall not stay so. */
export const eliminateNeutralRule = rule({
  name: "eliminate-neutral-operands",
  match: opOf(Object.keys(besideNeutral), "node"),
  rewrite: ({ node }) => changesNothing(node, besideNeutral[node.op]?.(node)),
});

export const eliminateIdentity = rulePass("eliminate-identity", [eliminateIdentityRule]);
export const eliminateNeutralOperands = rulePass("eliminate-neutral-operands", [eliminateNeutralRule]);
