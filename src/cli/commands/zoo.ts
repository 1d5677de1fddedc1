import type { Graph } from "../../ir/graph.ts";
import { writeFileAtomic } from "../../node/files.ts";
import { countMacs, countParameters, type ZooName, zoo, zooGraph, zooNames } from "../../zoo/index.ts";
import type { Command, Report } from "../command.ts";
import { formatBytes, formatCount, formatPercent, round } from "../format.ts";
import { suggestion, usage } from "../options.ts";
import { formatPairs, formatTable } from "../table.ts";

export const command: Command = {
  name: "zoo",
  description: "Write a well-known net with seeded weights as ONNX.",
  args: {
    name: { type: "positional", required: false, description: `One of ${zooNames.join(", ")}` },
    sparsity: { type: "string", description: "Share of zeros in each layer but the first convolution and depthwise ones", valueHint: "S" },
    seed: { type: "string", description: "Seed of the weights; default 1", valueHint: "N" },
    batch: { type: "string", description: "Size of the batch dimension; default 1", valueHint: "N" },
    list: { type: "boolean", description: "List the nets" },
    output: { type: "string", alias: "o", description: "ONNX file to write", valueHint: "FILE.onnx" },
  },
  examples: ["cadnn zoo --list", "cadnn zoo resnet50 --sparsity 0.891 --seed 1 -o r50.onnx"],
  async run(options, { progress }) {
    if (options.flag("list")) return list();
    const name = readName(options.required("name"));
    const file = options.required("output");
    const seed = options.number("seed", { integer: true, min: 0 }) ?? 1;
    const sparsity = options.number("sparsity", { min: 0, below: 1 }) ?? 0;
    progress.update(0, 3, `making ${name}`);
    const graph = zooGraph(name, { sparsity, seed, batch: options.number("batch", { integer: true, min: 1 }) ?? 1 });
    progress.update(1, 3, "encoding");
    const { exportOnnx } = await import("../../frontend/onnx/index.ts");
    const bytes = exportOnnx(graph);
    progress.update(2, 3, "writing");
    await writeFileAtomic(file, bytes);
    return report(graph, name, file, bytes.length, seed);
  },
};

function readName(text: string): ZooName {
  const name = zooNames.find((n) => n === text);
  if (name === undefined) throw usage(`the zoo has no net "${text}"`, "NAME", suggestion(text, zooNames) ?? `Choose one of ${zooNames.join(", ")}.`);
  return name;
}

function list(): Report {
  const nets = zooNames.map((name) => ({ name, inputShape: zoo[name].inputShape, macs: zoo[name].macs, parameters: zoo[name].parameters }));
  const text = formatTable(
    [{ title: "net" }, { title: "input" }, { title: "MACs", align: "right" }, { title: "parameters", align: "right" }],
    nets.map((n) => [n.name, n.inputShape.join("×"), formatCount(n.macs), formatCount(n.parameters)]),
  );
  return { text, json: { nets } };
}

function report(graph: Graph, name: string, file: string, bytes: number, seed: number): Report {
  const zeros = graph.nodes.reduce(
    (sum, node) => sum + node.inputs.reduce((z, v) => z + (v?.kind === "constant" && v.data instanceof Float32Array ? v.data.reduce((n, x) => n + (x === 0 ? 1 : 0), 0) : 0), 0),
    0,
  );
  const macs = countMacs(graph);
  const parameters = countParameters(graph);
  const sparsity = zeros / parameters;
  const inputs = graph.inputs.map((i) => ({ name: i.name, shape: i.type.shape }));
  const text = formatPairs([
    ["net", name],
    ["input", inputs.map((i) => `${i.name} ${i.shape.join("×")}`).join(", ")],
    ["MACs", formatCount(macs)],
    ["parameters", `${formatCount(parameters)}, ${formatPercent(sparsity)} of them 0`],
    ["file", `${file}, ${formatBytes(bytes)}`],
  ]);
  return { text, json: { name, file, bytes, seed, macs, parameters, zeros, sparsity: round(sparsity, 6), inputs } };
}
