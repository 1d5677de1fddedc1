/**
 * What each structure costs in accuracy and gains in time, beside single weights at the same rate: ResNet-20 without training, LeNet-5 with ADMM and retraining.
 * The timed stage, `latency`, wants an idle machine; the nets are kept in the work folder.
 * `npx tsx bench/structures/run.ts [--stage nets,latency,report] [--work bench/results/structures-work] [--data ../shared/data] [--net resnet20,lenet5] [--images 512] [--limit 10000] [--digits 20000] [--threads 1]`
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { kernelStepper } from "../../src/cli/stepper.ts";
import { formatTable } from "../../src/cli/table.ts";
import { compile } from "../../src/compile/index.ts";
import { compress, compressPostTraining, removeDeadUnits, weightLayers } from "../../src/compress/index.ts";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { accuracyOf, predict } from "../../src/train/evaluate.ts";
import type { MakeStepper } from "../../src/train/stepper.ts";
import { type Host, record, targetToMeasure, thisHost } from "../host.ts";
import { latencies } from "../latency.ts";
import { lenet5, resnet20, type TrainedNet } from "../trained-net.ts";

interface Net {
  readonly net: string;
  /** `dense` for the net that was pruned. */
  readonly structure: string;
  /** Asked for, of all weights. */
  readonly sparsity: number;
  /** Weights of the dense net divided by those kept. */
  readonly rate: number;
  readonly accuracy: number;
}

type Timed = Net & { readonly ms: number };

/** Structures at one sparsity; each layer has the same, so that they differ in nothing else. Patterns keep 4 of 9 taps at most, 2:4 half of all. */
const comparisons: Readonly<Record<string, readonly { readonly sparsity: number; readonly structures: readonly string[] }[]>> = {
  resnet20: [
    { sparsity: 0.7, structures: ["unstructured", "2x1", "4x1", "patterns", "channels"] },
    { sparsity: 0.5, structures: ["unstructured", "2:4"] },
  ],
  lenet5: [
    { sparsity: 0.9, structures: ["unstructured", "2x1", "4x1", "channels"] },
    { sparsity: 0.5, structures: ["unstructured", "2:4"] },
  ],
};

const { values } = parseArgs({
  options: {
    stage: { type: "string", default: "nets,latency,report" },
    work: { type: "string", default: "bench/results/structures-work" },
    data: { type: "string", default: "../shared/data" },
    net: { type: "string", default: "resnet20,lenet5" },
    images: { type: "string", default: "512" },
    digits: { type: "string", default: "20000" },
    limit: { type: "string", default: "10000" },
    threads: { type: "string", default: "1" },
  },
});
const file = (name: string) => join(values.work, name);
const nameOf = ({ net, structure, sparsity }: Pick<Net, "net" | "structure" | "sparsity">) => `${net}-${structure.replace(":", "of")}-${sparsity}`;
const readNets = (): Net[] => (existsSync(file("nets.json")) ? (JSON.parse(readFileSync(file("nets.json"), "utf8")) as Net[]) : []);

const nonZeros = (graph: Graph) => weightLayers(graph).reduce((sum, { value }) => sum + (value.data as Float32Array).reduce((n, v) => n + Number(v !== 0), 0), 0);

async function pruned(net: string, { graph, fit }: TrainedNet, structure: string, sparsity: number, makeStepper: MakeStepper): Promise<Graph> {
  const options = { sparsity, structure, scope: "layer" } as const;
  if (net === "resnet20") return removeDeadUnits((await compressPostTraining(graph, { ...options, batch: 32 }, fit, { makeStepper })).graph).graph;
  const phases = { admm: { epochs: 2, schedule: { kind: "cosine", peak: 2e-3, floor: 0.1 } }, retrain: { epochs: 2, schedule: { kind: "cosine", peak: 2e-3 } } } as const;
  return removeDeadUnits((await compress(graph, { ...options, ...phases, batch: 128 }, fit, { makeStepper })).graph).graph;
}

async function makeNets(): Promise<void> {
  const makeStepper = await kernelStepper(Number(values.threads));
  for (const net of values.net.split(",")) {
    const trained =
      net === "resnet20" ? await resnet20(values.data, Number(values.images), Number(values.limit)) : await lenet5(values.data, Number(values.digits), 4, makeStepper);
    const keep = async (structure: string, sparsity: number, graph: Graph): Promise<void> => {
      const accuracy = accuracyOf(await predict(graph, trained.test, makeStepper, { batch: 32 }), trained.test);
      const one: Net = { net, structure, sparsity, rate: nonZeros(trained.graph) / nonZeros(graph), accuracy };
      writeFileSync(file(`${nameOf(one)}.onnx`), exportOnnx(graph));
      writeFileSync(file("nets.json"), JSON.stringify([...readNets().filter((n) => nameOf(n) !== nameOf(one)), one], undefined, 1));
      process.stderr.write(`${nameOf(one)}: ${accuracy.toFixed(2)} %\n`);
    };
    if (!readNets().some((n) => n.net === net && n.structure === "dense")) await keep("dense", 0, trained.graph);
    for (const { sparsity, structures } of comparisons[net] ?? [])
      for (const structure of structures)
        if (!readNets().some((n) => nameOf(n) === nameOf({ net, structure, sparsity })))
          await keep(structure, sparsity, await pruned(net, trained, structure, sparsity, makeStepper));
  }
}

async function time(): Promise<void> {
  const target = targetToMeasure(undefined).name;
  const timed: Timed[] = [];
  for (const net of values.net.split(",")) {
    const nets = readNets().filter((n) => n.net === net);
    const ms = await latencies(await Promise.all(nets.map((n) => compile(readFileSync(file(`${nameOf(n)}.onnx`)), { targets: [target] }))), 60, 8);
    timed.push(...nets.map((n, i) => ({ ...n, ms: ms[i] as number })));
  }
  writeFileSync(file("timed.json"), JSON.stringify(timed, undefined, 1));
}

function report(): void {
  const nets = JSON.parse(readFileSync(file("timed.json"), "utf8")) as Timed[];
  const run: { readonly host: Host; readonly images: number; readonly tested: number; readonly nets: readonly Timed[] } = {
    host: thisHost(),
    images: Number(values.images),
    tested: Number(values.limit),
    nets,
  };
  record("bench/results/structures.json", run);
  const rows = nets.map((n) => {
    const same = nets.find((o) => o.net === n.net && o.sparsity === n.sparsity && o.structure === "unstructured");
    return [
      n.net,
      n.sparsity === 0 ? "" : `${100 * n.sparsity} %`,
      n.structure,
      `${n.accuracy.toFixed(2)} %`,
      `${n.rate.toFixed(2)}×`,
      n.ms.toPrecision(3),
      same && (n.ms / same.ms).toFixed(2),
    ];
  });
  const columns = ["net", "zeros", "structure", "accuracy", "rate", "ms", "of unstructured"];
  process.stdout.write(
    `${formatTable(
      columns.map((title, i) => ({ title, ...(i > 2 ? { align: "right" as const } : {}) })),
      rows,
    )}\n`,
  );
}

mkdirSync(values.work, { recursive: true });
const stages = new Set(values.stage.split(","));
if (stages.has("nets")) await makeNets();
if (stages.has("latency")) await time();
if (stages.has("report")) report();
