import { decodeArtifact } from "../../artifact/format.ts";
import type { ImageInput } from "../../compile/index.ts";
import { readText, writeFileAtomic } from "../../node/files.ts";
import { defaultTuningFile } from "../../node/tuning-file.ts";
import { parseTuningLog, type TuningLog } from "../../tune/log.ts";
import { type Command, sharedArgs } from "../command.ts";
import { formatBytes, formatCount, formatMs, round } from "../format.ts";
import { readGraph, readTarget } from "../model.ts";
import { type Options, parseInputShapes, parseList, usage } from "../options.ts";
import { formatPairs } from "../table.ts";
import { parseLog } from "./tune.ts";

export const command: Command = {
  name: "compile",
  description: "Compile an ONNX net into a .cadnn file.",
  args: {
    model: { type: "positional", description: "ONNX file" },
    output: { type: "string", alias: "o", description: ".cadnn file to write", valueHint: "FILE.cadnn" },
    targets: { type: "string", description: 'Targets, separated by commas; "wasm" (default) is all of them', valueHint: "LIST" },
    tuning: { type: "string", description: 'Measurements of `cadnn tune` to choose by; "default" is the file that it writes by itself', valueHint: "FILE.jsonl" },
    disable: sharedArgs.disable,
    image: {
      type: "string",
      description: "Let the net take RGBA bytes, as a canvas has them, in place of floats, preprocessed as --preprocess of other commands says",
      valueHint: "SPEC",
    },
    "image-size": { type: "string", description: "Height and width of these pixels, where they are not those of the net, which then resizes them", valueHint: "480x640" },
    "input-shape": sharedArgs["input-shape"],
  },
  examples: [
    "cadnn compile r50.onnx -o r50.cadnn",
    "cadnn compile mobilenet.onnx -o mobilenet.cadnn --image torch --image-size 480x640",
    "cadnn compile net.onnx -o net.cadnn --targets wasm-arm64-plain --input-shape input=1x3x224x224",
  ],
  async run(options, { progress }) {
    const path = options.required("model");
    const file = options.required("output");
    const targets = (options.text("targets") ?? "wasm").split(",").map((t) => (t.trim() === "wasm" ? "wasm" : readTarget(t.trim())));
    const tuning = await readTuning(options.text("tuning"));
    const started = performance.now();
    const { compile } = await import("../../compile/index.ts");
    progress.update(0, 3, `reading ${path}`);
    const graph = await readGraph(path, { inputShapes: parseInputShapes(options.all("input-shape")) });
    const imported = performance.now();
    const stages: { readonly stage: string; readonly target?: string; readonly ms: number }[] = [];
    const artifact = await compile(graph, {
      targets,
      ...(tuning === undefined ? {} : { tuning }),
      ...imageOptions(options),
      optimize: { disable: parseList(options.all("disable")) },
      observer: ({ stage, target, milliseconds }) => {
        stages.push({ stage, ...(target === undefined ? {} : { target }), ms: round(milliseconds) });
        progress.update(1, 3, target === undefined ? stage : `${stage} for ${target}`);
      },
    });
    const compiled = performance.now();
    progress.update(2, 3, "writing");
    await writeFileAtomic(file, artifact);
    const { manifest, weights, code } = decodeArtifact(artifact);
    const modules = manifest.modules.map((m) => ({ target: m.target, bytes: m.bytes, memoryBytes: m.pages * 65536, kernelCalls: m.steps.length }));
    const macs = manifest.modules[0]?.steps.reduce((sum, step) => sum + step.macs, 0) ?? 0;
    const text = formatPairs([
      ["file", `${file}, ${formatBytes(artifact.length)}`],
      ["weights", formatBytes(weights.length)],
      ["code", modules.map((m) => `${m.target} ${formatBytes(m.bytes)}`).join(", ")],
      ["memory", formatBytes(Math.max(...modules.map((m) => m.memoryBytes)))],
      ["MACs", formatCount(macs)],
      ["time", `${formatMs(imported - started)} to read, ${formatMs(compiled - imported)} to compile`],
    ]);
    const json = {
      file,
      bytes: artifact.length,
      weightBytes: weights.length,
      codeBytes: code.length,
      modules,
      macs,
      readMs: round(imported - started),
      compileMs: round(compiled - imported),
      stages,
    };
    return { text, json };
  },
};

async function readTuning(name: string | undefined): Promise<TuningLog | undefined> {
  if (name === undefined) return undefined;
  const file = name === "default" ? defaultTuningFile() : name;
  return parseLog(parseTuningLog, await readText(file), file);
}

function imageOptions(options: Options): { readonly image?: ImageInput } {
  const [preprocess, size] = [options.text("image"), options.text("image-size")];
  if (preprocess === undefined && size === undefined) return {};
  const numbers = size === undefined ? undefined : /^(\d+)x(\d+)$/.exec(size)?.slice(1).map(Number);
  if (size !== undefined && numbers === undefined) throw usage(`"${size}" is no size`, "--image-size", "Write it as HEIGHTxWIDTH, for instance 480x640.");
  return { image: { preprocess: preprocess ?? "none", ...(numbers === undefined ? {} : { size: numbers as [number, number] }) } };
}
