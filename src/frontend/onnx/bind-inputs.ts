import type { GraphProto, ValueInfoProto } from "onnx-buf";
import { CadnnError } from "../../errors.ts";
import { elementCount, type Tensor, type TensorType, tensorType } from "../../ir/types.ts";
import { initializerNames } from "./order-nodes.ts";
import { dtypeOf } from "./read-tensor.ts";

export interface InputBindings {
  readonly inputShapes?: Readonly<Record<string, readonly number[]>> | undefined;
  readonly constantInputs?: Readonly<Record<string, Tensor>> | undefined;
}

/** A dimension of the file: a number, the name of a symbol, or nothing. */
type Dim = number | string | undefined;

/**
 * Types of the inputs that are fed at run time, in order; inputs that are initializers or bound as constants are left out.
 * A dynamic dimension is what `inputShapes` says, there or at another dimension of the same symbol; else 1 if it leads, else a problem.
 */
export function bindInputs(graph: GraphProto, bindings: InputBindings, problems: CadnnError[]): Map<string, TensorType> {
  const { inputShapes = {}, constantInputs = {} } = bindings;
  const initialized = new Set(initializerNames(graph));
  const inputs = graph.input.filter(({ name }) => !initialized.has(name));
  const names = inputs.map(({ name }) => name);
  for (const name of [...Object.keys(inputShapes), ...Object.keys(constantInputs)])
    if (!names.includes(name)) problems.push(new CadnnError("E_INPUT_NAME", `the net has no input "${name}"`, { at: name, hint: `Its inputs are: ${names.join(", ")}.` }));

  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined)
    problems.push(new CadnnError("E_INVALID_GRAPH", `two inputs are called ${repeated}`, { at: repeated, hint: "The file does not follow the ONNX standard; export it again." }));
  for (const info of inputs) {
    const constant = constantInputs[info.name];
    if (constant !== undefined) problems.push(...constantProblems(info, constant));
  }

  const fed = inputs.filter(({ name }) => constantInputs[name] === undefined);
  const symbols = new Map<string, number>();
  for (const info of fed)
    dimsOf(info)?.forEach((d, i) => {
      const bound = inputShapes[info.name]?.[i];
      if (typeof d === "string" && bound !== undefined) symbols.set(d, bound);
    });

  const types = new Map<string, TensorType>();
  for (const info of fed) {
    try {
      types.set(info.name, bindType(info, inputShapes[info.name], symbols));
    } catch (error) {
      if (!(error instanceof CadnnError)) throw error;
      problems.push(error);
    }
  }
  return types;
}

function dimsOf(info: ValueInfoProto): Dim[] | undefined {
  const tensor = info.type?.value.case === "tensorType" ? info.type.value.value : undefined;
  return tensor?.shape?.dim.map(({ value }) => {
    if (value.case === "dimValue") return value.value > 0n ? Number(value.value) : value.value === 0n ? 0 : undefined;
    return value.case === "dimParam" && value.value !== "" ? value.value : undefined;
  });
}

/** What is wrong with a tensor bound to an input. */
function constantProblems(info: ValueInfoProto, tensor: Tensor): CadnnError[] {
  const { name } = info;
  const wanted = info.type?.value.case === "tensorType" ? dtypeOf(info.type.value.value.elemType, name) : tensor.dtype;
  const dims = dimsOf(info) ?? tensor.shape;
  const fits = dims.length === tensor.shape.length && dims.every((d, i) => typeof d !== "number" || d === tensor.shape[i]) && tensor.data.length === elementCount(tensor.shape);
  const hint = `It takes ${wanted}[${formatDims(dims)}].`;
  if (tensor.dtype !== wanted) return [new CadnnError("E_DTYPE_MISMATCH", `constantInputs binds input ${name} to ${tensor.dtype}`, { at: name, hint })];
  return fits
    ? []
    : [new CadnnError("E_SHAPE_MISMATCH", `constantInputs binds input ${name} to shape [${tensor.shape.join(", ")}] with ${tensor.data.length} elements`, { at: name, hint })];
}

function bindType(info: ValueInfoProto, wanted: readonly number[] | undefined, symbols: ReadonlyMap<string, number>): TensorType {
  const { name } = info;
  const kind = info.type?.value;
  if (kind?.case !== "tensorType" && kind?.case !== undefined)
    throw new CadnnError("E_UNSUPPORTED_TYPE", `input ${name} is a ${kind.case.replace("Type", "")}`, { at: name, hint: "Inputs must be tensors." });
  const dtype = kind?.value === undefined ? "float32" : dtypeOf(kind.value.elemType, name);
  const dims = dimsOf(info);
  if (wanted?.some((d) => !Number.isInteger(d) || d < 0))
    throw new CadnnError("E_INVALID_OPTION", `inputShapes binds ${name} to [${wanted.join(", ")}]`, { at: name, hint: "Dimensions are integers." });
  if (dims === undefined) {
    if (wanted === undefined) throw dynamic(name, "its shape is not in the file");
    return tensorType(dtype, wanted);
  }
  if (wanted !== undefined && (wanted.length !== dims.length || dims.some((d, i) => typeof d === "number" && d !== wanted[i])))
    throw new CadnnError("E_SHAPE_MISMATCH", `input ${name} is [${formatDims(dims)}], inputShapes binds it to [${wanted.join(", ")}]`, {
      at: name,
      hint: "Only dynamic dimensions can be bound.",
    });
  const shape = dims.map((d, i) => {
    const bound = wanted?.[i] ?? (typeof d === "number" ? d : typeof d === "string" ? symbols.get(d) : undefined) ?? (i === 0 ? 1 : undefined);
    if (bound === undefined) throw dynamic(name, `dimension ${i} of [${formatDims(dims)}] is not bound`);
    return bound;
  });
  return tensorType(dtype, shape);
}

const formatDims = (dims: readonly Dim[]) => dims.map((d) => d ?? "?").join(", ");

function dynamic(name: string, why: string): CadnnError {
  return new CadnnError("E_DYNAMIC_SHAPE", `the shape of input ${name} must be known: ${why}`, {
    at: name,
    hint: `Bind it by the option inputShapes, for example { "${name}": [1, 3, 224, 224] }.`,
  });
}
