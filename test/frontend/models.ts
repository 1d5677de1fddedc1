import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as A,
  type AttributeProto,
  AttributeProtoSchema,
  type FunctionProto,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type SparseTensorProto,
  TensorProto_DataType as T,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { tensorProto } from "../../src/frontend/onnx/export/writer.ts";
import type { Tensor } from "../../src/ir/types.ts";

type TensorInit = MessageInitShape<typeof TensorProtoSchema>;

/** A number is an int if it is whole, `float()` makes it a float all the same. */
export type AttrInit = number | string | readonly number[] | Tensor | { readonly float: number } | { readonly floats: readonly number[] } | { readonly graph: GraphInit };

export interface NodeInit {
  readonly op: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly attrs?: Readonly<Record<string, AttrInit>>;
  readonly name?: string;
  readonly domain?: string;
}

export interface ModelInit extends GraphInit {
  readonly opset?: number;
  readonly functions?: FunctionProto[];
}

export interface GraphInit {
  readonly nodes: readonly NodeInit[];
  /** Shape of each input; names and `undefined` stand for dynamic dimensions. */
  readonly inputs?: Readonly<Record<string, readonly (number | string | undefined)[]>>;
  readonly outputs?: readonly string[];
  /** Element types of inputs and outputs that are not float32. */
  readonly types?: Readonly<Record<string, T>>;
  readonly initializers?: Readonly<Record<string, Tensor | TensorInit>>;
  readonly sparse?: SparseTensorProto[];
}

const utf8 = new TextEncoder();

function attribute(name: string, value: AttrInit): AttributeProto {
  const init = (fields: MessageInitShape<typeof AttributeProtoSchema>) => create(AttributeProtoSchema, { name, ...fields });
  if (typeof value === "number") return Number.isInteger(value) ? init({ type: A.INT, i: BigInt(value) }) : init({ type: A.FLOAT, f: value });
  if (typeof value === "string") return init({ type: A.STRING, s: new Uint8Array(utf8.encode(value)) });
  if ("float" in value) return init({ type: A.FLOAT, f: value.float });
  if ("floats" in value) return init({ type: A.FLOATS, floats: [...value.floats] });
  if ("graph" in value) return init({ type: A.GRAPH, g: makeGraph(value.graph) });
  if ("dtype" in value) return init({ type: A.TENSOR, t: tensorProto("", value) });
  return init({ type: A.INTS, ints: value.map(BigInt) });
}

export function makeNode({ op, inputs = ["x"], outputs = ["y"], attrs = {}, name = "", domain = "" }: NodeInit): NodeProto {
  const attributes = Object.entries(attrs).map(([key, value]) => attribute(key, value));
  return create(NodeProtoSchema, { opType: op, domain, name, input: [...inputs], output: [...outputs], attribute: attributes });
}

export function makeGraph({ nodes, inputs = {}, outputs = ["y"], types = {}, initializers = {}, sparse = [] }: GraphInit): GraphProto {
  const dim = (d: number | string | undefined) =>
    d === undefined ? {} : { value: typeof d === "number" ? ({ case: "dimValue", value: BigInt(d) } as const) : ({ case: "dimParam", value: d } as const) };
  const value = (name: string, shape?: readonly (number | string | undefined)[]) => {
    const tensor = { elemType: types[name] ?? T.FLOAT, ...(shape === undefined ? {} : { shape: { dim: shape.map(dim) } }) };
    return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value: tensor } } });
  };
  return create(GraphProtoSchema, {
    name: "test",
    node: nodes.map(makeNode),
    input: Object.entries(inputs).map(([name, shape]) => value(name, shape)),
    output: outputs.map((name) => value(name)),
    initializer: Object.entries(initializers).map(([name, tensor]) => ("dtype" in tensor ? tensorProto(name, tensor) : create(TensorProtoSchema, { ...tensor, name }))),
    sparseInitializer: sparse,
  });
}

/** Bytes of an ONNX file. Inputs and outputs are float32 unless said otherwise. */
export function makeModel({ opset = 17, functions = [], ...graph }: ModelInit): Uint8Array {
  const opsetImport = [create(OperatorSetIdProtoSchema, { version: BigInt(opset) })];
  if (functions.length > 0) opsetImport.push(create(OperatorSetIdProtoSchema, { domain: "local", version: 1n }));
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: BigInt(opset < 9 ? 3 : 8), opsetImport, functions, graph: makeGraph(graph) }));
}
