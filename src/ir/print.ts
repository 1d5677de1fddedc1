import type { Activation } from "./activation.ts";
import { type Expr, formatExpr } from "./expr.ts";
import { type AttrValue, type ConstantValue, constantsOf, type Graph, type Node, type ParameterValue, parametersOf, type Value } from "./graph.ts";
import { formatType, type Tensor, type TensorData } from "./types.ts";

const sigil: Readonly<Record<Value["kind"], string>> = { input: "%", computed: "%", constant: "@", parameter: "$" };
const formatValue = (value: Value | undefined) => (value === undefined ? "_" : `${sigil[value.kind]}${value.name}`);
const formatTyped = (value: Value) => `${formatValue(value)}: ${formatType(value.type)}`;

/**
 * A stable text form of a graph: inputs, constants and parameters with the number of their non-zeros, then one line a node, outputs and
 * updates. Computed values and inputs are written `%name`, constants `@name`, parameters `$name`, left-out inputs `_`.
 *
 * ```text
 * graph lenet5
 *   input %x: float32[1, 1, 28, 28]
 *   constant @w: float32[20, 1, 5, 5], 500 non-zeros
 *   %conv1: float32[1, 20, 24, 24] = Conv(%x, @w) {strides: [1, 1], …}
 *   output logits = %conv1
 * ```
 */
export function printGraph(graph: Graph): string {
  return `${[
    `graph ${graph.name}`,
    ...[
      ...graph.inputs.map((input) => `input ${formatTyped(input)}`),
      ...constantsOf(graph).map((value) => `constant ${formatStored(value)}${formatEncoding(value)}`),
      ...parametersOf(graph).map((value) => `parameter ${formatStored(value)}`),
      ...graph.nodes.map(formatNode),
      ...graph.outputs.map(({ name, value }) => `output ${name} = ${formatValue(value)}`),
      ...graph.updates.map(({ parameter, value }) => `update ${formatValue(parameter)} := ${formatValue(value)}`),
    ].map((line) => `  ${line}`),
  ].join("\n")}\n`;
}

/** One line, as `%y: float32[1, 10] = Gemm(%x, @w, @b) {alpha: 1, …}`. */
export function formatNode(node: Node): string {
  const attrs = formatAttrs(node.attrs);
  return `${node.outputs.map(formatTyped).join(", ")} = ${node.op}(${node.inputs.map(formatValue).join(", ")})${attrs === "" ? "" : ` ${attrs}`}`;
}

/** `{name: value, …}`; empty if there are none. */
export function formatAttrs(attrs: { readonly [name: string]: AttrValue }): string {
  const entries = Object.entries(attrs).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? "" : `{${entries.map(([name, value]) => `${name}: ${formatAttr(value)}`).join(", ")}}`;
}

function formatAttr(value: AttrValue): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (value === undefined || typeof value !== "object") return String(value);
  if (isList(value)) return `[${value.map(formatAttr).join(", ")}]`;
  if ("dtype" in value) return `${formatType(value)} (${formatElements(value)})`;
  return isActivation(value) ? formatActivation(value) : formatExpr(value);
}

const isList = (value: AttrValue): value is readonly number[] | readonly string[] => Array.isArray(value);
const isActivation = (value: Expr | Activation): value is Activation => value.kind === "none" || value.kind === "clamp" || value.kind === "expr";

/** `none`, `relu`, `clamp(0, 6)` or an expression of x0. */
export function formatActivation(activation: Activation): string {
  switch (activation.kind) {
    case "none":
      return "none";
    case "clamp":
      return activation.low === 0 && activation.high === Number.POSITIVE_INFINITY ? "relu" : `clamp(${activation.low}, ${activation.high})`;
    case "expr":
      return formatExpr(activation.expr);
  }
}

function formatElements(tensor: Tensor): string {
  const shown = Array.from(tensor.data.subarray(0, 8) as ArrayLike<number | bigint>, String);
  return tensor.data.length > shown.length ? `${shown.join(", ")}, …` : shown.join(", ");
}

const formatStored = (value: ConstantValue | ParameterValue) => `${formatTyped(value)}, ${countNonZeros(value.data)} non-zeros`;

function formatEncoding({ encoding }: ConstantValue): string {
  if (encoding === undefined || encoding.kind === "dense") return "";
  return encoding.kind === "sparse" ? ", sparse" : `, ${encoding.bits} bits`;
}

/** How many elements are not 0. */
export function countNonZeros(data: TensorData): number {
  let count = 0;
  for (let i = 0; i < data.length; i++) if (Number(data[i]) !== 0) count++;
  return count;
}
