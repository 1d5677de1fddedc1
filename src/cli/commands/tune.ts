import type { TargetName } from "../../artifact/manifest.ts";
import { CadnnError } from "../../errors.ts";
import { type Core, coreNames } from "../../node/arm64/estimate.ts";
import { compileOptimizedOnly, enableRelaxedSimd } from "../../node/engine.ts";
import { appendLine, defaultTuningFile, openLines } from "../../node/tuning-file.ts";
import { detectFeatures, targetsFor } from "../../runtime/features.ts";
import type { Measurer, TuningRecord } from "../../tune/index.ts";
import { type Command, sharedArgs } from "../command.ts";
import { formatDuration, formatPercent, round } from "../format.ts";
import { readGraph, readTarget } from "../model.ts";
import { type Options, parseInputShapes, usage } from "../options.ts";
import { formatPairs } from "../table.ts";

export const command: Command = {
  name: "tune",
  description: "Measure here how fast a net's kernels are with other tiles and layouts; `compile --tuning` uses the times.",
  args: {
    model: { type: "positional", description: "ONNX file" },
    target: { ...sharedArgs.target, description: "Target to measure, in place of the best one of this engine; ARM64's are counted in emulation elsewhere" },
    core: { type: "string", description: `Count cycles of this core in emulation: ${coreNames.join(", ")}; default several cores' mean`, valueHint: "NAME" },
    log: { type: "string", description: "File of measurements to add to; default $XDG_CACHE_HOME/cadnn/tuning.jsonl", valueHint: "FILE.jsonl" },
    budget: { type: "string", description: "Stop after so many seconds; another call goes on from there", valueHint: "SECONDS" },
    "input-shape": sharedArgs["input-shape"],
  },
  examples: [
    "cadnn tune r50.onnx",
    "cadnn tune r50.onnx --log r50.jsonl --budget 30 && cadnn compile r50.onnx -o r50.cadnn --tuning r50.jsonl",
    "cadnn tune r50.onnx --target wasm-arm64-relaxed --core a76 --log a76.jsonl",
  ],
  async run(options, { progress, signal, interruptible }) {
    const path = options.required("model");
    const file = options.text("log") ?? defaultTuningFile();
    const budgetSeconds = options.number("budget", { min: 0 }) ?? Number.POSITIVE_INFINITY;
    enableRelaxedSimd();
    compileOptimizedOnly();
    const { target, measurer } = await openMeasurer(options, signal);
    const graph = await readGraph(path, { inputShapes: parseInputShapes(options.all("input-shape")) });
    const { formatRecord, parseTuningLog, tune } = await import("../../tune/index.ts");
    const log = parseLog(parseTuningLog, await openLines(file), file);
    interruptible();
    const started = performance.now();
    const { measured, proved, complete } = await tune(graph, {
      target,
      measurer,
      log,
      budgetSeconds,
      signal,
      onProgress: ({ stage, done, total }) => progress.update(done, total, stage === "alone" ? "problems" : "turns in the net"),
      onRecord: (record) => appendLine(file, formatRecord(record)),
    });
    const seconds = (performance.now() - started) / 1000;
    if (signal.aborted) {
      const hint = `${file} has what was measured; the same command goes on from there.`;
      throw new CadnnError("E_INTERRUPTED", `tuning was interrupted after ${measured.length} problems`, { at: path, hint });
    }
    const { tried, space } = countTimes(measured);
    const text = formatPairs([
      ["measured", `${measured.length} problems in ${formatDuration(seconds)}${complete ? "" : ", not all yet: call it again to go on"}`],
      ["choices", measured.length === 0 ? "none, all are known" : `${tried} of ${space} (${formatPercent(tried / space)})`],
      ["in the net", proved.length === 0 ? "nothing new" : `${proved.length} problems' best choices in turns`],
      ["target", target],
      ["engine", measurer.engine],
      ["log", file],
    ]);
    return { text, json: { file, target, engine: measurer.engine, problems: measured.length, tried, space, inNet: proved.length, complete, seconds: round(seconds) } };
  },
};

/** Clocks what this engine runs; what it does not, or what is asked for a core, is counted in emulation. */
export async function openMeasurer(options: Options, signal: AbortSignal): Promise<{ readonly target: TargetName; readonly measurer: Measurer }> {
  const named = options.text("target");
  const core = options.text("core");
  if (core !== undefined && !isCore(core)) throw usage(`there is no core "${core}"`, "--core", `Cores are: ${coreNames.join(", ")}.`);
  const runnable = targetsFor(detectFeatures());
  const target = named === undefined ? (core === undefined ? runnable[0] : "wasm-arm64-relaxed") : readTarget(named);
  const { createCountingMeasurer, createWasmMeasurer } = await import("../../tune/index.ts");
  if (target !== undefined && core === undefined && runnable.includes(target)) return { target, measurer: createWasmMeasurer({ warmupMs: 0 }) };
  if (target === undefined || !target.startsWith("wasm-arm64")) throw usage("this engine does not run that target", "--target", `It runs: ${runnable.join(", ")}.`);
  const { commonCores, createCycleCounter } = await import("../../node/arm64/cycle-counter.ts");
  return { target, measurer: createCountingMeasurer(await createCycleCounter(core === undefined ? commonCores : [core], signal)) };
}

const isCore = (name: string): name is Core => coreNames.some((core) => core === name);

/** Errors name the file. */
export function parseLog<T>(parse: (text: string) => T, text: string, file: string): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof CadnnError) throw new CadnnError(error.code, error.message, { at: `${file}: ${error.at}`, hint: error.hint, cause: error });
    throw error;
  }
}

function countTimes(records: readonly TuningRecord[]): { readonly tried: number; readonly space: number } {
  return { tried: records.reduce((n, r) => n + r.times.length, 0), space: records.reduce((n, r) => n + r.space, 0) };
}
