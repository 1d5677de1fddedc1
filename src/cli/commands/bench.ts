import { cpus } from "node:os";
import type { TensorRecord } from "../../artifact/manifest.ts";
import { elementCount, makeData } from "../../ir/types.ts";
import type { Feed } from "../../runtime/index.ts";
import { createRandom } from "../../zoo/random.ts";
import { type Command, sharedArgs } from "../command.ts";
import { formatCount, formatMs, median, quantile, round } from "../format.ts";
import { openModel } from "../model.ts";
import { parseInputShapes, parseList } from "../options.ts";
import { formatPairs } from "../table.ts";

export const command: Command = {
  name: "bench",
  description: "Measure a net's latency on random inputs.",
  args: {
    model: { type: "positional", description: "ONNX or .cadnn file" },
    threads: { ...sharedArgs.threads, description: "Number of threads; default 1" },
    runs: { type: "string", description: "Runs that are timed; default 30", valueHint: "N" },
    target: sharedArgs.target,
    revectorize: sharedArgs.revectorize,
    disable: sharedArgs.disable,
    reference: sharedArgs.reference,
    "input-shape": sharedArgs["input-shape"],
  },
  examples: ["cadnn bench r50.cadnn --threads 1 --runs 30 --json"],
  async run(options, { progress }) {
    const path = options.required("model");
    const runs = options.number("runs", { integer: true, min: 1 }) ?? 30;
    const model = await openModel(path, {
      threads: options.number("threads", { integer: true, min: 1, max: 64 }) ?? 1,
      target: options.text("target"),
      revectorize: options.flag("revectorize"),
      reference: options.flag("reference"),
      disable: parseList(options.all("disable")),
      inputShapes: parseInputShapes(options.all("input-shape")),
    });
    for (const note of model.notes) progress.note(note);
    try {
      const feeds = Object.fromEntries(model.inputs.map((input) => [input.name, randomFeed(input)]));
      const started = performance.now();
      await model.run(feeds);
      const firstMs = performance.now() - started;
      await model.warmup();
      const times: number[] = [];
      for (let i = 0; i < runs; i++) {
        const begin = performance.now();
        await model.run(feeds);
        times.push(performance.now() - begin);
        progress.update(i + 1, runs, formatMs(median(times)));
      }
      const [medianMs, minMs, p90Ms] = [median(times), Math.min(...times), quantile(times, 0.9)];
      const meanMs = times.reduce((a, b) => a + b, 0) / runs;
      const { backend, target, threads, macs, loadMs, compileMs } = model;
      const gmacsPerSecond = macs / minMs / 1e6;
      const host = { engine: `Node ${process.versions.node} (V8 ${process.versions.v8})`, cpu: cpus()[0]?.model ?? "unknown", arch: process.arch };
      const text = formatPairs([
        ["latency", `${formatMs(medianMs)} median, ${formatMs(minMs)} least, ${formatMs(p90Ms)} for 90 % of ${runs} runs`],
        ["on", `${threads} thread${threads === 1 ? "" : "s"}, ${target ?? backend}, ${host.engine}, ${host.cpu}`],
        ["speed", macs === 0 ? undefined : `${gmacsPerSecond.toPrecision(4)} G dense MACs/s (${formatCount(macs)} MACs)`],
        ["start", `${compileMs === undefined ? "" : `compiled in ${formatMs(compileMs)}, `}loaded in ${formatMs(loadMs)}, first run ${formatMs(firstMs)}`],
      ]);
      const json = {
        ...{ model: path, medianMs: round(medianMs), minMs: round(minMs), meanMs: round(meanMs), p90Ms: round(p90Ms), firstMs: round(firstMs), runs },
        ...{
          backend,
          target,
          threads,
          macs,
          gmacsPerSecond: round(gmacsPerSecond),
          loadMs: round(loadMs),
          compileMs: compileMs === undefined ? undefined : round(compileMs),
          host,
        },
      };
      return { text, json };
    } finally {
      await model.dispose();
    }
  },
};

/** Standard normal floats; zeros for other types, which are indices mostly. */
function randomFeed({ name, dtype, shape }: TensorRecord): Feed {
  const count = elementCount(shape);
  if (dtype !== "float32") return { shape, data: makeData(dtype, count) };
  const random = createRandom(1, name);
  return { shape, data: Float32Array.from({ length: count }, () => random.normal()) };
}
