import { CadnnError } from "../../errors.ts";
import { type Interval, runProgram } from "./emulate.ts";
import { findToolchain } from "./toolchain.ts";
import { type Trace, tracesOf } from "./traces.ts";

/** Processors of phones, and whose of LLVM's models stands for each. A73 borrows A57's there. */
export const coreModels = { a55: "cortex-a55", a73: "cortex-a73", a76: "neoverse-n1", a710: "cortex-a710", x1: "neoverse-v1" } as const;
export type Core = keyof typeof coreModels;
export const coreNames = Object.keys(coreModels) as readonly Core[];
export type PerCore = Readonly<Record<Core, number>>;

export interface WeighedTrace extends Trace {
  /** Machine code, a line an instruction. */
  readonly code: readonly string[];
  /** Of one run. */
  readonly cycles: PerCore;
}

export interface Estimate {
  readonly instructions: number;
  /** With all waiting within a trace: too much where a trace was cut. */
  readonly cycles: PerCore;
  /** What the execution units alone take, as if nothing ever waited. */
  readonly bound: PerCore;
  readonly traces: readonly WeighedTrace[];
}

interface Weight {
  /** Cycles of a repetition in the steady state, and of a single run. */
  readonly steady: number;
  readonly once: number;
  readonly bound: number;
}

/**
 * By the length of a trace: repetitions after which a processor's queues are full, and those by whose difference the steady state is told. Short traces need many to fill
 * them, and little time.
 */
const repetitions = [
  { instructions: 64, begin: 0, end: 100 },
  { instructions: 200, begin: 8, end: 24 },
  { instructions: Number.POSITIVE_INFINITY, begin: 3, end: 9 },
] as const;

/**
 * Cycles that intervals take on phones' processors, by LLVM's machine models: hot code is joined into traces, loops count as in their steady state. Caches,
 * memory, wrong predictions of branches, clocks and other threads are not modelled.
 */
export async function estimate(intervals: readonly Interval[], cores: readonly Core[] = coreNames): Promise<Estimate[]> {
  const traces = intervals.map(({ blocks }) => tracesOf(blocks));
  const texts = await disassemble(traces.flat().flatMap((t) => t.words));
  const codes = new Map(traces.flat().map((trace) => [trace, trace.words.map((word) => texts.get(word) as string)]));
  const forms = new Map([...codes].map(([trace, code]) => [trace, normalForm(code)]));
  const weights = new Map<Core, ReadonlyMap<string, Weight>>();
  for (const core of cores) weights.set(core, await weigh(new Set(forms.values()), core));
  const perCore = (value: (core: Core) => number): PerCore => Object.fromEntries(cores.map((core) => [core, value(core)])) as Record<Core, number>;
  return intervals.map(({ instructions }, i) => {
    const own = traces[i] as Trace[];
    const weightOf = (trace: Trace, core: Core) => weights.get(core)?.get(forms.get(trace) as string) as Weight;
    const cyclesOf = (trace: Trace, core: Core) => {
      const { steady, once } = weightOf(trace, core);
      return trace.loop ? steady : Math.min(steady, once);
    };
    return {
      instructions,
      cycles: perCore((core) => own.reduce((sum, t) => sum + t.runs * cyclesOf(t, core), 0)),
      bound: perCore((core) => own.reduce((sum, t) => sum + t.runs * weightOf(t, core).bound, 0)),
      traces: own.map((trace) => ({ ...trace, code: codes.get(trace) as string[], cycles: perCore((core) => cyclesOf(trace, core)) })),
    };
  });
}

const disassembled = new Map<number, string>();

