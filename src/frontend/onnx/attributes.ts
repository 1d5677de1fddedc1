import { AttributeProto_AttributeType as A, type AttributeProto, type GraphProto, type NodeProto } from "onnx-buf";
import { CadnnError } from "../../errors.ts";
import type { Tensor } from "../../ir/types.ts";
import { type ExternalData, readSparseTensor, readTensor } from "./read-tensor.ts";

/** Typed access to a node's attributes; an attribute of another type than asked for gives `E_INVALID_ATTRIBUTE`. */
export interface Attributes {
  has(name: string): boolean;
  int(name: string, fallback: number): number;
  float(name: string, fallback: number): number;
  string(name: string, fallback: string): string;
  ints(name: string): number[] | undefined;
  floats(name: string): number[] | undefined;
  tensor(name: string): Tensor | undefined;
  graph(name: string): GraphProto | undefined;
}

/** The decimal with the fewest digits that rounds to the same float32, which is the one that somebody wrote: 1e-5, not 0.000009999999747378752. */
export function shortestDecimal(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

const utf8 = new TextDecoder();

export function readAttributes(node: NodeProto, nodeName: string, external?: ExternalData): Attributes {
  const table = new Map(node.attribute.map((a) => [a.name, a]));
  const get = (name: string, ...types: readonly A[]): AttributeProto | undefined => {
    const attribute = table.get(name);
    // Files of IR version 1 leave the type out.
    if (attribute === undefined || attribute.type === A.UNDEFINED || types.includes(attribute.type)) return attribute;
    throw new CadnnError("E_INVALID_ATTRIBUTE", `attribute ${name} of ${node.opType} is of type ${A[attribute.type]}, expected ${types.map((t) => A[t]).join(" or ")}`, {
      at: nodeName,
      hint: "The file does not follow the ONNX standard; export it again.",
    });
  };
  return {
    has: (name) => table.has(name),
    int: (name, fallback) => Number(get(name, A.INT)?.i ?? fallback),
    float(name, fallback) {
      const a = get(name, A.FLOAT, A.INT);
      return a === undefined ? fallback : a.type === A.INT ? Number(a.i) : shortestDecimal(a.f);
    },
    string(name, fallback) {
      const a = get(name, A.STRING);
      return a === undefined ? fallback : utf8.decode(a.s);
    },
    ints: (name) => get(name, A.INTS)?.ints.map(Number),
    floats: (name) => get(name, A.FLOATS)?.floats.slice(),
    tensor(name) {
      const a = get(name, A.TENSOR, A.SPARSE_TENSOR);
      if (a?.sparseTensor !== undefined) return readSparseTensor(a.sparseTensor, external);
      return a?.t === undefined ? undefined : readTensor(a.t, a.t.name || `${nodeName}.${name}`, external);
    },
    graph: (name) => get(name, A.GRAPH)?.g,
  };
}
