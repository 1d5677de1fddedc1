import type { Graph, Node } from "../ir/graph.ts";
import { printGraph } from "../ir/print.ts";
import { elementCount } from "../ir/types.ts";
import { optimize, passes } from "../passes/index.ts";
import { countMacs, countParameters, nodeMacs, nodeParameters } from "../zoo/count.ts";
import type { Report } from "./command.ts";
import { formatBytes, formatCount, formatPercent, round } from "./format.ts";
import { usage } from "./options.ts";
import { formatPairs, formatTable } from "./table.ts";

/** The graph's text form after the named pass. */
export function printAfter(graph: Graph, after: string): Report {
  const names = ["import", ...passes.map((pass) => pass.name)];
  if (!names.includes(after)) throw usage(`there is no pass "${after}"`, "--after", `Passes, in order: ${names.join(", ")}.`);
  const text = printGraph(after === "import" ? graph : optimize(graph, { after }));
  return { text: text.trimEnd(), json: { after, text } };
}

/** One line a layer. */
export function inspectGraph(graph: Graph, bytes: number): Report {
  const layers = graph.nodes.map((node) => ({
    name: node.name,
    op: node.op,
    output: node.outputs[0]?.type.shape ?? [],
    macs: nodeMacs(node),
    parameters: nodeParameters(node),
    density: densityOf(node),
  }));
  const inputs = graph.inputs.map(({ name, type }) => ({ name, ...type }));
  const outputs = graph.outputs.map(({ name, value }) => ({ name, ...value.type }));
  const macs = countMacs(graph);
  const parameters = countParameters(graph);
  const nonZeros = graph.nodes.reduce((sum, node) => sum + nonZerosOf(node), 0);
  const table = formatTable(
    [
      { title: "layer" },
      { title: "op" },
      { title: "output", align: "right" },
      { title: "MACs", align: "right" },
      { title: "parameters", align: "right" },
      { title: "density", align: "right" },
    ],
    layers.map((l) => [
      l.name,
      l.op,
      l.output.join("×"),
      l.macs === 0 ? "" : formatCount(l.macs),
      l.parameters === 0 ? "" : formatCount(l.parameters),
      l.density === undefined ? "" : formatPercent(l.density),
    ]),
  );
  const summary = formatPairs([
    ["net", graph.name],
    ["file", formatBytes(bytes)],
    ["inputs", inputs.map((i) => `${i.name} ${i.dtype} ${i.shape.join("×")}`).join(", ")],
    ["outputs", outputs.map((o) => `${o.name} ${o.dtype} ${o.shape.join("×")}`).join(", ")],
    ["layers", graph.nodes.length],
    ["MACs", formatCount(macs)],
    ["parameters", `${formatCount(parameters)}, ${formatCount(nonZeros)} of them not 0`],
  ]);
  const json = {
    kind: "onnx",
    name: graph.name,
    bytes,
    inputs,
    outputs,
    macs,
    parameters,
    nonZeros,
    layers: layers.map((l) => ({ ...l, density: l.density === undefined ? undefined : round(l.density, 6) })),
  };
  return { text: `${table}\n\n${summary}`, json };
}

/** Share of non-zeros in the weight of a convolution or matrix product. */
function densityOf(node: Node): number | undefined {
  const weight = node.inputs[1];
  if (nodeMacs(node) === 0 || weight?.kind !== "constant" || !(weight.data instanceof Float32Array)) return undefined;
  return nonZeros(weight.data) / Math.max(1, elementCount(weight.type.shape));
}

function nonZerosOf(node: Node): number {
  const trainable = node.op === "BatchNormalization" ? node.inputs.slice(0, 3) : node.inputs;
  return trainable.reduce((sum, v) => sum + (v?.kind === "constant" && v.data instanceof Float32Array ? nonZeros(v.data) : 0), 0);
}

const nonZeros = (data: Float32Array): number => data.reduce((n, x) => n + (x === 0 ? 0 : 1), 0);
