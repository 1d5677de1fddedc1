import type { Target } from "../codegen/target.ts";
import { CadnnError } from "../errors.ts";
import { generate } from "../generate/index.ts";
import { pack } from "../generate/pack.ts";
import type { Graph } from "../ir/graph.ts";
import { type Costs, canonicalText } from "../kernels/costs.ts";
import { lower } from "../lower/index.ts";
import { forced, type Task, taskKey } from "./candidates.ts";
import type { Timing, TuningRecord } from "./log.ts";
import type { Measurer } from "./measurer.ts";

/** Ways to compile a net that take turns, at most, and what their memories may take together. */
const most = { variants: 12, bytes: 2 ** 30 } as const;

/** How much longer than the fastest choice one may take alone, to be tried in the net. */
const near = 1.4;

export interface InNetOptions {
  readonly target: Target;
  /** The net is lowered by these, so that its layouts stay as they are whatever a layer's choice. */
  readonly costs: Costs;
  readonly profile: NonNullable<Measurer["profile"]>;
  readonly tasks: readonly Task[];
  readonly stopped: () => boolean;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Measures choices where they will run: what a kernel reads was written by the layer before, and its weights were last read one inference ago, which a loop of one
 * kernel does not show. The net is compiled with the first choice of every problem, with the second, and so on; these take turns, and the times of single calls are told apart. `records`
 * tells what is known of each task; what is given back has the choices that were tried, on the scale of these records, so that they compare with problems that were measured alone.
 */
export async function timeInNet(graph: Graph, records: ReadonlyMap<string, TuningRecord>, options: InNetOptions): Promise<TuningRecord[] | undefined> {
  const { target, costs, profile, stopped, onProgress } = options;
  const contenders = new Map<string, readonly Choice[]>();
  for (const task of options.tasks) {
    const list = contendersOf(task, records.get(task.key)?.times ?? []);
    if (list.length > 1) contenders.set(task.key, list);
  }
  if (contenders.size === 0) return [];
  const count = Math.max(...[...contenders.values()].map((list) => list.length));
  const callsOf: string[][] = [];
  const files: Uint8Array[] = [];
  for (let v = 0, bytes = 0; v < count && (v < 2 || bytes < most.bytes); v++) {
    const kernels = lower(graph, target, { costs: forced(costs, (key) => at(contenders.get(key), v)?.choice) });
    bytes += kernels.memory.bytes;
    callsOf.push(kernels.calls.map((call) => taskKey(call.template, call.problem)));
    files.push(pack(graph, [generate(kernels)]));
  }
  // Where memory does not hold a net several times, what was measured alone has to do.
  const profiles = await profile(files, stopped, onProgress).catch((error: unknown) => {
    if (error instanceof CadnnError && error.code === "E_OUT_OF_MEMORY") return [];
    throw error;
  });
  if (profiles === undefined) return undefined;
  if (profiles.length === 0) return [];
  return [...contenders].flatMap(([key, list]): TuningRecord[] => {
    const record = records.get(key) as TuningRecord;
    const least = new Map<string, number>();
    profiles.forEach((ms, v) => {
      const { text } = at(list, v) as Choice;
      const sum = (callsOf[v] as string[]).reduce((all, call, i) => (call === key ? all + (ms[i] as number) : all), 0);
      least.set(text, Math.min(sum, least.get(text) ?? Number.POSITIVE_INFINITY));
    });
    const fastest = Math.min(...least.values());
    if (!(fastest > 0)) return []; // less than the clock tells
    const scale = (record.times[0] as Timing).ns / fastest;
    const times = [...least].map(([choice, ms]) => ({ choice, ns: Math.round(ms * scale) })).sort((a, b) => a.ns - b.ns);
    return [{ ...record, times, inNet: true }];
  });
}

interface Choice {
  readonly choice: unknown;
  readonly text: string;
}

/** With fewer contenders than variants, all get about as many turns. */
const at = <T>(list: readonly T[] | undefined, v: number): T | undefined => list?.[v % list.length];

/** Of the choices that were measured the fastest ones and those that the kernel's model prefers, in turn. */
function contendersOf({ choices }: Task, times: readonly Timing[]): Choice[] {
  const limit = near * (times[0]?.ns ?? 0);
  const byText = new Map(choices.map((choice) => [canonicalText(choice), choice]));
  const byTime = times.filter((t) => t.ns <= limit && byText.has(t.choice)).map((t) => t.choice);
  const byModel = [...byText.keys()].filter((text) => byTime.includes(text));
  const texts = new Set(byTime.flatMap((text, i) => [text, byModel[i] as string]));
  return [...texts].slice(0, most.variants).map((text) => ({ choice: byText.get(text), text }));
}
