import { CadnnError } from "../errors.ts";
import { type Graph, type ParameterValue, parametersOf, tensorOf } from "../ir/graph.ts";
import type { Tensor } from "../ir/types.ts";
import { interpret } from "../ops/interpret.ts";
import type { Stepper } from "./stepper.ts";

/** Steps by reference semantics: exact and slow, for tests and tiny nets. */
export async function interpreterStepper(graph: Graph): Promise<Stepper> {
  const parameters = parametersOf(graph);
  const values = new Map<ParameterValue, Tensor>(parameters.map((p) => [p, tensorOf(p)]));
  const named = (name: string): ParameterValue => {
    const parameter = parameters.find((p) => p.name === name);
    if (parameter === undefined)
      throw new CadnnError("E_INPUT_NAME", `the graph has no parameter ${name}`, { at: name, hint: `Parameters: ${parameters.map((p) => p.name).join(", ")}.` });
    return parameter;
  };
  return {
    async run(feeds) {
      const tensors = Object.fromEntries(graph.inputs.filter((v) => v.name in feeds).map((v) => [v.name, { ...v.type, data: feeds[v.name] } as Tensor]));
      const { outputs, updates } = interpret(graph, tensors, values);
      for (const [parameter, tensor] of updates) values.set(parameter, tensor);
      return Object.fromEntries([...outputs].map(([name, tensor]) => [name, tensor.data as Float32Array]));
    },
    async readParameter(name) {
      const { data } = values.get(named(name)) as Tensor<"float32">;
      return data.slice();
    },
    async writeParameter(name, data) {
      const parameter = named(name);
      if (data.length !== parameter.data.length)
        throw new CadnnError("E_SHAPE_MISMATCH", `parameter ${name} has ${parameter.data.length} elements, given ${data.length}`, { at: name });
      values.set(parameter, { ...parameter.type, data: data.slice() } as Tensor);
    },
    async dispose() {},
  };
}
