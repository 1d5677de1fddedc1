import type { ConstantValue, Graph, Node } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { weightRoles } from "../train/training-graph.ts";
import type { WeightShape } from "./projections/structure.ts";

/** One weight tensor of a convolution or fully connected layer. */
export interface Layer {
  /** Name of the weight; plans and reports use it. */
  readonly name: string;
  /** Name of the node that reads it. */
  readonly node: string;
  readonly kind: "conv" | "depthwise" | "linear";
  readonly shape: readonly number[];
  readonly count: number;
  readonly matrix: WeightMatrix;
  /** Whether it is the net's first convolution. */
  readonly first: boolean;
  readonly value: ConstantValue;
}

/** How a weight is a matrix; structures are about it. */
export interface WeightMatrix extends WeightShape {
  /** The weight lies as [inputs, outputs, taps] and not as [outputs, inputs, taps]. */
  readonly inputsFirst: boolean;
}

/** All weight tensors of convolutions and fully connected layers, in the net's order; rates are relative to their sum. */
export function weightLayers(graph: Graph): readonly Layer[] {
  const roles = weightRoles(graph);
  const layers: Layer[] = [];
  let convolutions = 0;
  for (const node of graph.nodes)
    for (const value of node.inputs) {
      if (value?.kind !== "constant" || roles.get(value) !== "weight" || layers.some((l) => l.value === value)) continue;
      const { shape } = value.type;
      const isConv = node.op === "Conv" || node.op === "ConvTranspose";
      const group = isConv ? (node.attrs.group as number) : 1;
      const kind = !isConv ? "linear" : group > 1 && shape[1] === 1 ? "depthwise" : "conv";
      layers.push({ name: value.name, node: node.name, kind, shape, count: elementCount(shape), matrix: matrixOf(node, value), first: isConv && convolutions === 0, value });
      if (isConv) convolutions++;
    }
  return layers;
}

/** Which of its elements are weights of one output, by the node that reads it. */
export function matrixOf({ op, inputs: operands, attrs }: Node, value: ConstantValue): WeightMatrix {
  const { shape } = value.type;
  const [first = 1, second = 1, ...window] = shape;
  if (op === "Conv") return { outputs: first, inputs: second, taps: elementCount(window), inputsFirst: false };
  if (op === "ConvTranspose") return { outputs: second, inputs: first, taps: elementCount(window), inputsFirst: true };
  const [rows, columns] = [elementCount(shape.slice(0, -1)), shape.at(-1) ?? 1];
  const isLeft = operands[0] === value;
  const rowsAreOutputs = op === "Gemm" ? (isLeft ? attrs.transA !== true : attrs.transB === true) : isLeft;
  return rowsAreOutputs ? { outputs: rows, inputs: columns, taps: 1, inputsFirst: false } : { outputs: columns, inputs: rows, taps: 1, inputsFirst: true };
}

/** The weight's elements as [outputs, inputs, taps]. */
export function toMatrix<A extends Float32Array | Uint8Array>(values: A, { outputs, inputs, taps, inputsFirst }: WeightMatrix): A {
  return inputsFirst ? swapped(values, inputs, outputs, taps) : values;
}

/** The inverse of `toMatrix`. */
export function fromMatrix<A extends Float32Array | Uint8Array>(values: A, { outputs, inputs, taps, inputsFirst }: WeightMatrix): A {
  return inputsFirst ? swapped(values, outputs, inputs, taps) : values;
}

/** [rows, columns, depth] ⇒ [columns, rows, depth]. */
function swapped<A extends Float32Array | Uint8Array>(values: A, rows: number, columns: number, depth: number): A {
  const result = values.slice() as A;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) for (let d = 0; d < depth; d++) result[(c * rows + r) * depth + d] = values[(r * columns + c) * depth + d] as number;
  return result;
}
