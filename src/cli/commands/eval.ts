import { CadnnError } from "../../errors.ts";
import { elementCount } from "../../ir/types.ts";
import { rankOf, scoresOf } from "../classify.ts";
import { type Command, type CommandContext, sharedArgs } from "../command.ts";
import { type LabelledImages, openImages } from "../datasets.ts";
import { formatMs, median, round } from "../format.ts";
import { imageFeed, readPreprocessing } from "../image-feed.ts";
import { classCount, imageInput, type OpenModel, openModel } from "../model.ts";
import { type Options, parseInputShapes } from "../options.ts";
import { formatPairs } from "../table.ts";

export const command: Command = {
  name: "eval",
  description: "Measure a net's accuracy on labelled images.",
  args: {
    model: { type: "positional", description: "ONNX or .cadnn file" },
    data: {
      type: "string",
      description: "A csv with the columns file and class; an idx pair images,labels (gzipped or not); or a mosaic .png with a .labels file beside it",
      valueHint: "DATA",
    },
    images: { type: "string", description: "Folder of the csv's files; default: the csv's own, or images in it", valueHint: "DIR" },
    preprocess: sharedArgs.preprocess,
    "first-class": sharedArgs["first-class"],
    output: { type: "string", description: "Name of the output with the scores; default: the first", valueHint: "NAME" },
    limit: { type: "string", description: "Evaluate only the first N images", valueHint: "N" },
    threads: sharedArgs.threads,
    target: sharedArgs.target,
    revectorize: sharedArgs.revectorize,
    reference: sharedArgs.reference,
    "input-shape": sharedArgs["input-shape"],
  },
  examples: [
    "cadnn eval mobilenet_v2.onnx --data images.csv --images photos --preprocess tf",
    "cadnn eval lenet5.cadnn --data t10k-images-idx3-ubyte.gz,t10k-labels-idx1-ubyte.gz --preprocess mean=0.1307,std=0.3081",
    "cadnn eval resnet20.onnx --data cifar10/test.png --preprocess torch --threads 2 --json",
  ],
  async run(options, context) {
    const path = options.required("model");
    const preprocessing = readPreprocessing(options);
    const firstClass = options.number("first-class", { integer: true, min: 0 });
    const images = await openImages(options.required("data"), options.text("images"));
    const model = await openModel(path, {
      threads: options.number("threads", { integer: true, min: 1, max: 64 }),
      target: options.text("target"),
      revectorize: options.flag("revectorize"),
      reference: options.flag("reference"),
      inputShapes: parseInputShapes(options.all("input-shape")),
    });
    for (const note of model.notes) context.progress.note(note);
    try {
      const count = Math.min(images.count, options.number("limit", { integer: true, min: 1 }) ?? images.count);
      const score = scorer(model, options, firstClass, context);
      const feed = imageFeed(imageInput(model), preprocessing);
      const totals = await evaluate(model, images, count, score, (i) => images.image(i).then(feed), context);
      const percent = (hits: number) => round((100 * hits) / count);
      const result = { images: count, top1: percent(totals.top1), top5: percent(totals.top5) };
      const { backend, target, threads } = model;
      const text = formatPairs([
        ["images", result.images],
        ["top-1", `${result.top1} %`],
        ["top-5", `${result.top5} %`],
        ["latency", `${formatMs(totals.medianMs)} an image (median, ${threads} thread${threads === 1 ? "" : "s"}, ${target ?? backend})`],
      ]);
      return { text, json: { ...result, model: path, backend, target, threads, medianMs: round(totals.medianMs) } };
    } finally {
      await model.dispose();
    }
  },
};

/** Ranks of the right class, image by image of a batch, from the net's results. */
type Score = (results: Awaited<ReturnType<OpenModel["run"]>>, position: number, label: number) => number;

function scorer(model: OpenModel, options: Options, firstClass: number | undefined, { progress }: CommandContext): Score {
  const name = options.text("output") ?? model.outputs[0]?.name ?? "";
  const output = model.outputs.find((o) => o.name === name);
  if (output === undefined)
    throw new CadnnError("E_INVALID_OPTION", `the net has no output "${name}"`, { at: "--output", hint: `Its outputs are: ${model.outputs.map((o) => o.name).join(", ")}.` });
  const scores = classCount(output, imageInput(model).shape[0] ?? 1);
  if (scores === 1001 && firstClass === undefined) progress.note("The net has 1001 outputs. If output 0 is the background, give --first-class 1.");
  return (results, position, label) => {
    const index = label + (firstClass ?? 0);
    if (index >= scores)
      throw new CadnnError("E_INVALID_DATASET", `class ${label} of the data set has no output, the net has ${scores}`, {
        at: name,
        hint: "Check --first-class, and that net and data belong together.",
      });
    const all = scoresOf(results[name] as NonNullable<(typeof results)[string]>, name);
    return rankOf(all.subarray(position * scores, (position + 1) * scores), index);
  };
}

interface Totals {
  readonly top1: number;
  readonly top5: number;
  readonly medianMs: number;
}

/** Feeds all images in order, `batch` at a time as the net is compiled for, decoding the next ones meanwhile. */
async function evaluate(
  model: OpenModel,
  images: LabelledImages,
  count: number,
  score: Score,
  pixels: (index: number) => Promise<Float32Array | Uint8Array>,
  { progress }: CommandContext,
): Promise<Totals> {
  const input = imageInput(model);
  const batch = input.shape.length === 4 ? (input.shape[0] as number) : 1;
  const size = elementCount(input.shape) / batch;
  const ahead = Math.max(4, batch);
  const pending = new Map<number, Promise<Float32Array | Uint8Array>>();
  const fetch = (index: number) => {
    if (index >= count || pending.has(index)) return;
    const image = pixels(index);
    image.catch(() => undefined); // awaited, and then thrown, in its turn
    pending.set(index, image);
  };
  const times: number[] = [];
  let [top1, top5] = [0, 0];
  for (let start = 0; start < count; start += batch) {
    for (let i = start; i < start + batch + ahead; i++) fetch(i);
    const data = input.dtype === "uint8" ? new Uint8Array(batch * size) : new Float32Array(batch * size);
    const filled = Math.min(batch, count - start);
    for (let i = 0; i < filled; i++) {
      data.set((await pending.get(start + i)) as Float32Array | Uint8Array, i * size);
      pending.delete(start + i);
    }
    const begin = performance.now();
    const results = await model.run({ [input.name]: { shape: input.shape, data } });
    times.push((performance.now() - begin) / batch);
    for (let i = 0; i < filled; i++) {
      const rank = score(results, i, images.label(start + i));
      if (rank < 1) top1++;
      if (rank < 5) top5++;
    }
    const done = start + filled;
    progress.update(done, count, `top-1 ${((100 * top1) / done).toFixed(1)} %`);
  }
  return { top1, top5, medianMs: median(times) };
}
