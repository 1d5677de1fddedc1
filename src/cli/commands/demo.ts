import { join } from "node:path";
import type { DemoNet, DemoResult } from "../../compress/index.ts";
import { writeFileAtomic } from "../../node/files.ts";
import { type Command, type Report, sharedArgs } from "../command.ts";
import { formatBytes, formatCount, formatDuration, formatMs, round } from "../format.ts";
import { formatTable } from "../table.ts";

export const command: Command = {
  name: "demo",
  description: "Train LeNet-5 on real digits, compress it with ADMM, compile it dense and compressed, and compare the two.",
  args: {
    threads: { ...sharedArgs.threads, description: "Number of threads; default 2" },
    seed: { type: "string", description: "Seed of weights, shuffling and splitting; default 1", valueHint: "N" },
    rate: { type: "string", description: "Weights divided by those that are kept; default 40", valueHint: "R" },
    "output-dir": { type: "string", description: "Existing folder to keep the nets in, as .onnx and .cadnn", valueHint: "DIR" },
  },
  examples: ["cadnn demo", "cadnn demo --rate 60 --output-dir out --json"],
  async run(options, { progress, signal, ...context }) {
    const threads = options.number("threads", { integer: true, min: 1, max: 64 }) ?? 2;
    const seed = options.number("seed", { integer: true, min: 0 });
    const rate = options.number("rate", { min: 1 });
    const folder = options.text("output-dir");
    const [{ runDemo }, { digitsDataset }, { readDigits }, { compile }, { createSession }, { kernelStepper }] = await Promise.all([
      import("../../compress/demo.ts"),
      import("../../train/data/digits.ts"),
      import("../../node/digits.ts"),
      import("../../compile/index.ts"),
      import("../../node/session.ts"),
      import("../stepper.ts"),
    ]);
    context.interruptible();
    const data = digitsDataset(readDigits());
    progress.note(`${formatCount(data.count)} digits, a fifth of them held out; ${threads} thread${threads === 1 ? "" : "s"}.`);
    const result = await runDemo({
      data,
      makeStepper: await kernelStepper(threads),
      compile: (graph) => compile(graph),
      open: (artifact) => createSession(artifact, { threads: 1 }),
      signal,
      ...(seed === undefined ? {} : { seed }),
      ...(rate === undefined ? {} : { rate }),
      observer({ done, stage, training: t }) {
        const text = t === undefined ? stage : `${t.phase}, epoch ${t.epoch}/${t.epochs}, loss ${t.loss.toFixed(3)}, ${t.accuracy.toFixed(1)} % of training digits`;
        progress.update(Math.round(1000 * done), 1000, text);
      },
    });
    if (folder !== undefined) await keep(folder, result);
    return reportOf(result, folder);
  },
};

async function keep(folder: string, { dense, compressed }: DemoResult): Promise<void> {
  const { exportOnnx } = await import("../../frontend/onnx/index.ts");
  for (const [name, net] of [["lenet5-dense", dense] as const, ["lenet5-compressed", compressed] as const]) {
    await writeFileAtomic(join(folder, `${name}.onnx`), exportOnnx(net.graph, { dynamicBatch: true }));
    await writeFileAtomic(join(folder, `${name}.cadnn`), net.artifact);
  }
}

function reportOf(result: DemoResult, folder: string | undefined): Report {
  const { dense, compressed, heldOut, trainedOn, seconds, report } = result;
  const rows: readonly [string, (net: DemoNet) => string, string][] = [
    [
      "accuracy on held-out digits",
      (net) => `${net.accuracy.toFixed(2)} %`,
      `${compressed.accuracy < dense.accuracy ? "−" : "+"}${Math.abs(compressed.accuracy - dense.accuracy).toFixed(2)} points`,
    ],
    ["weights", (net) => formatCount(net.weights), `1/${(dense.weights / compressed.weights).toFixed(1)}`],
    ["file", (net) => formatBytes(net.bytes), `1/${(dense.bytes / compressed.bytes).toFixed(1)}`],
    ["latency of one digit", (net) => formatMs(net.latencyMs.median), `1/${(dense.latencyMs.median / compressed.latencyMs.median).toFixed(1)}`],
  ];
  const table = formatTable(
    [{ title: "LeNet-5" }, { title: "dense", align: "right" }, { title: "compressed", align: "right" }, { title: "", align: "right" }],
    rows.map(([name, of, ratio]) => [name, of(dense), of(compressed), ratio]),
  );
  const notes = [
    `Trained on ${formatCount(trainedOn)} digits, measured on ${formatCount(heldOut)} others with the compiled files, one thread; ${formatDuration(seconds)} in all.`,
    ...(folder === undefined ? [] : [`Kept in ${folder}: lenet5-dense and lenet5-compressed, each as .onnx and .cadnn.`]),
  ];
  const net = ({ accuracy, weights, bytes, latencyMs }: DemoNet) => ({
    accuracy: round(accuracy),
    weights,
    bytes,
    medianMs: round(latencyMs.median, 4),
    minMs: round(latencyMs.min, 4),
  });
  const json = {
    dense: net(dense),
    compressed: net(compressed),
    rate: round(dense.weights / compressed.weights),
    trainedOn,
    heldOut,
    seconds: round(seconds),
    layers: report.layers,
  };
  return { text: `${table}\n\n${notes.join("\n")}`, json };
}
