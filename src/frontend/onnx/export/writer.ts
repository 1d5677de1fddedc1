import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as A,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type SparseTensorProto,
  SparseTensorProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
} from "onnx-buf";
import { invariant } from "../../../errors.ts";
import type { Value } from "../../../ir/graph.ts";
import { type DType, float32Tensor, int64Tensor, type Tensor } from "../../../ir/types.ts";

/** Attribute values by their ONNX type; what is `undefined` is left out. */
export type OnnxAttrs = Readonly<Record<string, OnnxAttr | undefined>>;
interface OnnxAttr {
  readonly type: A;
  readonly i?: bigint;
  readonly ints?: bigint[];
  readonly f?: number;
  readonly s?: Uint8Array<ArrayBuffer>;
}

export const attr = {
  int: (value: number | boolean) => ({ type: A.INT, i: BigInt(value) }),
  ints: (values: readonly number[]) => ({ type: A.INTS, ints: values.map(BigInt) }),
  float: (value: number) => ({ type: A.FLOAT, f: value }),
  string: (value: string) => ({ type: A.STRING, s: new Uint8Array(new TextEncoder().encode(value)) }),
} as const;

export const dataTypes: Readonly<Record<DType, TensorProto_DataType>> = {
  float32: TensorProto_DataType.FLOAT,
  int32: TensorProto_DataType.INT32,
  int64: TensorProto_DataType.INT64,
  uint8: TensorProto_DataType.UINT8,
  int8: TensorProto_DataType.INT8,
  bool: TensorProto_DataType.BOOL,
};

/** Collects the nodes and initializers of a file. Values are referred to by their names in it. */
export interface Writer {
  readonly opset: number;
  readonly nodes: NodeProto[];
  readonly initializers: TensorProto[];
  readonly sparseInitializers: SparseTensorProto[];
  /** A name that nothing in the file has yet: `hint` itself if possible. */
  fresh(hint: string): string;
  /** Name of a value in the file; constants and parameters become initializers when first asked for. */
  nameOf(value: Value | undefined): string;
  /** Appends a node with the given outputs; `name` is the node's. */
  node(op: string, inputs: readonly string[], outputs: readonly string[], attrs: OnnxAttrs, name: string): void;
  /** Appends a node with one output of a new name, and gives that. */
  step(op: string, inputs: readonly string[], hint: string, attrs?: OnnxAttrs): string;
  /** An initializer of our own; equal scalars and lists are stored once. */
  constant(tensor: Tensor): string;
  scalar(value: number): string;
  ints(values: readonly number[]): string;
}

/** `names` holds those of the values that nodes make or that are fed. `sparse`: weights of mostly zeros are stored without these. */
export function createWriter(opset: number, names: ReadonlyMap<Value, string>, reserved: Iterable<string>, sparse: boolean): Writer {
  const used = new Set(reserved);
  const known = new Map(names);
  const nodes: NodeProto[] = [];
  const nodeNames = new Set<string>();
  const initializers: TensorProto[] = [];
  const sparseInitializers: SparseTensorProto[] = [];
  const shared = new Map<string, string>();
  const fresh = (hint: string): string => unused(used, hint);
  const constant = (tensor: Tensor): string => {
    const key = `${tensor.dtype}[${tensor.shape.join()}]${tensor.data.join()}`;
    const name = shared.get(key) ?? fresh(`const_${shared.size}`);
    if (!shared.has(key)) initializers.push(tensorProto(name, tensor));
    shared.set(key, name);
    return name;
  };
  const node: Writer["node"] = (op, inputs, outputs, attrs, name) => {
    let last = inputs.length;
    while (last > 0 && inputs[last - 1] === "") last--;
    const attribute = Object.entries(attrs).flatMap(([key, value]) => (value === undefined ? [] : [create(AttributeProtoSchema, { ...value, name: key })]));
    nodes.push(create(NodeProtoSchema, { opType: op, name: unused(nodeNames, name), input: inputs.slice(0, last), output: [...outputs], attribute }));
  };
  return {
    opset,
    nodes,
    initializers,
    sparseInitializers,
    fresh,
    nameOf(value) {
      if (value === undefined) return "";
      const name = known.get(value);
      if (name !== undefined) return name;
      invariant(value.kind === "constant" || value.kind === "parameter", `value ${value.name} is read before it is made`);
      const own = fresh(value.name);
      known.set(value, own);
      const tensor = { ...value.type, data: value.data } as Tensor;
      const positions = sparse ? sparsePositions(tensor) : undefined;
      if (positions === undefined) initializers.push(tensorProto(own, tensor));
      else sparseInitializers.push(sparseProto(own, tensor, positions));
      return own;
    },
    node,
    step(op, inputs, hint, attrs = {}) {
      const output = fresh(hint);
      node(op, inputs, [output], attrs, output);
      return output;
    },
    constant,
    scalar: (value) => constant(float32Tensor([], [value])),
    ints: (values) => constant(int64Tensor([values.length], values)),
  };
}

function unused(used: Set<string>, hint: string): string {
  let name = hint;
  for (let i = 1; used.has(name); i++) name = `${hint}_${i}`;
  used.add(name);
  return name;
}

/** Positions of the elements of a float32 tensor that are not 0, if storing only these with their 8-byte positions is smaller. */
function sparsePositions({ dtype, data, shape }: Tensor): BigInt64Array | undefined {
  if (dtype !== "float32" || shape.length === 0) return undefined;
  let count = 0;
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) count++;
  if (count * 12 >= data.length * 4) return undefined;
  const positions = new BigInt64Array(count);
  let at = 0;
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) positions[at++] = BigInt(i);
  return positions;
}

function sparseProto(name: string, { data, shape }: Tensor, positions: BigInt64Array): SparseTensorProto {
  const values = float32Tensor(
    [positions.length],
    Float32Array.from(positions, (p) => data[Number(p)] as number),
  );
  const indices: Tensor = { dtype: "int64", shape: [positions.length], data: positions };
  return create(SparseTensorProtoSchema, { values: tensorProto(name, values), indices: tensorProto("", indices), dims: shape.map(BigInt) });
}

/** The tensor as raw little-endian data. */
export function tensorProto(name: string, tensor: Tensor): TensorProto {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return create(TensorProtoSchema, {
    name,
    dims: tensor.shape.map(BigInt),
    dataType: dataTypes[tensor.dtype],
    rawData: new Uint8Array(new Uint8Array(buffer, byteOffset, byteLength)),
  });
}
