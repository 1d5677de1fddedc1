import type { CadnnError, ErrorCode } from "../../../errors.ts";
import type { Attrs, Value } from "../../../ir/graph.ts";
import type { Tensor, TensorType } from "../../../ir/types.ts";
import type { Attributes } from "../attributes.ts";

/** One ONNX node as converters see it: its attributes, its inputs as values of the new graph, and ways to add nodes to that. */
export interface OnnxNode extends Attributes {
  readonly op: string;
  readonly name: string;
  /** Version of the default operator set of the file. */
  readonly opset: number;
  /** `undefined` where an optional input is left out. */
  readonly inputs: readonly (Value | undefined)[];
  /** Number of outputs listed, used or not. */
  readonly outputCount: number;
  /** Whether output i is named, so that something may read it. */
  wants(output: number): boolean;
  /** Input i; throws `E_INVALID_GRAPH` where it is left out. */
  input(index: number): Value;
  typeOf(index: number): TensorType;
  /** Elements of input i, `undefined` where it is left out; throws `E_DYNAMIC_SHAPE` where it is known only at run time. */
  constant(index: number): Tensor | undefined;
  /** The same as numbers. */
  numbers(index: number): number[] | undefined;
  /** Whether input i is left out or known on import. */
  isKnown(index: number): boolean;
  /** A constant of our own. */
  literal(tensor: Tensor, hint: string): Value;
  /** A constant that is the user's first output. */
  result(tensor: Tensor): Value;
  /** A float32 or, for integers, an int64 … scalar of the type of `like`. */
  scalar(value: number, like: TensorType): Value;
  /** Adds an inner node with one output. */
  step(op: string, inputs: readonly (Value | undefined)[], attrs?: Attrs): Value;
  /** Adds the node that makes the user's first output, under the user's name. */
  emit(op: string, inputs: readonly (Value | undefined)[], attrs?: Attrs): Value;
  /** Adds the node that makes all of the user's outputs. */
  emitMany(op: string, inputs: readonly (Value | undefined)[], attrs?: Attrs): readonly Value[];
  /** An error that names this node. */
  error(code: ErrorCode, message: string, hint: string): CadnnError;
}

/** Turns an ONNX node into canonical nodes; gives the values of its outputs, in order. */
export type Converter = (node: OnnxNode) => Value | readonly (Value | undefined)[];
export type Converters = Readonly<Record<string, Converter>>;
