import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { createProgress } from "../../src/cli/progress.ts";
import { kernelStepper } from "../../src/cli/stepper.ts";
import { type Host, readRuns, record, thisHost } from "../host.ts";
import { subjects } from "./cases.ts";
import { type MeasureOptions, measureCase, planOf, prepareSubject, type Result } from "./measure.ts";
import { failures, resultMarkdown, resultTable } from "./report.ts";

const usage = `npm run bench:compression -- [options]

Compresses trained nets without training and measures them, compiled, on images that they were not fitted to, each beside simpler ways to the same
size. Each case takes the place of its earlier result in the JSON as soon as it is measured.

  --net NAME        only this net (${subjects.map((s) => s.name).join(", ")})
  --case NAME       only this case, for instance "70 % zeros"
  --missing         only cases that the JSON has no result of with this seed and plan: goes on with an interrupted run
  --seed N          default 1
  --data DIR        default ../shared/data
  --limit N         test images, at most
  --threads N       default 1
  --no-baselines    leaves the simpler ways out
  --print           measures nothing; prints what the JSON holds, as a table of Markdown
  --out FILE        the JSON to update; default bench/results/compression.json`;

/** A result, and where and when it came about. */
type Run = Result & { readonly host: Host; readonly threads: number };

const { values } = parseArgs({
  allowNegative: true,
  options: {
    net: { type: "string" },
    case: { type: "string" },
    missing: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    data: { type: "string", default: "../shared/data" },
    limit: { type: "string", default: "Infinity" },
    threads: { type: "string", default: "1" },
    baselines: { type: "boolean", default: true },
    print: { type: "boolean", default: false },
    out: { type: "string", default: "bench/results/compression.json" },
    help: { type: "boolean", default: false },
  },
});

const keyOf = ({ net, case: name, seed }: Pick<Result, "net" | "case" | "seed">) => `${net} ${name} ${seed}`;

/** In the order of nets and cases, not in that in which they were measured. */
function sorted(runs: readonly Run[]): Run[] {
  const order = subjects.flatMap((s) => s.cases.map((c) => `${s.name} ${c.name}`));
  const place = (r: Run) => order.indexOf(`${r.net} ${r.case}`);
  return [...runs].sort((a, b) => place(a) - place(b) || a.seed - b.seed);
}

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(`${usage}\n`);
  if (values.print) return void process.stdout.write(`${resultMarkdown(sorted(readRuns<Run>(values.out)))}\n`);
  if (!existsSync(values.data)) throw new Error(`there is no folder ${values.data}; name the data by --data`);
  const [seed, threads] = [Number(values.seed), Number(values.threads)];
  const known = new Map(readRuns<Run>(values.out).map((run) => [keyOf(run), JSON.stringify(run.plan)]));
  const wanted = subjects
    .filter((s) => values.net === undefined || s.name === values.net)
    .map((subject) => ({
      subject,
      cases: subject.cases.filter(
        (c) =>
          (values.case === undefined || c.name === values.case) && (!values.missing || known.get(keyOf({ net: subject.name, case: c.name, seed })) !== JSON.stringify(planOf(c))),
      ),
    }));
  const total = wanted.reduce((sum, { cases }) => sum + cases.length, 0);
  const progress = createProgress(process.stderr, { forced: true });
  const makeStepper = await kernelStepper(threads);
  const host = thisHost();
  const results: Result[] = [];
  for (const { subject, cases } of wanted) {
    if (cases.length === 0) continue;
    let name = "";
    const options: MeasureOptions = {
      ...{ makeStepper, data: values.data, limit: Number(values.limit), seed, baselines: values.baselines ? (["simple", "fitted"] as const) : [] },
      observer: ({ layer, done, total: layers }) => progress.update(results.length + done / layers, total, `${subject.name}, ${name}: ${layer}`),
    };
    const prepared = await prepareSubject(subject, options);
    for (const one of cases) {
      name = one.name;
      const result = await measureCase(prepared, one, options);
      results.push(result);
      record<Run>(values.out, { ...result, host, threads }, keyOf);
      progress.note(JSON.stringify(result));
    }
  }
  progress.end();
  process.stdout.write(`${resultTable(results)}\n`);
  const failed = failures(results);
  if (failed.length === 0) return;
  process.stderr.write(`${failed.join("\n")}\n`);
  process.exitCode = 1;
}

await main();
