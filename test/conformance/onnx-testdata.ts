import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, type ModelProto, ModelProtoSchema, type NodeProto, TensorProto_DataType as T, TensorProtoSchema, type ValueInfoProto } from "onnx-buf";
import { importableOps } from "../../src/frontend/onnx/index.ts";
import { readTensor } from "../../src/frontend/onnx/read-tensor.ts";
import type { Tensor } from "../../src/ir/types.ts";

/** Runs a model on one set of inputs; gives its outputs in the order of the file. */
export type Runner = (model: Uint8Array, constantInputs: Readonly<Record<string, Tensor>>, feeds: Readonly<Record<string, Tensor>>) => Promise<readonly Tensor[]>;

export interface Case {
  readonly name: string;
  readonly folder: string;
}

export const groups = ["node", "pytorch-converted", "pytorch-operator", "simple"] as const;

/** Where the package libonnx-testdata keeps the cases, or why they are not there. */
export function findTestData(): { readonly root: string } | { readonly missing: string } {
  try {
    const files = execFileSync("dpkg", ["-L", "libonnx-testdata"], { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "ignore"] });
    const root = files.split("\n").find((line) => line.endsWith("/data/node"));
    if (root !== undefined && existsSync(root)) return { root: join(root, "..") };
  } catch {
    // no dpkg, or the package is not installed
  }
  return { missing: "Debian's package libonnx-testdata is not installed" };
}

export function listCases(root: string, group: string): Case[] {
  return readdirSync(join(root, group))
    .filter((name) => existsSync(join(root, group, name, "model.onnx")))
    .sort()
    .map((name) => ({ name, folder: join(root, group, name) }));
}

/** Inputs that say something about shapes or parameters, which must be known when compiling, by operator. */
const shapeInputs: Readonly<Record<string, readonly number[]>> = {
  Reshape: [1],
  Pad: [1, 2, 3],
  Slice: [1, 2, 3, 4],
  Squeeze: [1],
  Unsqueeze: [1],
  Resize: [1, 2, 3],
  Upsample: [1],
  Clip: [1, 2],
  ConstantOfShape: [0],
  Tile: [1, 2],
  TopK: [1],
  Expand: [1],
  Split: [1],
  Range: [0, 1, 2],
  OneHot: [1],
  Dropout: [1, 2],
  Trilu: [1],
  NonZero: [0],
  If: [0],
  ReduceSum: [1],
  ReduceMean: [1],
  ReduceMax: [1],
  ReduceMin: [1],
  ReduceProd: [1],
  ReduceL1: [1],
  ReduceL2: [1],
  ReduceSumSquare: [1],
  ReduceLogSum: [1],
  ReduceLogSumExp: [1],
};

const claimedTypes: ReadonlySet<number> = new Set([T.FLOAT, T.INT64, T.INT32, T.BOOL, T.UINT8, T.INT8]);

function nodesOf(graph: GraphProto): NodeProto[] {
  return graph.node.flatMap((node) => [node, ...node.attribute.flatMap((a) => (a.g === undefined ? [] : nodesOf(a.g)))]);
}

/** Why a case is not claimed, or `undefined` if it must pass. */
export function unclaimedBecause(name: string, model: ModelProto): string | undefined {
  const graph = model.graph as GraphProto;
  const nodes = nodesOf(graph);
  const known = new Set([...importableOps, "If"]);
  const foreign = nodes.find((n) => (n.domain !== "" && n.domain !== "ai.onnx") || !known.has(n.opType));
  if (foreign !== undefined) return `operator ${foreign.opType}`;
  const type = (elemType: number) => (claimedTypes.has(elemType) ? undefined : `type ${T[elemType]?.toLowerCase()}`);
  const ofValue = ({ type: t }: ValueInfoProto) => (t?.value.case === "tensorType" ? type(t.value.value.elemType) : `type ${t?.value.case}`);
  for (const reason of [
    ...[...graph.input, ...graph.output, ...graph.valueInfo].map(ofValue),
    ...graph.initializer.map((t) => type(t.dataType)),
    ...nodes.flatMap((n) => n.attribute.map((a) => (a.t === undefined ? undefined : type(a.t.dataType)))),
    ...nodes.filter((n) => n.opType === "Cast").flatMap((n) => n.attribute.map((a) => type(Number(a.i)))),
  ])
    if (reason !== undefined) return reason;
  if (nodes.some((n) => n.opType === "BatchNormalization" && n.attribute.some((a) => a.name === "training_mode" && a.i === 1n))) return "training mode";
  if (name.startsWith("test_training_dropout") && !name.includes("zero_ratio")) return "random dropout";
  return undefined;
}

