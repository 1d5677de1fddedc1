import { type Attrs, type Encoding, isConstant, tensorOf, type Value } from "../../ir/graph.ts";
import { elementCount, type Tensor } from "../../ir/types.ts";
import { type GraphBuilder, inferNode } from "../../ops/builder.ts";
import { opNamed } from "../../ops/registry.ts";

/** Adds canonical nodes to the graph being imported, or computes them right away where all inputs are known. */
export interface Emitter {
  /** A name that neither the file nor the graph uses yet: `hint` itself if possible. */
  fresh(hint: string): string;
  constant(name: string, tensor: Tensor, encoding?: Encoding): Value;
  /** `outputNames` must be unused so far. */
  emit(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs, nodeName: string, outputNames: readonly string[]): readonly Value[];
}

/** Ops whose reference evaluation takes more than a few operations an element: left to the fold-constants pass unless tiny. */
const costly: ReadonlySet<string> = new Set(["Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "AveragePool", "LRN", "Resize"]);
const costlyLimit = 1 << 12;
const limit = 1 << 25;

/** `reserved`: all value names of the file, which names of our own must not take. It grows with each fresh name. */
export function createEmitter(builder: GraphBuilder, reserved: Set<string>): Emitter {
  const fresh = (hint: string): string => {
    let name = hint;
    for (let i = 1; reserved.has(name); i++) name = `${hint}_${i}`;
    reserved.add(name);
    return name;
  };
  const constant: Emitter["constant"] = (name, tensor, encoding) => builder.constant(name, tensor, encoding);
  return {
    fresh,
    constant,
    emit(op, given, attrs, nodeName, outputNames) {
      const inputs = given.slice(0, given.findLastIndex((v) => v !== undefined) + 1);
      const known = inputs.every((v) => v === undefined || isConstant(v));
      if (known) {
        const types = inferNode(op, nodeName, inputs, attrs);
        const elements = [...inputs.map((v) => v?.type), ...types].reduce((n, t) => n + (t === undefined ? 0 : elementCount(t.shape)), 0);
        if (elements <= (costly.has(op) ? costlyLimit : limit)) {
          const tensors = opNamed(op).evaluate(
            inputs.map((v) => (isConstant(v) ? tensorOf(v) : undefined)),
            attrs,
            types,
          );
          return tensors.map((tensor, i) => constant(outputNames[i] ?? fresh(`${nodeName}.${i}`), tensor));
        }
      }
      return builder.addMany(op, inputs, attrs, nodeName, outputNames);
    },
  };
}