async function disassemble(words: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const fresh = [...new Set(words)].filter((word) => !disassembled.has(word));
  if (fresh.length === 0) return disassembled;
  const { llvmMc } = await findToolchain();
  const bytes = (word: number) => [0, 8, 16, 24].map((shift) => `0x${((word >>> shift) & 255).toString(16)}`).join(" ");
  const { stdout } = await runProgram(llvmMc, ["-disassemble", "-triple=aarch64", "-mattr=+all"], { input: fresh.map(bytes).join("\n") });
  const lines = stdout.split("\n").filter((line) => /^\t[^.]/.test(line));
  if (lines.length !== fresh.length)
    throw new CadnnError("E_INTERNAL", `${llvmMc} read ${lines.length} of ${fresh.length} instructions`, { hint: "Something that is no code was counted." });
  fresh.forEach((word, i) => disassembled.set(word, (lines[i] as string).trim()));
  return disassembled;
}

/** Offsets, distances and small summands do not change an instruction's time; with them made equal, like code is weighed once. */
function normalForm(code: readonly string[]): string {
  return code
    .map((line) => {
      if (/^(?:b|bl|cbn?z|tbn?z|b\.)/.test(line)) return line.replace(/#-?\d+$/, "#16");
      if (line.includes("[")) return line.replace(/, #-?\d+\](?!!)/, ", #16]");
      return line.replace(/^((?:adds?|subs?)\t\w+, \w+|cmp\t\w+), #\d+$/, "$1, #16");
    })
    .join("\n");
}

const weighed = new Map<string, Weight>();

async function weigh(forms: ReadonlySet<string>, core: Core): Promise<ReadonlyMap<string, Weight>> {
  const key = (form: string) => `${core}\n${form}`;
  const fresh = [...forms].filter((form) => !weighed.has(key(form)));
  const lengthOf = (form: string) => form.split("\n").length;
  let left: readonly string[] = fresh;
  for (const { instructions, begin, end } of repetitions) {
    const some = left.filter((form) => lengthOf(form) < instructions);
    left = left.filter((form) => !some.includes(form));
    const [once, begun, ended] = [await simulate(some, core, 1), await simulate(some, core, begin), await simulate(some, core, end)];
    some.forEach((form, i) => {
      const { TotalCycles, BlockRThroughput } = once[i] as Summary;
      const cycles = (ended[i] as Summary).TotalCycles - (begun[i] as Summary).TotalCycles;
      weighed.set(key(form), { steady: cycles / (end - begin), once: TotalCycles, bound: BlockRThroughput });
    });
  }
  return new Map([...forms].map((form) => [form, weighed.get(key(form)) as Weight]));
}

interface Summary {
  readonly TotalCycles: number;
  readonly BlockRThroughput: number;
}

/** Not in all versions, which then stop at instructions without a model. */
let skipsUnsupported: Promise<boolean> | undefined;

async function simulate(forms: readonly string[], core: Core, iterations: number): Promise<Summary[]> {
  if (forms.length === 0 || iterations === 0) return forms.map(() => ({ TotalCycles: 0, BlockRThroughput: 0 }));
  const { llvmMca } = await findToolchain();
  skipsUnsupported ??= runProgram(llvmMca, ["--help"]).then(({ stdout }) => stdout.includes("skip-unsupported-instructions"));
  const input = forms.map((form, i) => `# LLVM-MCA-BEGIN ${i}\n${form}\n# LLVM-MCA-END ${i}\n`).join("");
  const flags = ["-mtriple=aarch64", `-mcpu=${coreModels[core]}`, "-mattr=+all", `-iterations=${iterations}`, "-instruction-info=false", "-resource-pressure=false", "-json"];
  const { stdout } = await runProgram(llvmMca, [...flags, ...((await skipsUnsupported) ? ["-skip-unsupported-instructions=any"] : [])], { input });
  const { CodeRegions: regions } = JSON.parse(stdout) as { readonly CodeRegions: readonly { readonly Name: string; readonly SummaryView: Summary }[] };
  const summaries: Summary[] = [];
  for (const { Name, SummaryView } of regions) summaries[Number(Name)] = SummaryView;
  // A trace of nothing but instructions that are skipped has no region.
  return forms.map((_, i) => summaries[i] ?? { TotalCycles: 0, BlockRThroughput: 0 });
}
