import { decodeArtifact } from "../../artifact/format.ts";
import { type Command, sharedArgs } from "../command.ts";
import { inspectArtifact } from "../inspect-artifact.ts";
import { inspectGraph, printAfter } from "../inspect-graph.ts";
import { inspectTraffic } from "../inspect-traffic.ts";
import { readModel, readTarget } from "../model.ts";
import { parseInputShapes, usage } from "../options.ts";

export const command: Command = {
  name: "inspect",
  description: "Show the layers of an ONNX net, or the sections, modules and kernel calls of a .cadnn file.",
  args: {
    model: { type: "positional", description: "ONNX or .cadnn file" },
    after: { type: "string", description: 'Print the graph as text after this pass of the optimizer; "import" is before the first', valueHint: "PASS" },
    target: {
      type: "string",
      description: "ONNX: what the kernel calls for this target read and write, against the caches of phones; .cadnn: the module whose calls are listed",
      valueHint: "NAME",
    },
    "input-shape": sharedArgs["input-shape"],
  },
  examples: ["cadnn inspect r50.onnx", "cadnn inspect r50.onnx --after=fold-batch-norm", "cadnn inspect r50.onnx --target wasm-arm64-relaxed", "cadnn inspect r50.cadnn --json"],
  async run(options) {
    const path = options.required("model");
    const model = await readModel(path, { inputShapes: parseInputShapes(options.all("input-shape")) });
    const after = options.text("after");
    const target = options.text("target");
    if (model.kind === "onnx") {
      if (after !== undefined) return printAfter(model.graph, after);
      return target === undefined ? inspectGraph(model.graph, model.bytes) : inspectTraffic(model.graph, readTarget(target));
    }
    if (after !== undefined) throw usage("--after needs an ONNX net", "--after", "A .cadnn file holds kernel calls, not a graph.");
    return inspectArtifact(decodeArtifact(model.file), model.file, target);
  },
};
