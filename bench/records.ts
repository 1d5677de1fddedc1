import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { TargetName } from "../src/artifact/manifest.ts";
import { createCycleCounter } from "../src/node/arm64/index.ts";
import { compileOptimizedOnly, enableRelaxedSimd } from "../src/node/engine.ts";
import { appendLine, openLines } from "../src/node/tuning-file.ts";
import { detectFeatures, targetsFor } from "../src/runtime/features.ts";
import {
  createCountingMeasurer,
  createWasmMeasurer,
  formatRecord,
  formatShipped,
  type Measurer,
  parseTuningLog,
  type TuningLog,
  type TuningRecord,
  tune,
} from "../src/tune/index.ts";
import { zooGraph } from "../src/zoo/index.ts";
import { openCountStore } from "./arm/count-store.ts";
import { pruningOf } from "./pruning.ts";

const usage = `npm run tune:arm -- [options]
npm run tune:x64 -- [options]

Finds choices for the four nets dense and pruned and writes them into src/tune/records, where the compiler finds them. For ARM64 cycles are counted in
emulation, and equal sources give equal records. For x64 kernels are timed, alone and in the nets, on the engine that runs this and its best target; nothing else should run.

  --log FILE        keeps measurements, and goes on from those that it has; they should be of these sources
  --targets LIST    ARM64: default wasm-arm64-relaxed,wasm-arm64-plain
  --nets LIST       default resnet50,inception_v3,mobilenet_v2,mobilenet_v1
  --anew            ARM64: counts all, also what the cache has of the same code and weights
  --out FILE        default src/tune/records/arm64.ts or x64.ts
  --write           only write the records of the log`;

const { values, positionals } = parseArgs({
  options: {
    log: { type: "string" },
    targets: { type: "string", default: "wasm-arm64-relaxed,wasm-arm64-plain" },
    nets: { type: "string", default: "resnet50,inception_v3,mobilenet_v2,mobilenet_v1" },
    anew: { type: "boolean", default: false },
    out: { type: "string" },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

const openLog = async (): Promise<TuningLog> => parseTuningLog(values.log === undefined ? "" : await openLines(values.log));

/** Tunes all nets; new records go to the log file at once. */
async function measureNets(target: TargetName, measurer: Measurer, start: TuningLog): Promise<TuningLog> {
  let log = start;
  for (const pruned of [true, false])
    for (const net of values.nets.split(",")) {
      const sparsity = pruned ? pruningOf(net) : 0;
      const started = performance.now();
      const result = await tune(zooGraph(net as Parameters<typeof zooGraph>[0], { sparsity, seed: 1 }), {
        target,
        measurer,
        log,
        onRecord: (record) => (values.log === undefined ? undefined : appendLine(values.log, formatRecord(record))),
        onProgress: ({ stage, done, total }) =>
          process.stderr.write(`\r${target} ${net} ${sparsity}: ${stage}, ${done} of ${total}, ${Math.round((performance.now() - started) / 1000)} s `),
      });
      log = result.log;
      process.stderr.write("\n");
    }
  return log;
}

async function countArm64(): Promise<readonly TuningRecord[]> {
  const counter = await createCycleCounter();
  const measurer = createCountingMeasurer(counter, values.anew ? undefined : openCountStore(counter.engine));
  let log = await openLog();
  for (const target of values.write ? [] : (values.targets.split(",") as TargetName[])) log = await measureNets(target, measurer, log);
  return log.records.filter((r) => r.engine === measurer.engine);
}

async function timeX64(): Promise<readonly TuningRecord[]> {
  compileOptimizedOnly();
  const measurer = createWasmMeasurer({ warmupMs: 0 });
  const target = targetsFor(detectFeatures())[0] as TargetName;
  const log = await openLog();
  const { records } = values.write ? log : await measureNets(target, measurer, log);
  // What was measured alone only is of plans that are not taken.
  return records.filter((r) => r.inNet === true || r.space === 1);
}

async function main(): Promise<void> {
  const machine = positionals[0];
  if (values.help || (machine !== "arm64" && machine !== "x64")) return console.log(usage);
  enableRelaxedSimd();
  const records = machine === "arm64" ? await countArm64() : await timeX64();
  const [tried, space] = [records.reduce((n, r) => n + r.times.length, 0), records.reduce((n, r) => n + r.space, 0)];
  console.log(`${records.length} problems, ${tried} of ${space} choices measured (${((100 * tried) / space).toFixed(1)} %)`);
  const command = machine === "arm64" ? "tune:arm" : "tune:x64";
  const out = values.out ?? fileURLToPath(new URL(`../src/tune/records/${machine}.ts`, import.meta.url));
  writeFileSync(out, `/** Made by \`npm run ${command}\`; see \`shipped-costs.ts\`. */\nexport const ${machine}Records = \`\n${formatShipped({ records })}\`;\n`);
}

await main();
