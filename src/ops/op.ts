import { CadnnError, type ErrorCode } from "../errors.ts";
import type { Attrs, Value } from "../ir/graph.ts";
import type { Tensor, TensorType } from "../ir/types.ts";
import type { GraphBuilder } from "./builder.ts";

/**
 * One operator: type inference, reference semantics and, where training needs it, its gradient, side by side.
 * Attributes are in canonical form (see `Attrs`): the importer has turned constant inputs such as axes, shapes and bounds into attributes.
 */
export interface OpDef<A extends Attrs = Attrs> {
  /** As in ONNX; ops of our own (made by passes or by differentiation) have names that ONNX lacks. */
  readonly name: string;
  /** Types of the outputs; throws `E_SHAPE_MISMATCH`, `E_DTYPE_MISMATCH` or `E_INVALID_ATTRIBUTE` with what it saw. */
  infer(inputs: OpTypes, attrs: A): TensorType[];
  /** Reference semantics: obviously right, never fast. `types` are what `infer` gave. */
  evaluate(inputs: OpTensors, attrs: A, types: readonly TensorType[]): Tensor[];
  /** Adds nodes that compute ∂loss/∂input for each input, given ∂loss/∂output; `undefined` where none flows. */
  gradient?(context: GradientContext<A>): (Value | undefined)[];
}

export type OpTypes = readonly (TensorType | undefined)[];
export type OpTensors = readonly (Tensor | undefined)[];

export interface GradientContext<A extends Attrs = Attrs> {
  readonly builder: GraphBuilder;
  readonly attrs: A;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** ∂loss/∂output; `undefined` where the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** Whether ∂loss/∂input i is wanted at all. */
  readonly wanted: readonly boolean[];
}

/** Gives an op's definition its exact attribute type while the table holds all ops as `OpDef`. */
export function defineOp<A extends Attrs>(op: OpDef<A>): OpDef<A> {
  return op;
}

/** Input i, which the op cannot do without. */
export function required<T>(inputs: readonly (T | undefined)[], index: number, op: string): T {
  const input = inputs[index];
  if (input === undefined) throw new CadnnError("E_INVALID_GRAPH", `${op} lacks its input ${index}`);
  return input;
}

export function expectRank(type: TensorType, rank: number, op: string, what: string): void {
  if (type.shape.length !== rank) throw new CadnnError("E_SHAPE_MISMATCH", `${op}: ${what} has shape [${type.shape.join(", ")}], expected ${rank} dimensions`);
}

export function expectDType(type: TensorType, dtypes: readonly string[], op: string, what: string): void {
  if (!dtypes.includes(type.dtype)) throw new CadnnError("E_UNSUPPORTED_TYPE", `${op}: ${what} is ${type.dtype}, supported: ${dtypes.join(", ")}`);
}

const hints: Readonly<Partial<Record<ErrorCode, string>>> = {
  E_SHAPE_MISMATCH: "Check the shapes that the inputs were bound to, and the node's attributes.",
  E_DTYPE_MISMATCH: "Insert a Cast so that all inputs have one element type.",
  E_UNSUPPORTED_TYPE: "Insert a Cast to one of the supported element types.",
  E_INVALID_ATTRIBUTE: "The node's attributes contradict its inputs; export the net again or correct them.",
  E_INVALID_GRAPH: "The node lacks something it needs; export the net again.",
};

/** Runs a part of an op for a node: errors that do not say where they arose get the node's name, and a hint if they have none. */
export function atNode<T>(nodeName: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof CadnnError) || error.at !== undefined) throw error;
    throw new CadnnError(error.code, error.message, { at: nodeName, hint: error.hint ?? hints[error.code], cause: error.cause, problems: error.problems });
  }
}