/** Names of the graph inputs that inputs which must be known are computed from. Shapes themselves are always known. */
export function constantInputsOf(graph: GraphProto): Set<string> {
  const makers = new Map(graph.node.flatMap((n) => n.output.map((o) => [o, n] as const)));
  const queue = nodesOf(graph).flatMap((n) => (shapeInputs[n.opType] ?? []).map((i) => n.input[i] ?? ""));
  const found = new Set<string>();
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (name === "" || found.has(name)) continue;
    found.add(name);
    const maker = makers.get(name);
    if (maker !== undefined && maker.opType !== "Shape" && maker.opType !== "Size") queue.push(...maker.input);
  }
  return new Set(graph.input.map((i) => i.name).filter((name) => found.has(name)));
}

const decodeTensor = (file: string): Tensor => readTensor(fromBinary(TensorProtoSchema, readFileSync(file)), file);

/** Runs all data sets of a case; gives what is wrong, or `undefined`. */
export async function runCase(test: Case, model: ModelProto, bytes: Uint8Array, run: Runner): Promise<string | undefined> {
  const graph = model.graph as GraphProto;
  const initialized = new Set(graph.initializer.map((t) => t.name));
  const inputs = graph.input.map((i) => i.name).filter((name) => !initialized.has(name));
  const constants = constantInputsOf(graph);
  for (const set of readdirSync(test.folder).filter((name) => name.startsWith("test_data_set_"))) {
    const tensors = inputs.map((name, i) => [name, decodeTensor(join(test.folder, set, `input_${i}.pb`))] as const);
    const pick = (constant: boolean) => Object.fromEntries(tensors.filter(([name]) => constants.has(name) === constant));
    const outputs = await run(bytes, pick(true), pick(false));
    for (const [i, { name }] of graph.output.entries()) {
      const difference = compareTensors(outputs[i], decodeTensor(join(test.folder, set, `output_${i}.pb`)));
      if (difference !== undefined) return `output ${name}: ${difference}`;
    }
  }
  return undefined;
}

/** Same type, shape and elements, floats within 1e-3 relative and 1e-7 absolute, as ONNX's own test runner has it. */
export function compareTensors(actual: Tensor | undefined, expected: Tensor, relative = 1e-3, absolute = 1e-7): string | undefined {
  if (actual === undefined) return "missing";
  if (actual.dtype !== expected.dtype || actual.shape.join() !== expected.shape.join())
    return `${actual.dtype}[${actual.shape.join(", ")}] instead of ${expected.dtype}[${expected.shape.join(", ")}]`;
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [actual.data[i], expected.data[i]] as [number | bigint, number | bigint];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (typeof a === "bigint" || typeof b === "bigint" || !(Math.abs(a - b) <= absolute + relative * Math.abs(b))) return `element ${i} is ${a} instead of ${b}`;
  }
  return undefined;
}

export interface Tally {
  passed: number;
  readonly failed: string[];
  readonly unclaimed: Map<string, number>;
}

/** Runs all claimed cases of a group; `except` gives reasons by the names of cases that this runner cannot pass. */
export async function runGroup(root: string, group: string, run: Runner, except: Readonly<Record<string, string>> = {}): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: [], unclaimed: new Map() };
  for (const test of listCases(root, group)) {
    const bytes = new Uint8Array(readFileSync(join(test.folder, "model.onnx")));
    const model = fromBinary(ModelProtoSchema, bytes);
    const reason = except[test.name] ?? unclaimedBecause(test.name, model);
    if (reason !== undefined) {
      tally.unclaimed.set(reason, (tally.unclaimed.get(reason) ?? 0) + 1);
      continue;
    }
    const problem = await runCase(test, model, bytes, run).catch((error: unknown) => String(error instanceof Error ? error.message : error));
    if (problem === undefined) tally.passed++;
    else tally.failed.push(`${test.name}: ${problem}`);
  }
  return tally;
}
