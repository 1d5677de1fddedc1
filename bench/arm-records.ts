import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { TargetName } from "../src/artifact/manifest.ts";
import { createCycleCounter } from "../src/node/arm64/index.ts";
import { enableRelaxedSimd } from "../src/node/engine.ts";
import { appendLine, openLines } from "../src/node/tuning-file.ts";
import { createCountingMeasurer, formatRecord, formatShipped, parseTuningLog, tune } from "../src/tune/index.ts";
import { zooGraph } from "../src/zoo/index.ts";
import { openCountStore } from "./arm/count-store.ts";
import { pruningOf } from "./pruning.ts";

const usage = `npm run tune:arm -- [options]

Finds choices for ARM64 by counting in emulation, for the four nets dense and pruned, and writes them into src/tune/records/arm64.ts, where the compiler finds them.
Equal sources give equal records.

  --log FILE        keeps measurements, and goes on from those that it has; they should be of these sources
  --targets LIST    default wasm-arm64-relaxed,wasm-arm64-plain
  --nets LIST       default resnet50,inception_v3,mobilenet_v2,mobilenet_v1
  --anew            counts all, also what the cache has of the same code and weights
  --out FILE        default src/tune/records/arm64.ts
  --write           only write the records of the log`;

const { values } = parseArgs({
  options: {
    log: { type: "string" },
    targets: { type: "string", default: "wasm-arm64-relaxed,wasm-arm64-plain" },
    nets: { type: "string", default: "resnet50,inception_v3,mobilenet_v2,mobilenet_v1" },
    anew: { type: "boolean", default: false },
    out: { type: "string", default: fileURLToPath(new URL("../src/tune/records/arm64.ts", import.meta.url)) },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  enableRelaxedSimd();
  const file = values.log;
  let log = parseTuningLog(file === undefined ? "" : await openLines(file));
  const counter = await createCycleCounter();
  const measurer = createCountingMeasurer(counter, values.anew ? undefined : openCountStore(counter.engine));
  for (const target of values.write ? [] : (values.targets.split(",") as TargetName[]))
    for (const pruned of [true, false])
      for (const net of values.nets.split(",")) {
        const sparsity = pruned ? pruningOf(net) : 0;
        const started = performance.now();
        const result = await tune(zooGraph(net as Parameters<typeof zooGraph>[0], { sparsity, seed: 1 }), {
          target,
          measurer,
          log,
          onRecord: (record) => (file === undefined ? undefined : appendLine(file, formatRecord(record))),
          onProgress: ({ done, total }) =>
            process.stderr.write(`\r${target} ${net} ${sparsity}: ${done} of ${total} problems, ${Math.round((performance.now() - started) / 1000)} s `),
        });
        log = result.log;
        process.stderr.write("\n");
      }
  const own = { records: log.records.filter((r) => r.engine === measurer.engine) };
  const [tried, space] = [own.records.reduce((n, r) => n + r.times.length, 0), own.records.reduce((n, r) => n + r.space, 0)];
  console.log(`${own.records.length} problems, ${tried} of ${space} choices counted (${((100 * tried) / space).toFixed(1)} %)`);
  writeFileSync(values.out, `/** Made by \`npm run tune:arm\`; see \`shipped-costs.ts\`. */\nexport const arm64Records = \`\n${formatShipped(own)}\`;\n`);
}

await main();
