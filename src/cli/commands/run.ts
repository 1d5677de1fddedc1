import { join } from "node:path";
import { CadnnError } from "../../errors.ts";
import type { Tensor } from "../../ir/types.ts";
import { readFile, readText, writeFileAtomic } from "../../node/files.ts";
import { readImage } from "../../node/image.ts";
import { readNpy, writeNpy } from "../../node/npy.ts";
import type { Feed, ResultTensor } from "../../runtime/index.ts";
import { parseLabels, probabilities, scoresOf, topIndices } from "../classify.ts";
import { type Command, sharedArgs } from "../command.ts";
import { formatMs, formatPercent, round } from "../format.ts";
import { imageFeed, readPreprocessing } from "../image-feed.ts";
import { imageInput, type OpenModel, openModel } from "../model.ts";
import { type Options, parseInputShapes, usage } from "../options.ts";
import { formatTable } from "../table.ts";

export const command: Command = {
  name: "run",
  description: "Run a net on an image or on arrays.",
  args: {
    model: { type: "positional", description: "ONNX or .cadnn file" },
    image: { type: "string", description: "JPEG or PNG; the whole image is resized to the net's input", valueHint: "FILE" },
    preprocess: sharedArgs.preprocess,
    labels: { type: "string", description: "Text file with the name of a class on each line", valueHint: "FILE" },
    top: { type: "string", description: "How many classes to show; default 5", valueHint: "K" },
    "first-class": sharedArgs["first-class"],
    input: { type: "string", description: "Array for an input; may be repeated", valueHint: "name=file.npy" },
    output: { type: "string", description: "Name of the output with the scores; default: the first", valueHint: "NAME" },
    "output-dir": { type: "string", description: "Existing folder to write every output to, as NAME.npy", valueHint: "DIR" },
    threads: sharedArgs.threads,
    target: sharedArgs.target,
    revectorize: sharedArgs.revectorize,
    reference: sharedArgs.reference,
    "input-shape": sharedArgs["input-shape"],
  },
  examples: ["cadnn run mobilenet.onnx --image cat.jpg --preprocess tf --labels names.txt --top 5", "cadnn run net.cadnn --input x=x.npy --output-dir results"],
  async run(options, { progress }) {
    const path = options.required("model");
    if (options.text("image") === undefined && options.all("input").length === 0)
      throw usage("there is nothing to run on", "--image", "Give --image FILE or --input name=file.npy.");
    const model = await openModel(path, {
      threads: options.number("threads", { integer: true, min: 1, max: 64 }),
      target: options.text("target"),
      revectorize: options.flag("revectorize"),
      reference: options.flag("reference"),
      inputShapes: parseInputShapes(options.all("input-shape")),
    });
    for (const note of model.notes) progress.note(note);
    try {
      const feeds = await readFeeds(model, options);
      const started = performance.now();
      const results = await model.run(feeds);
      const ms = performance.now() - started;
      const files = await writeOutputs(results, options.text("output-dir"));
      const parts = options.text("image") === undefined ? summaries(results) : await classify(model, results, options);
      const { backend, target, threads } = model;
      return { text: [parts.text, `${formatMs(ms)} (first run)`, ...files].join("\n"), json: { model: path, ...parts.json, ms: round(ms), backend, target, threads, files } };
    } finally {
      await model.dispose();
    }
  },
};

async function readFeeds(model: OpenModel, options: Options): Promise<Record<string, Feed>> {
  const feeds: Record<string, Feed> = {};
  for (const entry of options.all("input")) {
    const split = entry.indexOf("=");
    const only = model.inputs.length === 1 ? model.inputs[0]?.name : undefined;
    const name = split < 0 ? only : entry.slice(0, split);
    if (name === undefined)
      throw usage(`"${entry}" does not say which input it is for`, "--input", `Write it as name=file.npy; the inputs are ${model.inputs.map((i) => i.name).join(", ")}.`);
    const file = entry.slice(split + 1);
    feeds[name] = readNpy(await readFile(file), file);
  }
  const image = options.text("image");
  if (image === undefined) return feeds;
  const input = imageInput(model);
  const pixels = imageFeed(input, readPreprocessing(options))(await readImage(image));
  if (input.shape.length === 4 && input.shape[0] !== 1)
    throw new CadnnError("E_SHAPE_MISMATCH", `input ${input.name} takes ${input.shape[0]} images at once, one was given`, {
      at: input.name,
      hint: "Compile the net with a batch of 1.",
    });
  return { ...feeds, [input.name]: { shape: input.shape, data: pixels } };
}

async function writeOutputs(results: Record<string, ResultTensor>, folder: string | undefined): Promise<string[]> {
  if (folder === undefined) return [];
  const files: string[] = [];
  for (const [name, result] of Object.entries(results)) {
    const file = join(folder, `${name.replaceAll(/[^\w.-]/g, "_")}.npy`);
    await writeFileAtomic(file, writeNpy(result as Tensor));
    files.push(file);
  }
  return files;
}

/** The best classes of the chosen output. */
async function classify(model: OpenModel, results: Record<string, ResultTensor>, options: Options): Promise<{ readonly text: string; readonly json: object }> {
  const name = options.text("output") ?? model.outputs[0]?.name ?? "";
  const result = results[name];
  if (result === undefined) throw usage(`the net has no output "${name}"`, "--output", `Its outputs are: ${model.outputs.map((o) => o.name).join(", ")}.`);
  const scores = scoresOf(result, name);
  const firstClass = options.number("first-class", { integer: true, min: 0 }) ?? 0;
  const labelsFile = options.text("labels");
  const labels = labelsFile === undefined ? undefined : parseLabels(await readText(labelsFile), scores.length - firstClass, labelsFile);
  const shares = probabilities(scores);
  const top = topIndices(scores, options.number("top", { integer: true, min: 1 }) ?? 5, firstClass).map((index) => ({
    class: index - firstClass,
    label: labels?.[index - firstClass],
    probability: round(shares[index] as number, 6),
    score: scores[index] as number,
  }));
  const text = formatTable(
    [{ title: "class", align: "right" }, { title: "probability", align: "right" }, { title: "score", align: "right" }, { title: labels === undefined ? "" : "label" }],
    top.map((t) => [t.class, formatPercent(t.probability), t.score.toPrecision(5), t.label]),
  );
  return { text, json: { top } };
}

/** Shape and range of each output. */
function summaries(results: Record<string, ResultTensor>): { readonly text: string; readonly json: object } {
  const outputs = Object.entries(results).map(([name, { dtype, shape, data }]) => {
    const values = Array.from(data as ArrayLike<number | bigint>, Number);
    const [min, max, sum] = values.reduce(([a, b, s], v) => [Math.min(a, v), Math.max(b, v), s + v], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0] as [
      number,
      number,
      number,
    ]);
    return { name, dtype, shape, min, max, mean: sum / values.length };
  });
  const columns = ["output", "type", "min", "mean", "max"].map((title, i) => ({ title, align: i < 2 ? ("left" as const) : ("right" as const) }));
  const text = formatTable(
    columns,
    outputs.map((o) => [o.name, `${o.dtype} ${o.shape.join("×")}`, ...[o.min, o.mean, o.max].map((v) => v.toPrecision(5))]),
  );
  return { text, json: { outputs } };
}
