import type { ConstantValue, Graph, Node, ParameterValue, Value } from "../ir/graph.ts";
import { elementCount, float32Tensor, type Tensor } from "../ir/types.ts";
import type { GraphBuilder } from "../ops/builder.ts";
import { reshape } from "../ops/gradient-helpers.ts";

/** A weight of which only some elements are trained, the others being 0. */
export interface SparseParameter {
  /** float32[n]. */
  readonly parameter: ParameterValue;
  /** Row-major index in the weight of each of them. */
  readonly elements: Int32Array;
  /** The weight, whole. */
  readonly whole: Value;
  /** Whether the weight is that of a product which is computed as a 1×1 convolution, `whole` being its filters. */
  readonly pointwise: boolean;
}

/** A parameter for these elements of a weight, ascending. */
export function sparseParameter(builder: GraphBuilder, net: Graph, constant: ConstantValue, indices: Int32Array): SparseParameter {
  const users = net.nodes.filter((node) => node.inputs.includes(constant));
  const [transposed = false, ...others] = users.map((node) => node.op === "MatMul" || node.attrs.transB === false);
  const pointwise = users.every((node) => isPointwise(node, constant)) && others.every((other) => other === transposed);
  const { shape } = constant.type;
  const [rows = 1, columns = 1] = shape;
  const exchange = (index: number): number => (index % columns) * rows + Math.floor(index / columns);
  const exchanged = pointwise && transposed;
  const elements = exchanged ? indices.slice().sort((a, b) => exchange(a) - exchange(b)) : indices;
  const data = Float32Array.from(elements, (index) => constant.data[index] as number);
  const parameter = builder.parameter(constant.name, float32Tensor([elements.length], data));
  const places: Tensor = { dtype: "int32", shape: [elements.length], data: exchanged ? elements.map(exchange) : elements };
  const wholeShape = pointwise ? [exchanged ? columns : rows, exchanged ? rows : columns, 1, 1] : shape;
  const whole = builder.add("Scatter", [parameter, builder.constant(`${constant.name}.places`, places)], { shape: wholeShape }, `${constant.name}.whole`);
  return { parameter, elements, whole, pointwise };
}

/** x [N, K] times the weight, in the same way for all its users: y = x · B or x · Bᵀ, perhaps plus a vector. */
function isPointwise({ op, attrs, inputs }: Node, weight: ConstantValue): boolean {
  const [x, w, bias] = inputs;
  if (w !== weight || x === weight || x?.type.shape.length !== 2 || weight.type.shape.length !== 2) return false;
  if (op === "MatMul") return true;
  const columns = weight.type.shape[attrs.transB === true ? 0 : 1];
  const plainBias = bias === undefined || (attrs.beta === 1 && bias.type.shape.length === 1 && bias.type.shape[0] === columns);
  return op === "Gemm" && attrs.alpha === 1 && attrs.transA === false && plainBias;
}

/** Gemm or MatMul as a 1×1 convolution of planes of one pixel, `inputs[1]` being its filters. */
export function addPointwise(builder: GraphBuilder, node: Node, [x, w, bias]: readonly Value[]): Value {
  const [n = 1, channels = 1] = x?.type.shape ?? [];
  const attrs = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
  const y = builder.add("Conv", [reshape(builder, x as Value, [n, channels, 1, 1]), w, bias], attrs, node.name);
  return reshape(builder, y, [n, elementCount(y.type.shape) / n]);
}
