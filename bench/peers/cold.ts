import { formatBytes, formatMs, median, round } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";
import { entriesOf, load, openStage, type Plan, type Tools } from "./measure.ts";
import type { Variant } from "./models.ts";

/** How long a fresh browser needs from the model's bytes in memory to the first result, and what memory that takes. */
export interface ColdStart {
  readonly net: string;
  readonly threads: number;
  readonly contender: string;
  readonly variant: Variant;
  readonly engine: string;
  /** One entry a start: the library and the model, and the first inference. */
  readonly starts: readonly { readonly loadMs: number; readonly firstMs: number }[];
  /** Sum of all WebAssembly memories after the first inference. */
  readonly memoryBytes: number | undefined;
}

export interface ColdRow extends Omit<ColdStart, "starts"> {
  /** From the model's bytes to the first result. */
  readonly minMs: number;
  readonly medianMs: number;
  /** Of the fastest start. */
  readonly loadMs: number;
  readonly firstMs: number;
  readonly starts: number;
  /** Over cadnn's with the same weights. */
  readonly overCadnn: number | undefined;
}

/** A browser that has just started still does other things. */
const settleMs = 1000;

/** Starts each contender that runs in a browser `repeats` times, in turns, each time in a browser of its own. The library's files lie in the browser's cache. */
export async function measureCold(net: string, threads: number, repeats: number, plan: Plan, tools: Tools): Promise<ColdStart[]> {
  const entries = (await entriesOf(net, plan, { ...tools, progress() {} })).filter((entry) => entry.row.host === "chromium");
  const results = entries.map(({ contender, variant }) => {
    const result = { net, threads, contender, variant, engine: "", starts: [] as ColdStart["starts"][number][], memoryBytes: undefined as number | undefined };
    return result;
  });
  for (let repeat = 0; repeat < repeats; repeat++) {
    tools.progress(`${net}: cold start ${repeat + 1} of ${repeats}`);
    for (let i = 0; i < entries.length; i++) {
      const at = (i + repeat) % entries.length;
      const { row, model, contender } = entries[at] as (typeof entries)[number];
      const stage = await openStage(contender, row, tools);
      try {
        const { loadMs, firstMs, memoryBytes } = await load(stage, row, model, net, threads, { warmupMs: -1, settleMs }, tools);
        const result = results[at] as (typeof results)[number];
        result.starts.push({ loadMs, firstMs });
        result.memoryBytes = memoryBytes;
        result.engine = stage.engine;
      } finally {
        stage.end();
      }
    }
  }
  return results;
}

export function coldRowsOf(results: readonly ColdStart[]): ColdRow[] {
  const total = (start: ColdStart["starts"][number]): number => start.loadMs + start.firstMs;
  const fastest = ({ starts }: ColdStart) => starts.reduce((a, b) => (total(b) < total(a) ? b : a));
  return results.map((result) => {
    const { starts, ...rest } = result;
    const best = fastest(result);
    const base = results.find((r) => r.contender === "cadnn" && r !== result && r.net === result.net && r.threads === result.threads && r.variant === result.variant);
    return {
      ...rest,
      minMs: round(total(best), 1),
      medianMs: round(median(starts.map(total)), 1),
      loadMs: round(best.loadMs, 1),
      firstMs: round(best.firstMs, 1),
      starts: starts.length,
      overCadnn: base === undefined ? undefined : round(total(best) / total(fastest(base)), 2),
    };
  });
}

export function coldTableOf(rows: readonly ColdRow[]): string {
  const right = (title: string) => ({ title, align: "right" }) as const;
  return formatTable(
    [{ title: "cold start" }, right("threads"), { title: "contender" }, { title: "weights" }, ...["min", "median", "load", "first", "min / cadnn", "Wasm memory"].map(right)],
    rows.map((r, i) => [
      r.net === rows[i - 1]?.net ? "" : r.net,
      r.threads,
      r.contender,
      r.variant,
      ...[r.minMs, r.medianMs, r.loadMs, r.firstMs].map(formatMs),
      r.overCadnn === undefined ? undefined : `${r.overCadnn.toFixed(2)}×`,
      r.memoryBytes === undefined ? undefined : formatBytes(r.memoryBytes),
    ]),
  );
}
