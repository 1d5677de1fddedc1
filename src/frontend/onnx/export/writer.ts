import { create } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType as A, AttributeProtoSchema, type NodeProto, NodeProtoSchema, type TensorProto, TensorProto_DataType, TensorProtoSchema } from "onnx-buf";
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

/** `names` holds those of the values that nodes make or that are fed. */
export function createWriter(opset: number, names: ReadonlyMap<Value, string>, reserved: Iterable<string>): Writer {
  const used = new Set(reserved);
  const known = new Map(names);
  const nodes: NodeProto[] = [];
  const nodeNames = new Set<string>();
  const initializers: TensorProto[] = [];
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
    fresh,
    nameOf(value) {
      if (value === undefined) return "";
      const name = known.get(value);
      if (name !== undefined) return name;
      invariant(value.kind === "constant" || value.kind === "parameter", `value ${value.name} is read before it is made`);
      const own = fresh(value.name);
      known.set(value, own);
      initializers.push(tensorProto(own, { ...value.type, data: value.data } as Tensor));
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
