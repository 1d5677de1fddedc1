/**
 * Latency budgets against one density for all layers, on ResNet-20 without training: accuracy and latency of both, with kernels tuned here, and the break-even curves of
 * this machine and of a phone's core. Stages may be run apart, the timed ones (`kernels`, `latency`) on an idle machine; what they find is kept in the work folder.
 * `npx tsx bench/budget/run.ts [--stage kernels,count,losses,nets,latency,report] [--work bench/results/budget-work] [--data ../shared/data] [--images 512] [--core a76] [--seconds 60]`
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { TargetName } from "../../src/artifact/manifest.ts";
import { kernelStepper } from "../../src/cli/stepper.ts";
import { formatTable } from "../../src/cli/table.ts";
import { compile } from "../../src/compile/index.ts";
import { type BudgetTables, chooseDensities } from "../../src/compress/budget/budget.ts";
import { type LatencyCurves, latencyCurves } from "../../src/compress/budget/latency.ts";
import { defaultDensities, freeLayers } from "../../src/compress/budget/options.ts";
import { sensitivities } from "../../src/compress/budget/sensitivity.ts";
import { compressPostTraining, makePlan, type PostTrainingOptions, weightLayers } from "../../src/compress/index.ts";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import { createCycleCounter } from "../../src/node/arm64/cycle-counter.ts";
import type { Core } from "../../src/node/arm64/estimate.ts";
import { accuracyOf, predict } from "../../src/train/evaluate.ts";
import { prepareNet } from "../../src/train/weights.ts";
import { createCountingMeasurer, createWasmMeasurer, formatRecord, type Measurer, parseTuningLog, type TuningLog } from "../../src/tune/index.ts";
import { lineChart } from "../chart.ts";
import { type Host, record, targetToMeasure, thisHost } from "../host.ts";
import { latencies } from "../latency.ts";
import { resnet20, type TrainedNet } from "../trained-net.ts";

interface Net {
  readonly name: string;
  readonly budget: "dense" | "uniform" | "global" | "sensitivity" | "latency";
  readonly accuracy: number;
  readonly rate: number;
  readonly densities: Readonly<Record<string, number>>;
}

interface Run {
  readonly host: Host;
  readonly net: string;
  readonly images: number;
  readonly tested: number;
  readonly nets: readonly (Net & { readonly ms: number })[];
  readonly curves: readonly {
    readonly engine: string;
    readonly unit: string;
    readonly layers: readonly { readonly name: string; readonly density: readonly number[]; readonly latency: readonly number[] }[];
  }[];
}

const cases: readonly { readonly name: string; readonly budget: Exclude<Net["budget"], "dense">; readonly value: number }[] = [
  ...[0.7, 0.8].map((value) => ({ name: `uniform, ${Math.round(value * 100)} % zeros`, budget: "uniform" as const, value })),
  ...[0.65, 0.6, 0.55, 0.5].map((value) => ({ name: `latency, ${Math.round(value * 100)} % of dense`, budget: "latency" as const, value })),
  { name: "global, 80 % zeros", budget: "global", value: 0.8 },
  { name: "sensitivity, 80 % zeros", budget: "sensitivity", value: 0.8 },
];
const plan = makePlan({ rate: 1 });
const tested = 10_000;

const { values } = parseArgs({
  options: {
    stage: { type: "string", default: "kernels,count,losses,nets,latency,report" },
    work: { type: "string", default: "bench/results/budget-work" },
    data: { type: "string", default: "../shared/data" },
    images: { type: "string", default: "512" },
    core: { type: "string", default: "a76" },
    seconds: { type: "string", default: "Infinity" },
    case: { type: "string" },
  },
});
const images = Number(values.images);
const file = (name: string) => join(values.work, name);
const read = <T>(name: string): T => JSON.parse(readFileSync(file(name), "utf8")) as T;
const write = (name: string, value: unknown) => writeFileSync(file(name), JSON.stringify(value, undefined, 1));
const logOf = (name: string): TuningLog => parseTuningLog(existsSync(file(name)) ? readFileSync(file(name), "utf8") : "");
const curvesFile = (name: string) => `${name}-curves.json`;

async function measureCurves(net: TrainedNet, name: string, target: TargetName, measurer: Measurer): Promise<void> {
  const controller = new AbortController();
  const deadline = performance.now() + 1000 * Number(values.seconds);
  const graph = prepareNet(net.graph);
  const { curves } = await latencyCurves(graph, plan, freeLayers(graph, plan, defaultDensities), {
    ...{ target, measurer, log: logOf(`${name}.jsonl`), signal: controller.signal },
    onRecord: (r) => {
      appendFileSync(file(`${name}.jsonl`), formatRecord(r));
      if (performance.now() > deadline) controller.abort();
    },
  });
  write(curvesFile(name), { ...curves, layers: [...curves.layers] });
}

function readCurves(name: string): LatencyCurves {
  const stored = read<Omit<LatencyCurves, "layers"> & { readonly layers: [string, number[]][] }>(curvesFile(name));
  return { ...stored, layers: new Map(stored.layers) };
}

function tablesOf(net: TrainedNet): BudgetTables {
  const graph = prepareNet(net.graph);
  const total = weightLayers(graph).reduce((sum, l) => sum + l.count, 0);
  return { plan, total, free: freeLayers(graph, plan, defaultDensities), losses: new Map(read<[string, number[]][]>("losses.json")), curves: readCurves("here") };
}

function optionsOf(net: TrainedNet, { budget, value }: (typeof cases)[number]): PostTrainingOptions {
  if (budget === "uniform" || budget === "global") return { sparsity: value, scope: budget === "uniform" ? "layer" : "global" };
  const goal = budget === "latency" ? ({ kind: "latency", share: value } as const) : ({ kind: "rate", rate: 1 / (1 - value) } as const);
  const { layers, rate } = chooseDensities(tablesOf(net), goal);
  return { layers, rate };
}

async function makeNets(net: TrainedNet): Promise<void> {
  const makeStepper = await kernelStepper(1);
  const nets = new Map((existsSync(file("nets.json")) ? read<Net[]>("nets.json") : []).map((n) => [n.name, n]));
  const keep = async (name: string, budget: Net["budget"], graph: TrainedNet["graph"]) => {
    const layers = weightLayers(graph).map((l) => ({ ...l, kept: (l.value.data as Float32Array).reduce((n, v) => n + Number(v !== 0), 0) }));
    const accuracy = accuracyOf(await predict(graph, net.test, makeStepper, { batch: 32 }), net.test);
    const [all, kept] = [layers.reduce((n, l) => n + l.count, 0), layers.reduce((n, l) => n + l.kept, 0)];
    nets.set(name, { name, budget, accuracy, rate: all / kept, densities: Object.fromEntries(layers.map((l) => [l.name, l.kept / l.count])) });
    writeFileSync(file(`${fileName(name)}.onnx`), exportOnnx(graph));
    write("nets.json", [...nets.values()]);
    process.stderr.write(`${name}: ${accuracy.toFixed(2)} %\n`);
  };
  if (!nets.has("dense")) await keep("dense", "dense", net.graph);
  for (const one of cases) {
    if (nets.has(one.name) || (values.case !== undefined && !one.name.includes(values.case))) continue;
    const { graph } = await compressPostTraining(net.graph, { batch: 32, ...optionsOf(net, one) }, net.fit, { makeStepper });
    await keep(one.name, one.budget, graph);
  }
}

const fileName = (name: string) => name.replace(/\W+/g, "-");

async function main(): Promise<void> {
  mkdirSync(values.work, { recursive: true });
  const target = targetToMeasure(undefined).name;
  const net = await resnet20(values.data, images, tested);
  const stages = new Set(values.stage.split(","));
  if (stages.has("kernels")) await measureCurves(net, "here", target, createWasmMeasurer({ warmupMs: 0 }));
  if (stages.has("count")) await measureCurves(net, values.core, "wasm-arm64-relaxed", createCountingMeasurer(await createCycleCounter([values.core as Core])));
  if (stages.has("losses")) {
    const graph = prepareNet(net.graph);
    const options = { makeStepper: await kernelStepper(1), method: "admm", batch: 32, seed: 1 } as const;
    write("losses.json", [...(await sensitivities(graph, plan, freeLayers(graph, plan, defaultDensities), net.fit, options))]);
  }
  if (stages.has("nets")) await makeNets(net);
  if (stages.has("latency")) {
    const nets = read<Net[]>("nets.json");
    const tuning = logOf("here.jsonl");
    const ms = await latencies(await Promise.all(nets.map((n) => compile(readFileSync(file(`${fileName(n.name)}.onnx`)), { targets: [target], tuning }))));
    write(
      "timed.json",
      nets.map((n, i) => ({ ...n, ms: ms[i] as number })),
    );
  }
  if (stages.has("report")) report(net);
}

function report(net: TrainedNet): void {
  const nets = read<Run["nets"]>("timed.json");
  const free = freeLayers(prepareNet(net.graph), plan, defaultDensities);
  const curves = ["here", values.core]
    .filter((name) => existsSync(file(curvesFile(name))))
    .map((name) => {
      const { engine, unit, layers } = readCurves(name);
      return { engine, unit, layers: free.map(({ layer, counts }) => ({ name: layer.name, density: counts.map((c) => c / layer.count), latency: layers.get(layer.name) ?? [] })) };
    });
  record("bench/results/budget.json", { host: thisHost(), net: "resnet20", images, tested: net.test.count, nets, curves } satisfies Run);
  writeFileSync("bench/results/break-even.svg", chartOf(curves));
  const dense = nets.find((n) => n.budget === "dense")?.ms ?? 1;
  process.stdout.write(
    `${formatTable(
      [{ title: "budget" }, ...["accuracy", "rate", "ms", "of dense"].map((title) => ({ title, align: "right" as const }))],
      nets.map((n) => [n.name, `${n.accuracy.toFixed(2)} %`, `${n.rate.toFixed(2)}×`, n.ms.toFixed(3), (n.ms / dense).toFixed(2)]),
    )}\n`,
  );
}

/** One panel a machine; of layers with the same curve the first. */
function chartOf(curves: Run["curves"]): string {
  return lineChart({
    title: "Break-even curves of ResNet-20's layers",
    x: "density of the weights",
    y: "latency of the layer, its dense kernel's being 1",
    panels: curves.map(({ engine, layers }) => {
      const lines = new Map<string, { name: string; points: { x: number; y: number }[] }>();
      for (const { name, density, latency } of layers) {
        const key = latency.map((v) => v.toPrecision(3)).join();
        if (!name.startsWith("linear") && !lines.has(key))
          lines.set(key, { name: name.replace(".weight", ""), points: density.map((x, i) => ({ x, y: (latency[i] as number) / (latency[0] as number) })) });
      }
      return { name: engine, lines: [...lines.values()] };
    }),
  });
}

await main();
