/**
 * Computes published results anew, from nothing.
 * `npm run reproduce -- lenet5 [--seed 1] [--json] [--threads 2] [--data DIR] [--net FILE.onnx] [--work DIR] [--output-dir DIR] [--baselines]`
 *
 * With --json one line of JSON is all that stdout gets (`npm run -s` keeps npm's own lines out). Interrupted in whatever way, the same
 * command goes on, and ends with the same weights; the folder of --work keeps its state until it is done, that of --output-dir gets the nets.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createProgress } from "../../src/cli/progress.ts";
import { exitCodeOf, formatError } from "../../src/cli/report-error.ts";
import { kernelStepper } from "../../src/cli/stepper.ts";
import { CadnnError } from "../../src/errors.ts";
import { lenet5 } from "./lenet5.ts";
import { mobilenetV2 } from "./mobilenet-v2.ts";
import { openWorkplace, type Recipe } from "./recipe.ts";
import { resnet20 } from "./resnet20.ts";

const recipes: Readonly<Record<string, Recipe>> = { lenet5, resnet20, "mobilenet-v2": mobilenetV2 };

const invalid = (message: string, at: string, hint: string) => new CadnnError("E_INVALID_OPTION", message, { at, hint });

function wholeNumber(text: string, at: string, min: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min) throw invalid(`${at} is "${text}"`, at, `Give a whole number from ${min} on.`);
  return value;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seed: { type: "string", default: "1" },
        threads: { type: "string", default: "2" },
        data: { type: "string" },
        net: { type: "string" },
        work: { type: "string" },
        "output-dir": { type: "string" },
        baselines: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    });
  } catch (cause) {
    throw invalid((cause as Error).message, "reproduce", "Options: --seed, --threads, --data, --net, --work, --output-dir, --baselines, --json.");
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const [name = ""] = positionals;
  const recipe = Object.hasOwn(recipes, name) ? recipes[name] : undefined;
  if (recipe === undefined || positionals.length !== 1) {
    const list = Object.entries(recipes).map(([key, { description }]) => `${key} (${description})`);
    throw invalid(`there is no recipe "${positionals.join(" ")}"`, "reproduce", `Recipes: ${list.join(", ")}.`);
  }
  const seed = wholeNumber(values.seed, "--seed", 0);
  const threads = wholeNumber(values.threads, "--threads", 1);
  const data = values.data ?? recipe.data;
  if (!existsSync(data) || !statSync(data).isDirectory())
    throw new CadnnError("E_FILE_NOT_FOUND", "there is no such folder", { at: data, hint: `Name the folder of ${name}'s data: --data DIR.` });
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  const workplace = openWorkplace(values.work ?? join(".reproduce", `${name}-${seed}-${threads}`));
  const progress = createProgress(process.stderr, { forced: true });
  if (workplace.spent().wall > 1) progress.note(`Going on from ${workplace.folder}.`);
  try {
    const makeStepper = await kernelStepper(threads);
    const { text, json } = await recipe.run({ seed, threads, data, net: values.net, baselines: values.baselines, makeStepper, progress, signal: controller.signal, workplace });
    progress.end();
    const { wall, cpu } = workplace.spent();
    const line = { seed, seconds: Math.round(wall), cpuSeconds: Math.round(cpu), threads, ...json };
    process.stdout.write(values.json ? `${JSON.stringify(line)}\n` : `${text}\n\nSeed ${seed}, ${Math.round(wall)} s (${Math.round(cpu)} CPU seconds), ${threads} threads.\n`);
    const folder = values["output-dir"];
    if (folder !== undefined) {
      mkdirSync(folder, { recursive: true });
      for (const file of readdirSync(workplace.folder).filter((f) => /\.(onnx|cadnn)$/.test(f))) copyFileSync(join(workplace.folder, file), join(folder, file));
    }
    workplace.clear();
  } finally {
    progress.end();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${formatError(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
