import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatDuration } from "../../src/cli/format.ts";
import { compile } from "../../src/compile/index.ts";
import { cacheFolder } from "../../src/node/arm64/index.ts";
import { barChart } from "../chart.ts";
import { thisHost } from "../host.ts";
import { barsOf, isMet } from "./bars.ts";
import { contenderNames, rowOf } from "./contenders.ts";
import { largestError } from "./limits.ts";
import { type Counted, estimatorHash, type Measurement, openCache, openInputs, type Task, taskOf, weigh } from "./measure.ts";
import { help, type Options, parseOptions, usualNets } from "./options.ts";
import { type ArmRun, barTableOf, chartOf, isLossy, tableOf } from "./report.ts";

const usualFile = fileURLToPath(new URL("../results/arm.json", import.meta.url));
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const nameOf = ({ net, variant, contender }: Pick<Task, "net" | "variant" | "contender">): string => `${net}, ${contender} (${variant})`;

/** All that is to be measured, cadnn's first. */
async function tasksOf({ nets, variants, contenders }: Options, inputs: Parameters<typeof taskOf>[3]): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const contender of contenders)
    for (const net of nets.filter((n) => rowOf(contender).nets?.includes(n) !== false))
      for (const variant of variants.filter((v) => rowOf(contender).variants.includes(v))) {
        const task = await taskOf(net, variant, contender, inputs);
        if (task === undefined) progress(`${nameOf({ net, variant, contender })} is left out: there is no ${rowOf(contender).form} file`);
        else tasks.push(task);
      }
  return tasks;
}

/** Does what the cache has not, `jobs` at once, and tells after each how long the rest will take if it goes on like that. What fails is left out. */
async function measureAll(tasks: readonly Task[], jobs: number, folder: string): Promise<Measurement[]> {
  const counts = openCache<Counted>(join(folder, "counts"));
  const cache = openCache<Measurement>(join(folder, estimatorHash()));
  const left = tasks.filter(({ key }) => cache.get(key) === undefined);
  progress(`${tasks.length - left.length} of ${tasks.length} are there already`);
  const start = performance.now();
  let done = 0;
  const queue = [...left];
  const work = async (): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const began = performance.now();
      try {
        const counted = counts.get(task.key) ?? (await task.count());
        counts.set(task.key, counted);
        const measurement = await weigh(task, counted);
        cache.set(task.key, measurement);
        done++;
        const seconds = (performance.now() - start) / 1000;
        const rest = formatDuration((seconds / done) * (left.length - done));
        progress(`${nameOf(task)}: ${(measurement.instructions / 1e6).toFixed(1)} million instructions, in ${formatDuration((performance.now() - began) / 1000)}; ${rest} left`);
      } catch (error) {
        progress(`${nameOf(task)} is left out: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return tasks.map(({ key }) => cache.get(key)).filter((m) => m !== undefined);
}

function write(file: string, run: ArmRun): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(run, null, 1)}\n`);
  writeFileSync(file.replace(/(\.json)?$/, ".svg"), barChart(chartOf(run.measurements)));
}

async function nets(options: Options): Promise<number> {
  const tuning = options.tuning === undefined ? undefined : readFileSync(options.tuning, "utf8");
  const inputs = openInputs(options.models, (onnx, switches) =>
    compile(onnx, { targets: ["wasm-arm64-relaxed", "wasm-arm64-plain"], ...(tuning !== undefined && { tuning }), optimize: switches }),
  );
  try {
    const measured = await measureAll(await tasksOf(options, inputs), options.jobs, options.cache ?? join(cacheFolder(), "bench"));
    const order = (m: Measurement) => contenderNames.indexOf(m.contender);
    const measurements = options.nets.flatMap((net) => measured.filter((m) => m.net === net).sort((a, b) => a.variant.localeCompare(b.variant) || order(a) - order(b)));
    const run: ArmRun = { host: { ...thisHost(), engine: "Node 26 and JavaScriptCore for arm64, emulated" }, measurements, bars: barsOf(measurements) };
    const all = usualNets.every((net) => options.nets.includes(net)) && options.contenders.length === contenderNames.length && options.variants.length === 2;
    const file = options.out ?? (all && options.models !== undefined ? usualFile : undefined);
    if (file !== undefined) write(file, run);
    if (options.json) process.stdout.write(`${JSON.stringify(run, null, 1)}\n`);
    else process.stdout.write(`${tableOf(measurements)}\n\nMillions; in brackets what the execution units alone take.\n\n${barTableOf(run.bars)}\n`);
    for (const m of measurements.filter(({ settled = 1 }) => Math.abs(settled - 1) > 0.01))
      progress(`${nameOf(m)}: its engine may not have made all its code yet: the run before took ${m.settled?.toFixed(2)} times as many instructions`);
    const wrong = measurements.filter((m) => !isLossy(m) && m.error > largestError);
    for (const m of wrong) progress(`${nameOf(m)}: off by ${m.error.toExponential(1)} of the range`);
    const missed = run.bars.filter((bar) => isMet(bar) === false).length;
    progress(`${run.bars.filter((bar) => isMet(bar)).length} bars of ${run.bars.length} met, ${missed} missed`);
    return wrong.length > 0 ? 1 : 0;
  } finally {
    inputs.close();
  }
}

const [first, ...rest] = process.argv.slice(2);
if (first === "kernels") process.exitCode = await (await import("./kernels.ts")).measureKernels(rest);
else {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(help);
  else process.exitCode = await nets(options);
}
